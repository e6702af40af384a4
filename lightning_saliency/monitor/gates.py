"""The grammar of gates, and how they judge values."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from lightning_saliency.names import PARTS

NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
BOUND: Final = re.compile(rf"\s*(>=|<=)\s*({NUMBER})\s*(?:by\s+({NUMBER})\s+stderr\s*)?")
RELATIVE: Final = re.compile(rf"\s*worsens\s*<=\s*({NUMBER})\s*%\s*")
FORMS: Final = "'>= x', '<= x', either followed by 'by k stderr', or 'worsens <= x%'"


class Values(Protocol):
    """The values that a gate may look at, `None` for what was not computed in the current validation."""

    def __call__(self, name: str, /) -> float | None:
        """Return a value of this validation."""


@dataclass(frozen=True)
class Verdict:
    """The judgement of one gate and its reason."""

    passed: bool
    reason: str


@dataclass(frozen=True)
class Bound:
    """A bound on a logged value, kept with some standard errors to spare.

    Attributes:
        metric: Name of the value.
        comparison: `">="` or `"<="`.
        bound: The bound.
        stderrs: How many standard errors the value must be within the bound.
    """

    metric: str
    comparison: str
    bound: float
    stderrs: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The values that it needs."""
        return (self.metric, self.metric + PARTS["stderr"]) if self.stderrs else (self.metric,)

    def judge(self, values: Values, best: float | None) -> Verdict:
        """Compare the value, made worse by its uncertainty, with the bound; what is not finite never passes."""
        value = values(self.metric)
        if value is None:
            return Verdict(False, f"{self.metric} was not computed in this validation, required {self}")
        error = values(self.metric + PARTS["stderr"]) if self.stderrs else 0.0
        if error is None:
            return Verdict(False, f"{self.metric} has no standard error in this validation, required {self}")
        slack = self.stderrs * error
        passed = value - slack >= self.bound if self.comparison == ">=" else value + slack <= self.bound
        passed = passed and math.isfinite(value)
        measured = f"{value:.4g} +- {error:.2g}" if self.stderrs else f"{value:.4g}"
        return Verdict(passed, f"{self.metric} is {measured}, required {self}")

    def __str__(self) -> str:
        spare = f" by {self.stderrs:g} stderr" if self.stderrs else ""
        return f"{self.comparison} {self.bound:g}{spare}"


@dataclass(frozen=True)
class Relative:
    """A bound on how much worse than the best so far a value may be; the first one passes.

    Attributes:
        metric: Name of the value.
        tolerance: Largest share of the best that may be lost.
        higher_is_better: The value's direction, `None` until it is known.
    """

    metric: str
    tolerance: float
    higher_is_better: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The values that it needs."""
        return (self.metric,)

    def judge(self, values: Values, best: float | None) -> Verdict:
        """Compare the value with the best one before it; what is not finite never passes."""
        value = values(self.metric)
        if value is None:
            return Verdict(False, f"{self.metric} was not computed in this validation, required {self}")
        if not math.isfinite(value):
            return Verdict(False, f"{self.metric} is {value:.4g}, required {self}")
        if best is None:
            return Verdict(True, f"{self.metric} is {value:.4g}, the first")
        loss = best - value if self.higher_is_better else value - best
        passed = loss <= self.tolerance * abs(best)
        return Verdict(passed, f"{self.metric} is {value:.4g} after a best of {best:.4g}, required {self}")

    def __str__(self) -> str:
        return f"worsens <= {100 * self.tolerance:g}%"


Gate = Bound | Relative


@dataclass(frozen=True)
class Decision:
    """The decision after one validation.

    Attributes:
        epoch: Current epoch.
        step: Global step.
        passed: Whether every gate passed, on every process.
        reasons: The value that each gate used; first those of gates that did not pass.
    """

    epoch: int
    step: int
    passed: bool
    reasons: tuple[str, ...]

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "Decision":
        """Make it of its fields, as a checkpoint keeps them."""
        return cls(int(state["epoch"]), int(state["step"]), bool(state["passed"]), tuple(map(str, state["reasons"])))


def parse_gates(gates: Mapping[str, str]) -> tuple[Gate, ...]:
    """Read gates such as `{"saliency/grad_cam/rcap": ">= 0.25"}`.

    Raises:
        TypeError: If they are not a mapping from names to texts.
        ValueError: If there are none, or one is of no known form.
    """
    if not isinstance(gates, Mapping):
        raise TypeError(f"Expected `gates` to map names to rules such as '>= 0.25', but got {gates!r}.")
    if not gates:
        raise ValueError("Expected `gates` to hold at least one rule, but got none: use ModelCheckpoint instead.")
    return tuple(parse_gate(metric, rule) for metric, rule in gates.items())


def parse_gate(metric: str, rule: object) -> Gate:
    """Read the rule of one value.

    Raises:
        TypeError: If it is no text.
        ValueError: If it is of no known form.
    """
    if not isinstance(rule, str):
        raise TypeError(f"Expected the gate of {metric!r} to be a text such as '>= 0.25', but got {rule!r}.")
    bound, relative = BOUND.fullmatch(rule), RELATIVE.fullmatch(rule)
    if bound is not None and math.isfinite(float(bound[2])) and _is_amount(bound[3] or "0"):
        return Bound(metric, bound[1], float(bound[2]), float(bound[3] or 0))
    if relative is not None and _is_amount(relative[1]):
        return Relative(metric, float(relative[1]) / 100)
    raise ValueError(f"Expected the gate of {metric!r} to be {FORMS}, with finite numbers x and k, but got {rule!r}.")


def _is_amount(number: str) -> bool:
    """Tell zero and positive numbers from others and from those that are too large to be written down."""
    return 0 <= float(number) < math.inf
