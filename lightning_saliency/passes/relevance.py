"""Relevance: layers hand what flows back on to their inputs in proportion to what these contributed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

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

Kind: TypeAlias = Literal["epsilon", "z_plus", "alpha_beta", "epsilon_plus"]

WEIGHTED: Final = frozenset({"linear", "conv1d", "conv2d", "conv3d"})
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


class Term(NamedTuple):
    """A part of an input, and the linear function through which it contributes."""

    part: Tensor
    function: Callable[[Tensor], Tensor]


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

    def shares(self, dense: bool, whole: list[Term], signs: tuple[list[Term], list[Term]], total: Tensor) -> "Shares":
        """Say how relevance is dealt out in one layer."""
        return Shares(self, dense, whole, signs, total)


@dataclass(frozen=True)
class Shares:
    """One layer: all terms, the positive and the negative ones, and the output that they and the bias sum to."""

    rule: RelevanceRule
    dense: bool
    whole: list[Term]
    signs: tuple[list[Term], list[Term]]
    total: Tensor

    def of(self, relevance: Tensor) -> list[list[Tensor]]:
        """Deal relevance out; one list of shares of the terms for each group of terms."""
        kind = self.rule.kind
        if kind == "epsilon" or (kind == "epsilon_plus" and self.dense):
            away = torch.where(self.total < 0, -self.rule.epsilon, self.rule.epsilon)
            return [_dealt(self.whole, relevance / (self.total + away))]
        positive, negative = self.signs
        above = _sum(positive)
        if kind != "alpha_beta":
            return [_dealt(positive, _ratio(relevance, above))]
        below = _sum(negative)
        alpha = self.rule.alpha
        gains = torch.where(below == 0, 1.0, alpha)
        losses = torch.where(above == 0, 1.0, 1 - alpha)
        return [
            _dealt(positive, _ratio(relevance * gains, above)),
            _dealt(negative, _ratio(relevance * losses, below)),
        ]


def _dealt(terms: list[Term], per_unit: Tensor) -> list[Tensor]:
    """Multiply each term's part by what flows back to it."""
    shares = []
    for part, function in terms:
        with torch.enable_grad():
            inner = part.detach().requires_grad_()
            (flowing,) = torch.autograd.grad(function(inner), inner, per_unit)
        shares.append(part * flowing)
    return shares


def _sum(terms: list[Term]) -> Tensor:
    with torch.no_grad():
        return torch.stack([function(part) for part, function in terms]).sum(dim=0)


def _ratio(relevance: Tensor, total: Tensor) -> Tensor:
    return torch.where(total == 0, 0.0, relevance / torch.where(total == 0, 1.0, total))


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

    def operate(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if not args and "input" in options:
            args = (options.pop("input"),)
        if not any(wants_gradient(value) for value in args):
            return operation(*args, **options)
        if name in WEIGHTED:
            return self._weighted(name, operation, args, options)
        if name == "batch_norm":
            return self._normalized(operation, args, options)
        if name in AVERAGING:
            return self._averaged(operation, args, options)
        if name in ADDING and wants_gradient(args[0]) and wants_gradient(args[1]):
            return self._added(operation, args, options)
        single = name in SCALING | ADDING and sum(wants_gradient(value) for value in args) == 1
        if name in ELEMENTWISE or single:
            return self._passed(name, operation, args, options)
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
        signs = [Term(value.clamp(min=0), function)], [Term(value.clamp(max=0), function)]
        shares = self.rule.shares(False, [Term(value, function)], signs, total)
        return ruled(total, (own,), lambda relevance: (_total(shares.of(relevance)),))

    def _added(self, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        own, other = args[0], args[1]
        if own.shape != other.shape or options.get("alpha", 1) != 1 or len(args) > 2:
            raise _unknown("add")
        output, wrote = apart(operation, (own, other.detach()), options)
        values = own.detach().clone(), other.detach().clone()
        whole = [Term(value, torch.clone) for value in values]
        signs = (
            [Term(value.clamp(min=0), torch.clone) for value in values],
            [Term(value.clamp(max=0), torch.clone) for value in values],
        )
        shares = self.rule.shares(False, whole, signs, output)

        def propagate(relevance: Tensor) -> tuple[Tensor, ...]:
            groups = shares.of(relevance)
            return tuple(torch.stack([group[index] for group in groups]).sum(dim=0) for index in (0, 1))

        return in_place(own, ruled(output, (own, other), propagate), wrote)

    def _weighted(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        own = args[0]
        weight = args[1] if len(args) > 1 else options.pop("weight")
        bias = args[2] if len(args) > 2 else options.pop("bias", None)
        rest = args[3:]

        def function(part: Tensor, weight: Tensor) -> Tensor:
            result: Tensor = operation(part, weight, None, *rest, **options)
            return result

        with torch.no_grad():
            total = operation(own, weight, bias, *rest, **options)
        output = self._spread(own, weight.detach(), function, total, dense=name == "linear")
        # The input as it is now, since later operations may work on it in place.
        self.last = _Layer(output, own, weight.detach(), function, name == "linear")
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
        above, below = weight.clamp(min=0), weight.clamp(max=0)

        def terms(*pairs: tuple[Tensor, Tensor]) -> list[Term]:
            return [Term(part, lambda inner, factor=factor: function(inner, factor)) for part, factor in pairs]

        high, low = value.clamp(min=0), value.clamp(max=0)
        signs = terms((high, above), (low, below)), terms((high, below), (low, above))
        shares = self.rule.shares(dense, terms((value, weight)), signs, total)
        return ruled(total, (own,), lambda relevance: (_total(shares.of(relevance)),))


def _total(groups: list[list[Tensor]]) -> Tensor:
    return torch.stack([share for group in groups for share in group]).sum(dim=0)


def _unknown(name: str) -> ValueError:
    return ValueError(
        "Expected a network of convolutions, linear layers, BatchNorm, activations, pooling and sums, but got "
        f"{name!r}, for which there is no rule of relevance: use another method, such as IntegratedGradients."
    )
