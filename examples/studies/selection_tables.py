"""Tables of the study of selection rules for the documents, from the rows that `selection.py` wrote."""

import argparse
import csv
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from selection_plan import REPORTED, data_of, is_reported, plan
from selection_rules import (
    BOUND_RULES,
    BOUNDS,
    CANDIDATES,
    GATE,
    MOST_LOST,
    MOST_REGRET,
    PLAIN,
    RULES,
    WORST,
    Rule,
    Values,
    between,
    follows_less,
    is_quiet,
    passed_by,
    regret,
    within,
)

TABLE: Final = Path(__file__).with_name("selection.csv")
RESAMPLINGS: Final = 2000
FEWEST: Final = 3
"""Trainings with the same data that there is a choice among."""
Numbers = NDArray[np.float64]
Runs = Mapping[str, Sequence[Values]]


class Part(NamedTuple):
    """Some trainings.

    Attributes:
        runs: The epochs of each training.
        pools: The trainings with the same data, of each data with enough of them.
    """

    runs: Sequence[Sequence[Values]]
    pools: Sequence[Sequence[Sequence[Values]]]

    def outcomes(self, rule: Rule) -> tuple[Numbers, Numbers]:
        """Return what a rule reaches within each run, and between the runs of each pool."""
        return (
            np.array([within(rule, epochs) for epochs in self.runs]),
            np.array([between(rule, runs) for runs in self.pools]),
        )

    def regrets(self, rule: Rule) -> tuple[Numbers, Numbers]:
        """Return by how much the best choice is better, in the same places."""
        return (
            np.array([regret(within(rule, epochs), epochs) for epochs in self.runs]),
            np.array([regret(between(rule, runs), [epochs[-1] for epochs in runs]) for runs in self.pools]),
        )


def read(path: Path = TABLE) -> Runs:
    """Read the epochs of each training."""
    runs = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            runs[row.pop("name")].append({key: float(value) for key, value in row.items()})
    return runs


def signs_reported(runs: Runs) -> Part:
    """Return trainings with signs whose figures count."""
    return _part(runs, lambda design: is_reported(design) and design.kind != "none")


def clean_reported(runs: Runs) -> Part:
    """Return trainings without signs on CIFAR-10."""
    return _part(runs, lambda design: design.domain in REPORTED and design.kind == "none")


def signs_of_digits(runs: Runs) -> Part:
    """Return trainings with signs that were there to choose on."""
    return _part(runs, lambda design: design.domain not in REPORTED and design.kind != "none")


def clean_digits(runs: Runs) -> Part:
    """Return trainings on digits without signs."""
    return _part(runs, lambda design: design.domain not in REPORTED and design.kind == "none")


