"""Rules other than the gradient's for what flows back through ReLUs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from lightning_saliency._checks import UnsuitableModelError
from lightning_saliency.passes.propagation import (
    Operation,
    Watching,
    apply_to_copy,
    carries_gradient,
    with_rule,
    write_back,
)
from lightning_saliency.passes.quantiles import quantile

Kind: TypeAlias = Literal["guided", "deconvolution", "rectified", "rectified_magnitude"]


CLAMPS: Final = frozenset({"clamp", "clip", "clamp_min"})
ARGUMENTS: Final = {
    "leaky_relu": ("negative_slope",),
    "rrelu": ("lower", "upper", "training"),
    "threshold": ("threshold", "value"),
    "hardtanh": ("min_val", "max_val"),
    "clamp": ("min", "max"),
    "clip": ("min", "max"),
    "clamp_min": ("min",),
}
OTHERS: Final = CLAMPS | frozenset(
    {"celu", "clamp_max", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu"}
    | {"logsigmoid", "maximum", "mish", "prelu", "rrelu", "selu", "sigmoid", "silu", "softplus", "softshrink"}
    | {"softsign", "tanh", "tanhshrink", "threshold"}
)
"""Activations without a rule, which an error names; of clipped and leaky ReLUs those with other arguments."""


class Rectifier(NamedTuple):
    """A piecewise linear activation: from `low` to `high` its slope is 1, below it is `slope`, above it is 0."""

    low: float = 0.0
    high: float = math.inf
    slope: float = 0.0

    def gradient(self, signal: Tensor, activation: Tensor) -> Tensor:
        """Return the signal times the slope where the output is this."""
        if not self.slope:
            # One operation instead of five: these take most of the time that a rule costs.
            inside: Tensor = torch.ops.aten.hardtanh_backward(signal, activation, self.low, self.high)
            return inside
        steep = (activation > self.low) & (activation < self.high)
        slope = torch.where(steep, 1.0, torch.where(activation < self.high, self.slope, 0.0))
        return signal * slope.to(activation)

    def below_its_top(self, signal: Tensor, activation: Tensor) -> Tensor:
        """Return the signal where the output is not cut at the top."""
        return signal if math.isinf(self.high) else torch.where(activation < self.high, signal, 0.0)


RELU: Final = Rectifier()


@dataclass(frozen=True)
class ReluRule:
    """Which part of a signal passes a ReLU on its way back.

    Guided: where the activation and the signal are positive. Deconvolution: where the signal is positive.
    Rectified: where activation times signal, or times its magnitude, exceeds a quantile over the layer.
    At a clipped ReLU nothing passes units at the top, except for deconvolution, which ignores activations. At a leaky
    ReLU what passes is multiplied by the slope; deconvolution applies the leaky ReLU itself to the signal.
    """

    kind: Kind
    percentile: float = 0.0

    def watching(self) -> Watching:
        """Start to watch the ReLUs of one forward."""
        return _WatchingReLUs(self)

    def passing(self, signal: Tensor, activation: Tensor, rectifier: Rectifier = RELU) -> Tensor:
        """Return the part of a signal that passes; signal and activation are (B, ...)."""
        if self.kind == "guided":
            return rectifier.gradient(signal.clamp(min=0), activation)
        if self.kind == "deconvolution":
            return functional.leaky_relu(signal, rectifier.slope)
        importance = activation * (signal.abs() if self.kind == "rectified_magnitude" else signal)
        passed = beyond(signal, importance, quantile(importance, self.percentile))
        if rectifier.slope:
            return rectifier.gradient(passed, activation)
        return rectifier.below_its_top(passed, activation)


def beyond(signal: Tensor, importance: Tensor, threshold: Tensor | float) -> Tensor:
    """Keep a signal where it is more important than a threshold."""
    return torch.where(importance > threshold, signal, 0.0)


class _WatchingReLUs(Watching):
    def __init__(self, rule: ReluRule) -> None:
        super().__init__()
        self.rule = rule
        self.count = 0
        self.others: set[str] = set()

    def operate(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if not args and "input" in options:
            args = (options.pop("input"),)
        if not args or not carries_gradient(args[0]):
            return operation(*args, **options)  # a clamp of a number is no activation
        rectifier = _rectifier(name, args[1:], options)
        if rectifier is None:
            self.others |= {name} & OTHERS
            return operation(*args, **options)
        self.count += 1
        output, wrote = apply_to_copy(operation, args, options)
        rule = self.rule
        passed = with_rule(output, (args[0],), lambda signal: (rule.passing(signal, output, rectifier),))
        return write_back(args[0], passed, wrote=wrote)

    def finish(self) -> None:
        """Refuse a model without ReLUs."""
        if not self.count:
            others = f" of them, only {', '.join(sorted(self.others))}" if self.others else ""
            raise UnsuitableModelError(
                f"Expected a model with ReLUs, but its forward ran none{others}: the rule changes nothing but ReLUs "
                "(plain, clipped or leaky), so that the map would silently be the plain gradient. "
                "Use a method for any activation, such as Gradient."
            )


def _rectifier(name: str, rest: tuple[Any, ...], options: Mapping[str, Any]) -> Rectifier | None:
    """Describe an operation with these arguments after the input, or return `None` if it is no ReLU."""
    given = dict(zip(ARGUMENTS.get(name, ()), rest, strict=False)) | dict(options)
    describe = RECTIFIERS.get(name)
    return None if describe is None else describe(given)


def _randomly_leaky(given: Mapping[str, Any]) -> Rectifier | None:
    """Describe a leaky ReLU whose slope is drawn in training, and is the mean one after it."""
    mean = (given.get("lower", 1 / 8) + given.get("upper", 1 / 3)) / 2
    return None if given.get("training") else _leaky(mean)


def _clamped(given: Mapping[str, Any]) -> Rectifier | None:
    """Describe a clamp at 0; a bound above 0 keeps values from a division or a logarithm."""
    return _clipped(given.get("min"), given.get("max")) if given.get("min") == 0 else None


def _leaky(slope: Any) -> Rectifier | None:
    """Describe a leaky ReLU; with a negative slope its output does not say on which side of 0 the input was."""
    return Rectifier(slope=float(slope)) if slope >= 0 else None


def _clipped(low: Any, high: Any) -> Rectifier | None:
    """Describe a clipped ReLU with bounds that are numbers."""
    if not isinstance(low, int | float) or not isinstance(high, int | float | None):
        return None
    return Rectifier(float(low), math.inf if high is None else float(high))


RECTIFIERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Rectifier | None]]] = {
    "relu": lambda given: RELU,
    "relu6": lambda given: Rectifier(high=6.0),
    "leaky_relu": lambda given: _leaky(given.get("negative_slope", 0.01)),
    "rrelu": _randomly_leaky,
    "threshold": lambda given: RELU if given.get("threshold") == given.get("value") == 0 else None,
    "hardtanh": lambda given: _clipped(given.get("min_val", -1.0), given.get("max_val", 1.0)),
    **dict.fromkeys(CLAMPS, _clamped),
}
"""How the arguments of an operation describe it, by its name."""
