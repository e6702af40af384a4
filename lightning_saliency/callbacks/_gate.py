"""The grammar of gates, and how one judges a value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import ge, le
from typing import Final

COMPARISONS: Final = {">=": ge, "<=": le}
RULE: Final = re.compile(r"\s*(>=|<=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Gate:
    """A bound on a logged value.

    Attributes:
        metric: Name of the value.
        comparison: `">="` or `"<="`.
        bound: The bound.
    """

    metric: str
    comparison: str
    bound: float

    def passes(self, value: float) -> bool:
        """Whether the value keeps the bound; NaN never does."""
        return bool(COMPARISONS[self.comparison](value, self.bound))

    def __str__(self) -> str:
        return f"{self.comparison} {self.bound:g}"


@dataclass(frozen=True)
class Decision:
    """What was decided after one validation.

    Attributes:
        epoch: Current epoch.
        step: Global step.
        passed: Whether every gate passed, on every process.
        reasons: What each gate saw.
    """

    epoch: int
    step: int
    passed: bool
    reasons: tuple[str, ...]


def parse_gates(gates: Mapping[str, str]) -> tuple[Gate, ...]:
    """Read gates such as `{"saliency/grad_cam/rcap": ">= 0.25"}`.

    Raises:
        TypeError: If they are not a mapping from names to texts.
        ValueError: If there are none, or one is not of the form `>= x` or `<= x`.
    """
    if not isinstance(gates, Mapping):
        raise TypeError(f"Expected `gates` to map names to rules such as '>= 0.25', but got {gates!r}.")
    if not gates:
        raise ValueError("Expected `gates` to hold at least one rule, but got none: use ModelCheckpoint instead.")
    return tuple(_parse(metric, rule) for metric, rule in gates.items())


def _parse(metric: str, rule: object) -> Gate:
    if not isinstance(rule, str):
        raise TypeError(f"Expected the gate of {metric!r} to be a text such as '>= 0.25', but got {rule!r}.")
    match = RULE.fullmatch(rule)
    if match is None:
        raise ValueError(f"Expected the gate of {metric!r} to be '>= x' or '<= x' with a number x, but got {rule!r}.")
    return Gate(metric, match[1], float(match[2]))
