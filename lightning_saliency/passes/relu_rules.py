"""Rules other than the gradient's for what flows back through ReLUs."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import UnsuitableModelError
from lightning_saliency.passes.propagation import Operation, Watching, apply_to_copy, with_rule, write_back
from lightning_saliency.passes.quantiles import quantile

Kind: TypeAlias = Literal["guided", "deconvolution", "rectified", "rectified_magnitude"]


@dataclass(frozen=True)
class ReluRule:
    """Which part of a signal passes a ReLU on its way back.

    Guided: where the activation and the signal are positive. Deconvolution: where the signal is positive.
    Rectified: where activation times signal, or times its magnitude, exceeds a quantile over the layer.
    """

    kind: Kind
    percentile: float = 0.0

    def watching(self) -> Watching:
        """Start to watch the ReLUs of one forward."""
        return _WatchingReLUs(self)

    def passing(self, signal: Tensor, activation: Tensor) -> Tensor:
        """Return the part of a signal that passes; signal and activation are (B, ...)."""
        if self.kind in ("guided", "deconvolution"):
            positive = signal > 0
            return torch.where(positive & (activation > 0) if self.kind == "guided" else positive, signal, 0.0)
        size = signal.abs() if self.kind == "rectified_magnitude" else signal
        return beyond(signal, activation * size, quantile(activation * size, self.percentile))


def beyond(signal: Tensor, importance: Tensor, threshold: Tensor | float) -> Tensor:
    """Keep a signal where it is more important than a threshold."""
    return torch.where(importance > threshold, signal, 0.0)


class _WatchingReLUs(Watching):
    def __init__(self, rule: ReluRule) -> None:
        super().__init__()
        self.rule = rule
        self.count = 0

    def operate(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if name != "relu":
            return operation(*args, **options)
        self.count += 1
        images, rest = args[0] if args else options.pop("input"), args[1:]
        output, wrote = apply_to_copy(operation, (images, *rest), options)
        rule = self.rule
        return write_back(
            images, with_rule(output, (images,), lambda signal: (rule.passing(signal, output),)), wrote=wrote
        )

    def finish(self) -> None:
        """Refuse a model without ReLUs."""
        if not self.count:
            raise UnsuitableModelError(
                "Expected a model with ReLUs, but its forward ran none: the rule changes nothing but ReLUs, so that "
                "the map would silently be the plain gradient. Use a method for any activation, such as Gradient."
            )
