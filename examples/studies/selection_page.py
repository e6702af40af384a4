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


def texts(runs: Runs) -> dict[str, str]:
    """Return what stands between the marks, by their names."""
    signs, clean, digits, plain = (
        part(runs) for part in (signs_reported, clean_reported, signs_of_digits, clean_digits)
    )
    sentences = {
        "counts": counts(runs),
        "verdict": f"{verdict(signs, clean)} {on_digits(digits)}",
        "headline": headline(signs, digits),
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
    """Say whether the gate is proven, with the share of regret that it saves."""
    saved = " and ".join(
        f"{100 * (1 - gate.mean() / plain.mean()):.0f} % {where}"
        for gate, plain, where in zip(
            signs.regrets(RULES[GATE]), signs.regrets(RULES[PLAIN]), ("within a run", "between runs"), strict=True
        )
    )
    answer = "is proven" if is_proven(GATE, signs, clean) else "is not proven"
    lost = points(max(costs_of(GATE, clean)))
    return (
        f"The gate of the alarm {answer}: it saves {saved} of the regret of validation accuracy, where "
        f"{100 * (1 - MOST_REGRET):.0f} % of both were asked for, and loses {lost} points on images without signs."
    )


def headline(signs: Part, digits: Part) -> str:
    """Say in plain words how far the gate's choices are below the best ones, beside those of validation accuracy."""
    gates, plains = (signs.regrets(RULES[name]) for name in (GATE, PLAIN))
    gate, plain = (digits.regrets(RULES[name])[0].mean() for name in (GATE, PLAIN))
    return (
        "Among trainings of CIFAR-10 with planted signs, the one with the best validation accuracy that passes a gate "
        f"on the alarm is {points(gates[1].mean())} points worse than the best one on images whose signs tell nothing. "
        f"Without the gate it is {points(plains[1].mean())} points worse, in {len(plains[1])} choices (difference "
        f"{with_interval(gates[1] - plains[1])}). Among the epochs of one training these are {points(gates[0].mean())} "
        f"and {points(plains[0].mean())} points (difference {with_interval(gates[0] - plains[0])}), and with digits "
        f"{points(gate)} and {points(plain)}."
    )


def on_digits(digits: Part) -> str:
    """Say how the gate does within a run on digits."""
    gate, plain = (digits.regrets(RULES[name])[0].mean() for name in (GATE, PLAIN))
    return f"On digits its regret within a run is {points(gate)} points, that of validation accuracy {points(plain)}."


def is_proven(name: str, signs: Part, clean: Part) -> bool:
    """Return whether a rule reaches what was asked of the gate."""
    regrets = zip(*(signs.regrets(RULES[each]) for each in (name, PLAIN, WORST)), strict=True)
    return max(costs_of(name, clean)) <= MOST_LOST and all(
        chosen.mean() <= MOST_REGRET * plain.mean() and chosen.mean() < worst.mean() for chosen, plain, worst in regrets
    )


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