def table_of_regrets(signs: Part, clean: Part) -> str:
    """List the mean regret of each rule, how it differs from that of validation accuracy, and what it costs."""
    lines = [
        "| rule | within a run | against accuracy | between runs | against accuracy | clean, within | clean, between |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    plain, plain_clean = signs.regrets(RULES[PLAIN]), clean.outcomes(RULES[PLAIN])
    for name, rule in RULES.items():
        cells = [f"*{name}*" if name in BOUND_RULES else name]
        for chosen, accuracy in zip(signs.regrets(rule), plain, strict=True):
            cells += [_points(chosen.mean()), with_interval(chosen - accuracy)]
        cells += [
            _points((chosen - accuracy).mean(), signed=True)
            for chosen, accuracy in zip(clean.outcomes(rule), plain_clean, strict=True)
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def table_of_gates(signs: Part, clean: Part) -> str:
    """List in how many runs a gate lets any epoch pass, and the regret there."""
    gates = {GATE: is_quiet, **{f"cue gate {bound}, accuracy": follows_less(bound) for bound in BOUNDS}}
    lines = [
        "| gate | runs with signs that have a checkpoint | regret there | of accuracy there | runs without signs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, passes in gates.items():
        passed, passed_clean = (
            np.array([passed_by(passes, epochs) for epochs in part.runs]) for part in (signs, clean)
        )
        gate, plain = (signs.regrets(RULES[rule])[0][passed] for rule in (name, PLAIN))
        figures = f"{_points(gate.mean())} | {_points(plain.mean())}" if passed.any() else " | "
        lines.append(
            f"| {name} | {passed.sum()} of {len(passed)} | {figures} | {passed_clean.sum()} of {len(passed_clean)} |"
        )
    return "\n".join(lines)


def recommended(digits: Part) -> str:
    """Return the rule with the least mean regret on digits, among those that know no sign."""
    return min(CANDIDATES, key=lambda name: sum(part.mean() for part in digits.regrets(RULES[name])))


def is_proven(name: str, signs: Part, clean: Part) -> bool:
    """Return whether a rule reaches what was asked of the gate."""
    regrets = zip(*(signs.regrets(RULES[each]) for each in (name, PLAIN, WORST)), strict=True)
    lost = [
        (plain - chosen).mean()
        for chosen, plain in zip(clean.outcomes(RULES[name]), clean.outcomes(RULES[PLAIN]), strict=True)
    ]
    return max(lost) <= MOST_LOST and all(
        chosen.mean() <= MOST_REGRET * plain.mean() and chosen.mean() < worst.mean() for chosen, plain, worst in regrets
    )


def verdict(signs: Part, clean: Part) -> str:
    """Say whether the gate is proven, with the share of regret that it saves."""
    saved = [
        f"{1 - gate.mean() / plain.mean():.0%} {where}"
        for gate, plain, where in zip(
            signs.regrets(RULES[GATE]), signs.regrets(RULES[PLAIN]), ("within a run", "between runs"), strict=True
        )
    ]
    answer = "is proven" if is_proven(GATE, signs, clean) else "is not proven"
    return f"The gate of the alarm {answer}: its regret is below that of validation accuracy by {' and '.join(saved)}."


def recommendation(digits: Part, signs: Part, clean: Part) -> str:
    """Name the rule with the least regret on digits, and say what became of it."""
    best = recommended(digits)
    answer = "reaches" if is_proven(best, signs, clean) else "does not reach"
    return f"The rule with the least regret on digits is *{best}*. On CIFAR-10 it {answer} what was asked of the gate."


def counts(runs: Runs) -> str:
    """Count trainings, epochs and choices."""
    parts = {
        "CIFAR-10 with signs": signs_reported(runs),
        "CIFAR-10 without": clean_reported(runs),
        "digits with signs": signs_of_digits(runs),
        "digits without": clean_digits(runs),
    }
    return "; ".join(
        f"{name}: {len(part.runs)} trainings with {sum(map(len, part.runs))} epochs, {len(part.pools)} choices between "
        f"{sum(map(len, part.pools))} of them"
        for name, part in parts.items()
        if part.runs
    )


def with_interval(values: Numbers) -> str:
    """Write the mean in points with its interval of 95 %, from runs drawn again."""
    rows = np.random.default_rng(0).integers(0, len(values), (RESAMPLINGS, len(values)))
    low, high = np.quantile(values[rows].mean(axis=1), (0.025, 0.975))
    return f"{_points(values.mean(), signed=True)} [{_points(low, signed=True)}, {_points(high, signed=True)}]"


def _part(runs: Runs, holds: Callable[..., bool]) -> Part:
    chosen = [design for design in plan() if design.name in runs and holds(design)]
    pools = defaultdict(list)
    for design in chosen:
        pools[data_of(design)].append(runs[design.name])
    enough = [pool for pool in pools.values() if len(pool) >= FEWEST]
    return Part([runs[design.name] for design in chosen], enough)


def _points(value: float, signed: bool = False) -> str:
    return f"{100 * value:{'+' if signed else ''}.1f}"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def texts(runs: Runs) -> list[str]:
    """Return what the page has of these rows: that of digits only if there are any."""
    signs, clean, digits, plain = (
        part(runs) for part in (signs_reported, clean_reported, signs_of_digits, clean_digits)
    )
    reported = [counts(runs), table_of_regrets(signs, clean), table_of_gates(signs, clean), verdict(signs, clean)]
    if not digits.runs:
        return reported
    chosen = [table_of_regrets(digits, plain), table_of_gates(digits, plain), recommendation(digits, signs, clean)]
    return reported + chosen


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    print("\n\n".join(texts(read(parser.parse_args().table))))
