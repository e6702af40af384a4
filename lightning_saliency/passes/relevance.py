"""Relevance: layers hand what flows back on to their inputs in proportion to what these contributed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_saliency.passes.propagation import (
    Operation,
    Watching,
    apart,
    in_place,
    ruled,
    wants_gradient,
)
from lightning_saliency.passes.relevance_shares import Kind, Shares, Term, Terms

Operate: TypeAlias = Callable[[Operation, tuple[Any, ...], dict[str, Any]], Tensor]

CONVOLVING: Final = frozenset({"conv1d", "conv2d", "conv3d"})
AVERAGING: Final = frozenset({"mean", "sum"} | {f"{kind}avg_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)})
ADDING: Final = frozenset({"add", "iadd", "radd"})
ELEMENTWISE: Final = frozenset(
    {"relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus"}
    | {"hardswish", "tanh", "sigmoid", "hardsigmoid"}
)
SCALING: Final = frozenset({"mul", "imul", "rmul", "div", "truediv", "itruediv", "neg", "sub", "isub"})
# What moves or selects values hands relevance on as it does gradients.
MOVING: Final = frozenset(
    {"clone", "contiguous", "view", "reshape", "flatten", "unflatten", "permute", "transpose", "movedim", "squeeze"}
    | {"unsqueeze", "getitem", "cat", "concat", "stack", "pad", "chunk", "split", "narrow", "select", "to", "float"}
    | {"double", "type_as", "expand", "amax", "view_as", "detach", "requires_grad", "copy", "T", "channel_shuffle"}
    | {f"{kind}dropout{n}" for kind in ("", "feature_", "alpha_", "feature_alpha_") for n in ("", "1d", "2d", "3d")}
    | {f"{kind}max_pool{n}d{tail}" for kind in ("", "adaptive_") for n in (1, 2, 3) for tail in ("", "_with_indices")}
)


@dataclass(frozen=True)
class RelevanceRule:
    """How a layer deals relevance out to its inputs.

    Epsilon: in proportion to all contributions, the denominator kept `epsilon` away from zero; biases keep
    their share. Z-plus: in proportion to positive contributions, biases left out. Alpha-beta: alpha times the
    positive minus alpha - 1 times the negative ones, biases left out; where one kind is missing, the other
    counts once. Epsilon-plus: epsilon at linear layers, z-plus everywhere else.
    """

    kind: Kind
    epsilon: float
    alpha: float

    def watching(self) -> Watching:
        """Start to watch for layers."""
        return _WatchingLayers(self)

    def shares(self, dense: bool, whole: Terms, positive: Terms, negative: Terms, total: Tensor) -> Shares:
        """Say how relevance is dealt out in one layer."""
        kind = self.kind
        if kind == "epsilon_plus":
            kind = "epsilon" if dense else "z_plus"
        return Shares(kind, self.epsilon, self.alpha, whole, positive, negative, total)


class _Layer(NamedTuple):
    """A layer that a normalisation right behind it can be folded into."""

    output: Tensor
    images: Tensor
    weight: Tensor
    function: Callable[[Tensor, Tensor], Tensor]
    dense: bool


class _WatchingLayers(Watching):
    def __init__(self, rule: RelevanceRule) -> None:
        super().__init__()
        self.rule = rule
        self.last: _Layer | None = None
        self._layers: dict[str, Operate] = {
            **dict.fromkeys(CONVOLVING, self._weighted),
            "linear": partial(self._weighted, dense=True),
            "batch_norm": self._normalized,
            **dict.fromkeys(AVERAGING, self._averaged),
            **dict.fromkeys(ADDING, self._added),
        }

    def operate(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if not args and "input" in options:
            args = (options.pop("input"),)
        if not any(wants_gradient(value) for value in args):
            return operation(*args, **options)
        single = name in SCALING | ADDING and sum(wants_gradient(value) for value in args) == 1
        if name in ELEMENTWISE or single:
            return self._passed(name, operation, args, options)
        if name in self._layers:
            return self._layers[name](operation, args, options)
        found = operation(*args, **options)
        if name not in MOVING and wants_gradient(found):
            raise _unknown(name)
        return found

    def _passed(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        """One input for each output, which gets all of the relevance."""
        place = 0 if wants_gradient(args[0]) else 1
        own = args[place]
        if place == 1:
            with torch.no_grad():
                output, wrote = operation(args[0], own.detach(), **options), False
        else:
            output, wrote = apart(operation, args, options)
        if output.shape != own.shape:
            raise _unknown(name)
        return in_place(own, ruled(output, (own,), lambda relevance: (relevance,)), wrote)

    def _averaged(self, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        own, rest = args[0], args[1:]

        def function(part: Tensor) -> Tensor:
            result: Tensor = operation(part, *rest, **options)
            return result

        return self._linear(own, function, function(own.detach()))

    def _linear(self, own: Tensor, function: Callable[[Tensor], Tensor], total: Tensor) -> Tensor:
        """One input, contributing with weights that are not negative."""
        value = own.detach().clone()
        shares = self.rule.shares(
            False,
            lambda: [Term(value, function)],
            lambda: [Term(value.clamp(min=0), function)],
            lambda: [Term(value.clamp(max=0), function)],
            total,
        )
        return ruled(total, (own,), lambda relevance: (_total(shares.of(relevance)),))

    def _added(self, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        own, other = args[0], args[1]
        if own.shape != other.shape or options.get("alpha", 1) != 1 or len(args) > 2:
            raise _unknown("add")
        output, wrote = apart(operation, (own, other.detach()), options)
        values = own.detach().clone(), other.detach().clone()
        shares = self.rule.shares(
            False,
            lambda: [Term(value, torch.clone) for value in values],
            lambda: [Term(value.clamp(min=0), torch.clone) for value in values],
            lambda: [Term(value.clamp(max=0), torch.clone) for value in values],
            output,
        )

        def propagate(relevance: Tensor) -> tuple[Tensor, ...]:
            groups = shares.of(relevance)
            return tuple(torch.stack([group[index] for group in groups]).sum(dim=0) for index in (0, 1))

        return in_place(own, ruled(output, (own, other), propagate), wrote)

    def _weighted(
        self, operation: Operation, args: tuple[Any, ...], options: dict[str, Any], *, dense: bool = False
    ) -> Tensor:
        own = args[0]
        weight = args[1] if len(args) > 1 else options.pop("weight")
        bias = args[2] if len(args) > 2 else options.pop("bias", None)
        rest = args[3:]

        def function(part: Tensor, weight: Tensor) -> Tensor:
            result: Tensor = operation(part, weight, None, *rest, **options)
            return result

        with torch.no_grad():
            total = operation(own, weight, bias, *rest, **options)
        output = self._spread(own, weight.detach(), function, total, dense=dense)
        self.last = _Layer(output, own, weight.detach(), function, dense)
        return output

    def _normalized(self, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        """Fold the normalisation into the layer before it, or take it for a layer of its own."""
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        given = dict(zip(names, args, strict=False)) | options
        own, mean, variance = given["input"], given["running_mean"], given["running_var"]
        if given.get("training") or mean is None or variance is None:
            raise _unknown("batch_norm with the statistics of the batch")
        with torch.no_grad():
            total = operation(*args, **options)
            scale = (variance + given.get("eps", 1e-5)).rsqrt()
            scale = scale if given.get("weight") is None else scale * given["weight"]
        last = self.last
        if last is not None and last.output is own:
            weight = last.weight * scale.reshape(-1, *[1] * (last.weight.ndim - 1))
            return self._spread(last.images, weight, last.function, total, dense=last.dense)
        shaped = scale.reshape(1, -1, *[1] * (own.ndim - 2))
        return self._spread(own, shaped, torch.mul, total, dense=False)

    def _spread(
        self, own: Tensor, weight: Tensor, function: Callable[[Tensor, Tensor], Tensor], total: Tensor, *, dense: bool
    ) -> Tensor:
        value = own.detach().clone()

        def term(part: Tensor, factor: Tensor) -> Term:
            return Term(part, lambda inner: function(inner, factor))

        def positive() -> list[Term]:
            return [term(value.clamp(min=0), weight.clamp(min=0)), term(value.clamp(max=0), weight.clamp(max=0))]

        def negative() -> list[Term]:
            return [term(value.clamp(min=0), weight.clamp(max=0)), term(value.clamp(max=0), weight.clamp(min=0))]

        shares = self.rule.shares(dense, lambda: [term(value, weight)], positive, negative, total)
        return ruled(total, (own,), lambda relevance: (_total(shares.of(relevance)),))


def _total(groups: list[list[Tensor]]) -> Tensor:
    return torch.stack([share for group in groups for share in group]).sum(dim=0)


def _unknown(name: str) -> ValueError:
    return ValueError(
        "Expected a network of convolutions, linear layers, BatchNorm, activations, pooling and sums, but got "
        f"{name!r}, for which there is no rule of relevance: use another method, such as IntegratedGradients."
    )
