"""Figures and sentences of the study of selection rules in the documents, from the rows that `selection.py` wrote.

Run it to fill them in between their marks. No figure of the study is typed.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import fill
from typing import Final

from selection_rules import CANDIDATES, GATE, MOST_LOST, MOST_REGRET, PLAIN, RULES, WORST
from selection_tables import (
    Numbers,
    Part,
    Runs,
    clean_digits,
    clean_reported,
    interval,
    points,
    read,
    signs_of_digits,
    signs_reported,
    table_of_gates,
    table_of_regrets,
    with_interval,
)

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = tuple(ROOT / name for name in ("README.md", "docs/selection.md", "docs/gate.md"))
MARKS: Final = re.compile(r"(<!-- (?P<name>[a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
WIDTH: Final = 120
ADVISED: Final = ("last epoch", PLAIN, WORST, "RCAP", "SRG", GATE, "accuracy less the strongest cue")
"""Rules of the short table for those who choose a gate."""
FIRST_KINDS: Final = ("place", "interior", "one_class", "moving", "watermark", "level")
"""Kinds of signs with choices between runs at the first look."""
PLACES: Final = {1: "Between runs", 0: "Within a run"}


def texts(runs: Runs) -> dict[str, str]:
    """Return what stands between the marks, by their names."""
    signs, clean, digits, plain = (
        part(runs) for part in (signs_reported, clean_reported, signs_of_digits, clean_digits)
    )
    sentences = {
        "counts": counts(runs),
        "verdict": f"{verdict(signs, clean)} {on_digits(digits)}",
        "headline": headline(signs, clean, digits),
        "later": later_choices(runs),
        "within": findings(signs, 0),
        "between": findings(signs, 1),
        "cost": costs(clean),
        "digits": f"{recommendation(digits, signs, clean)} {findings(digits, 0)} {findings(digits, 1)}",
    }
    return {
        **{name: fill(text, WIDTH) for name, text in sentences.items()},
        "table": table_of_regrets(signs, clean),
        "gates": table_of_gates(signs, clean),
        "table of digits": table_of_regrets(digits, plain),
        "gates of digits": table_of_gates(digits, plain),
        "short table": table_of_regrets(signs, clean, ADVISED),
        "small table": small_table(signs),
    }


def filled(page: str, parts: Mapping[str, str]) -> str:
    """Put each part between its marks."""
    return MARKS.sub(lambda match: f"{match[1]}\n{parts[match['name']]}\n\n{match[3]}", page)


def counts(runs: Runs) -> str:
    """Count trainings, epochs and choices."""
    parts = {
        "CIFAR-10 with signs": signs_reported(runs),
        "CIFAR-10 without": clean_reported(runs),
        "digits with signs": signs_of_digits(runs),
        "digits without": clean_digits(runs),
    }
    listed = "; ".join(
        f"{name}: {len(part.runs)} trainings with {sum(map(len, part.runs))} epochs, {len(part.pools)} choices between "
        f"{sum(map(len, part.pools))} of them"
        for name, part in parts.items()
    )
    return f"{listed}. In all {len(runs)} trainings with {sum(map(len, runs.values()))} epochs."


def verdict(signs: Part, clean: Part) -> str:
    """Say between runs and within a run whether the gate reaches what was asked of it."""
    asked, answer = 100 * (1 - MOST_REGRET), "proven" if is_proven(GATE, signs, clean) else "not proven"
    sentences = []
    for place, where in PLACES.items():
        gate, plain, worst = (mean_regret(name, signs, place) for name in (GATE, PLAIN, WORST))
        outcome = "reaches" if reaches(GATE, signs, clean, place) else "misses"
        sentences.append(
            f"{where} the gate of the alarm {outcome} what was asked of it: it saves {100 * (1 - gate / plain):.0f} % "
            f"of the regret of validation accuracy, where {asked:.0f} % were asked for, its regret is {points(gate)} "
            f"points and that of worst-class accuracy {points(worst)}, and it loses "
            f"{points(costs_of(GATE, clean)[place])} points on images without signs."
        )
    return f"{' '.join(sentences)} Both were asked for: in this sense it is {answer}."


def headline(signs: Part, clean: Part, digits: Part) -> str:
    """Say in plain words between which networks the gate chooses better than validation accuracy."""
    gates, plains = (signs.regrets(RULES[name]) for name in (GATE, PLAIN))
    epochs, runs = (gate - plain for gate, plain in zip(gates, plains, strict=True))
    on_digits = (points(mean_regret(name, digits, 0)) for name in (GATE, PLAIN))
    return (
        f"A gate on the alarm {_chooses(runs)} better trainings: in {len(runs)} choices between trainings of CIFAR-10 "
        f"with the same planted signs its choice is {points(gates[1].mean())} points below the best one on images "
        f"whose signs tell nothing, and that of validation accuracy {points(plains[1].mean())} (difference "
        f"{with_interval(runs)}). It {_chooses(epochs)} better epochs: within {len(epochs)} trainings these are "
        f"{points(gates[0].mean())} and {points(plains[0].mean())} points (difference {with_interval(epochs)}), and "
        f"with digits {' and '.join(on_digits)}. Without signs it loses {points(max(costs_of(GATE, clean)))} points."
    )


def small_table(signs: Part) -> str:
    """List the mean regrets of few rules in plain words, with the difference to that of validation accuracy."""
    names = {name: name for name in (PLAIN, WORST, "RCAP")} | {GATE: "gate on the alarm, then validation accuracy"}
    plain = signs.regrets(RULES[PLAIN])
    lines = ["| chosen by | between trainings | between epochs of a training |", "| --- | --- | --- |"]
    for rule, name in names.items():
        cells = [points(values.mean()) for values in signs.regrets(RULES[rule])]
        if rule != PLAIN:
            gaps = zip(cells, signs.regrets(RULES[rule]), plain, strict=True)
            cells = [f"{cell} ({with_interval(values - usual)})" for cell, values, usual in gaps]
        lines.append(f"| {name} | {cells[1]} | {cells[0]} |")
    return "\n".join(lines)


def later_choices(runs: Runs) -> str:
    """Say how the gate does between runs with signs of which there was no choice at the first look."""
    later = signs_reported({name: epochs for name, epochs in runs.items() if name.split("-")[2] not in FIRST_KINDS})
    gate, plain = (later.regrets(RULES[name])[1] for name in (GATE, PLAIN))
    return (
        f"The first look had choices between runs with {len(FIRST_KINDS)} kinds of signs. In the {len(gate)} choices "
        f"with other kinds alone the regret of the gate is {points(gate.mean())} points and that of validation "
        f"accuracy {points(plain.mean())} (difference {with_interval(gate - plain)})."
    )


def on_digits(digits: Part) -> str:
    """Say how the gate does within a run on digits."""
    gate, plain = (points(mean_regret(name, digits, 0)) for name in (GATE, PLAIN))
    return f"On digits its regret within a run is {gate} points, that of validation accuracy {plain}."


def mean_regret(name: str, part: Part, place: int) -> float:
    """Return the mean regret of a rule within a run (0) or between runs (1)."""
    return float(part.regrets(RULES[name])[place].mean())


def is_proven(name: str, signs: Part, clean: Part) -> bool:
    """Return whether a rule reaches what was asked of the gate, within a run and between runs."""
    return all(reaches(name, signs, clean, place) for place in PLACES)


def reaches(name: str, signs: Part, clean: Part, place: int) -> bool:
    """Return whether a rule reaches what was asked of the gate within a run (0) or between runs (1)."""
    chosen, plain, worst = (mean_regret(each, signs, place) for each in (name, PLAIN, WORST))
    return costs_of(name, clean)[place] <= MOST_LOST and chosen <= MOST_REGRET * plain and chosen < worst


def costs_of(name: str, clean: Part) -> list[float]:
    """Return what a rule loses against validation accuracy without signs, within a run and between runs."""
    outcomes = zip(clean.outcomes(RULES[PLAIN]), clean.outcomes(RULES[name]), strict=True)
    return [float((plain - chosen).mean()) for plain, chosen in outcomes]


def recommended(digits: Part) -> str:
    """Return the rule with the least mean regret on digits, among those that know no sign."""
    return min(CANDIDATES, key=lambda name: sum(part.mean() for part in digits.regrets(RULES[name])))


def recommendation(digits: Part, signs: Part, clean: Part) -> str:
    """Name the rule with the least regret on digits, and say what became of it."""
    best = recommended(digits)
    answer = "reaches" if is_proven(best, signs, clean) else "does not reach"
    return f"The rule with the least regret on digits is *{best}*. On CIFAR-10 it {answer} what was asked of the gate."


def findings(part: Part, place: int) -> str:
    """List the rules that are better or worse than validation accuracy, within a run (0) or between runs (1)."""
    plain = part.regrets(RULES[PLAIN])[place]
    differences = {name: part.regrets(RULES[name])[place] - plain for name in CANDIDATES if name != PLAIN}
    where = (
        f"Within a run, of {len(plain)} runs, the best epoch is {points(plain.mean())} points better than the one with"
        if place == 0
        else f"Between runs, in {len(plain)} choices, the best training is {points(plain.mean())} points better than "
        "the one with"
    )
    better = _names(differences, lambda values: interval(values)[1] < 0)
    worse = _names(differences, lambda values: interval(values)[0] > 0)
    return f"{where} the best validation accuracy. Clearly better than that: {better}. Clearly worse: {worse}."


def costs(clean: Part) -> str:
    """List the rules that lose at most a point without signs."""
    cheap = [name for name in CANDIDATES if max(costs_of(name, clean)) <= MOST_LOST]
    return (
        f"Without signs {len(CANDIDATES) - len(cheap)} of {len(CANDIDATES)} rules lose more than a point, within a run "
        f"or between runs. The others are {'; '.join(f'*{name}*' for name in cheap)}."
    )


def _chooses(differences: Numbers) -> str:
    low, high = interval(differences)
    return "chooses" if high < 0 else "does not choose" if low > 0 else "does not clearly choose"


def _names(differences: Mapping[str, Numbers], holds: Callable[[Numbers], bool]) -> str:
    return (
        "; ".join(
            f"*{name}* ({points(values.mean(), signed=True)})" for name, values in differences.items() if holds(values)
        )
        or "none"
    )


if __name__ == "__main__":
    parts = texts(read())
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), parts), encoding="utf-8")
