"""Relevance: layers distribute what flows back among their inputs, in proportion to what these contributed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._types import per_image
from lightning_saliency.passes.propagation import (
    Operation,
    Watching,
    apply_to_copy,
    carries_gradient,
    with_rule,
    write_back,
)
from lightning_saliency.passes.relevance_rules import (
    Contributions,
    LayerKind,
    RelevanceRule,
    Term,
    distribute,
    retained,
    total_of,
)

Operate: TypeAlias = Callable[[Operation, tuple[Any, ...], dict[str, Any]], Tensor]

CONVOLVING: Final = frozenset({"conv1d", "conv2d", "conv3d"})
AVERAGING: Final = frozenset({"mean", "sum"} | {f"{kind}avg_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)})
ADDING: Final = frozenset({"add", "iadd", "radd"})
ELEMENTWISE: Final = frozenset(
    {"relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus"}
    | {"hardswish", "tanh", "sigmoid", "hardsigmoid"}
)
SCALING: Final = frozenset({"mul", "imul", "rmul", "div", "truediv", "itruediv", "neg", "sub", "isub"})
# Operations that move or select values pass relevance on as they pass gradients.
MOVING: Final = frozenset(
    {"clone", "contiguous", "view", "reshape", "flatten", "unflatten", "permute", "transpose", "movedim", "squeeze"}
    | {"unsqueeze", "getitem", "gather", "cat", "concat", "stack", "pad", "chunk", "split", "narrow", "select", "to"}
    | {
        "float",
        "double",
        "type_as",
        "expand",
        "amax",
        "view_as",
        "detach",
        "requires_grad",
        "copy",
        "T",
        "channel_shuffle",
    }
    | {f"{kind}dropout{n}" for kind in ("", "feature_", "alpha_", "feature_alpha_") for n in ("", "1d", "2d", "3d")}
    | {f"{kind}max_pool{n}d{tail}" for kind in ("", "adaptive_") for n in (1, 2, 3) for tail in ("", "_with_indices")}
)


@dataclass(frozen=True)
class Relevance:
    """Relevance instead of gradients: every layer distributes what arrives at it as the rule says."""

    rule: RelevanceRule

    def watching(self) -> Watching:
        """Start to watch the layers of one forward."""
        return WatchingLayers(self.rule)


class _Layer(NamedTuple):
    """A layer that a normalisation directly after it can be folded into."""

    output: Tensor
    images: Tensor
    weight: Tensor
    function: Callable[[Tensor, Tensor], Tensor]
    kind: LayerKind


class WatchingLayers(Watching):
    """Watches layers and distributes relevance among their inputs.

    Args:
        rule: The rule by which it is distributed.
        biases: Zeros (B,) to which the relevance of each image flows that layers do not pass on; `None` where
            nobody asks for it.
    """

    def __init__(self, rule: RelevanceRule, biases: Tensor | None = None) -> None:
        super().__init__()
        self.rule = rule
        self.biases = biases
        self.last: _Layer | None = None
        self._layers: dict[str, Operate] = {
            **dict.fromkeys(CONVOLVING, partial(self._weighted, kind="convolution")),
            "linear": partial(self._weighted, kind="dense"),
            "batch_norm": self._normalized,
            **dict.fromkeys(AVERAGING, self._averaged),
            **dict.fromkeys(ADDING, self._added),
        }

    def operate(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Give a layer's output its rule, and refuse operations without one."""
        if not args and "input" in options:
            args = (options.pop("input"),)
        if not any(carries_gradient(value) for value in args):
            return operation(*args, **options)
        single = name in SCALING | ADDING and sum(carries_gradient(value) for value in args) == 1
        if name in ELEMENTWISE or single:
            return self._passed(name, operation, args, options)
        if name in self._layers:
            return self._layers[name](operation, args, options)
        output = operation(*args, **options)
        if name not in MOVING and carries_gradient(output):
            raise _unknown(f"{name} of two activations" if name in SCALING else name)
        return output

    def _passed(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        """One input for each output, which gets all of the relevance."""
        place = 0 if carries_gradient(args[0]) else 1
        value = args[place]
        if place == 1:
            with torch.no_grad():
                output, wrote = operation(args[0], value.detach(), **options), False
        else:
            output, wrote = apply_to_copy(operation, args, options)
        if output.shape != value.shape:
            raise _unknown(name)
        return write_back(value, with_rule(output, (value,), lambda relevance: (relevance,)), wrote=wrote)

    def _averaged(self, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        """One input, contributing with weights that are not negative."""
        images, rest = args[0], args[1:]

        def function(part: Tensor) -> Tensor:
            result: Tensor = operation(part, *rest, **options)
            return result

        value = images.detach().clone()
        contributions = Contributions(
            lambda: [Term(value, function)],
            lambda: [Term(value.clamp(min=0), function)],
            lambda: [Term(value.clamp(max=0), function)],
            function(images.detach()),
        )
        return self._distributed((images,), contributions, "sum")

    def _added(self, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        first, second = args[0], args[1]
        if first.shape != second.shape or options.get("alpha", 1) != 1 or len(args) > 2:
            raise _unknown("add")
        output, wrote = apply_to_copy(operation, (first, second.detach()), options)
        values = first.detach().clone(), second.detach().clone()
        contributions = Contributions(
            lambda: [Term(value, torch.clone) for value in values],
            lambda: [Term(value.clamp(min=0), torch.clone) for value in values],
            lambda: [Term(value.clamp(max=0), torch.clone) for value in values],
            output,
        )
        return write_back(first, self._distributed((first, second), contributions, "sum"), wrote=wrote)

    def _weighted(
        self, operation: Operation, args: tuple[Any, ...], options: dict[str, Any], *, kind: LayerKind
    ) -> Tensor:
        images = args[0]
        weight = args[1] if len(args) > 1 else options.pop("weight")
        bias = args[2] if len(args) > 2 else options.pop("bias", None)
        rest = args[3:]

        def function(part: Tensor, weight: Tensor) -> Tensor:
            result: Tensor = operation(part, weight, None, *rest, **options)
            return result

        with torch.no_grad():
            total = operation(images, weight, bias, *rest, **options)
        output = self._spread(images, weight.detach(), function, total, kind)
        self.last = _Layer(output, images, weight.detach(), function, kind)
        return output

    def _normalized(self, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        """Fold the normalisation into the layer before it, or treat it as a layer."""
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        arguments = dict(zip(names, args, strict=False)) | options
        images, mean, variance = arguments["input"], arguments["running_mean"], arguments["running_var"]
        if arguments.get("training") or mean is None or variance is None:
            raise _unknown("batch_norm with the statistics of the batch")
        with torch.no_grad():
            total = operation(*args, **options)
            scale = (variance + arguments.get("eps", 1e-5)).rsqrt()
            scale = scale if arguments.get("weight") is None else scale * arguments["weight"]
        last = self.last
        if last is not None and last.output is images:
            weight = last.weight * per_image(scale, last.weight)
            return self._spread(last.images, weight, last.function, total, last.kind)
        return self._spread(images, per_image(scale[None], images), torch.mul, total, "sum")

    def _spread(
        self,
        images: Tensor,
        weight: Tensor,
        function: Callable[[Tensor, Tensor], Tensor],
        total: Tensor,
        kind: LayerKind,
    ) -> Tensor:
        value = images.detach().clone()

        def term(part: Tensor, factor: Tensor) -> Term:
            return Term(part, lambda inner: function(inner, factor))

        def positive() -> list[Term]:
            weights = weight.clamp(min=0), weight.clamp(max=0)
            return [term(*each) for each in zip(_halves(value), weights, strict=False)]

        def negative() -> list[Term]:
            weights = weight.clamp(max=0), weight.clamp(min=0)
            return [term(*each) for each in zip(_halves(value), weights, strict=False)]

        contributions = Contributions(lambda: [term(value, weight)], positive, negative, total)
        return self._distributed((images,), contributions, kind)

    def _distributed(self, inputs: tuple[Tensor, ...], contributions: Contributions, kind: LayerKind) -> Tensor:
        """Return the output; relevance flows back to the only input, or to the inputs that are the terms."""
        portions, biases = self.rule.of_layer(kind), self.biases

        def propagate(relevance: Tensor) -> tuple[Tensor, ...]:
            groups = list(distribute(portions, contributions, relevance))
            shares = zip(*groups, strict=True) if len(inputs) > 1 else [[share for group in groups for share in group]]
            result = tuple(total_of(each) for each in shares)
            if biases is None:
                return result
            rest = retained(portions, contributions, relevance)
            return *result, rest.reshape(len(biases), -1).sum(dim=1).to(biases)

        return with_rule(contributions.total, inputs if biases is None else (*inputs, biases), propagate)


def _halves(value: Tensor) -> list[Tensor]:
    """Return the positive and the negative part of a value, or itself if it has no negative part, as after a ReLU.

    Only a CPU looks: other devices would have to be waited for.
    """
    if value.device.type == "cpu" and (value >= 0).all():
        return [value]
    return [value.clamp(min=0), value.clamp(max=0)]


def _unknown(name: str) -> ValueError:
    return ValueError(
        "Expected a network of convolutions, linear layers, BatchNorm, activations, pooling and sums, but got "
        f"{name!r}, for which there is no rule of relevance: use another method, such as IntegratedGradients."
    )
