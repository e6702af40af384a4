"""Tables of the study of selection rules, from the rows that `selection.py` wrote."""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from selection_plan import REPORTED, data_of, is_reported, plan
from selection_rules import (
    BOUND_RULES,
    BOUNDS,
    GATE,
    PLAIN,
    RULES,
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


def table_of_regrets(signs: Part, clean: Part, names: Iterable[str] = RULES) -> str:
    """List the mean regret of rules, how it differs from that of validation accuracy, and what it costs."""
    lines = [
        "| rule | within a run | against accuracy | between runs | against accuracy | clean, within | clean, between |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    plain, plain_clean = signs.regrets(RULES[PLAIN]), clean.outcomes(RULES[PLAIN])
    for name in names:
        rule = RULES[name]
        cells = [f"*{name}*" if name in BOUND_RULES else name]
        for chosen, accuracy in zip(signs.regrets(rule), plain, strict=True):
            cells += [points(chosen.mean()), with_interval(chosen - accuracy)]
        cells += [
            points((chosen - accuracy).mean(), signed=True)
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
        figures = f"{points(gate.mean())} | {points(plain.mean())}" if passed.any() else " | "
        lines.append(
            f"| {name} | {passed.sum()} of {len(passed)} | {figures} | {passed_clean.sum()} of {len(passed_clean)} |"
        )
    return "\n".join(lines)


def interval(values: Numbers) -> tuple[float, float]:
    """Return the interval of 95 % of a mean, from runs drawn again."""
    rows = np.random.default_rng(0).integers(0, len(values), (RESAMPLINGS, len(values)))
    low, high = np.quantile(values[rows].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def with_interval(values: Numbers) -> str:
    """Write the mean in points with its interval."""
    low, high = interval(values)
    return f"{points(values.mean(), signed=True)} [{points(low, signed=True)}, {points(high, signed=True)}]"


def _part(runs: Runs, holds: Callable[..., bool]) -> Part:
    chosen = [design for design in plan() if design.name in runs and holds(design)]
    pools = defaultdict(list)
    for design in chosen:
        pools[data_of(design)].append(runs[design.name])
    enough = [pool for pool in pools.values() if len(pool) >= FEWEST]
    return Part([runs[design.name] for design in chosen], enough)


def points(value: float, signed: bool = False) -> str:
    """Write a share in points."""
    return f"{100 * value:{'+' if signed else ''}.1f}"
