"""Contributions of every layer's bias to the target's value: the full gradient of the network."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from lightning_saliency._checks import UnsuitableModelError
from lightning_saliency._signals import let_interrupts_in
from lightning_saliency._types import Images, Model, per_image
from lightning_saliency.passes.chunks import chunk_size
from lightning_saliency.passes.propagation import Operation, Watching, check_watchable
from lightning_saliency.targets import WAY_OUT, Target

BIASED: Final = frozenset(
    {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
)


class FullGradients(NamedTuple):
    """Contributions of the input and of the biases to the target's value.

    Attributes:
        of_input: Input times gradient, (B, C, *S).
        of_biases: Bias times gradient of each layer that has one, (B, K, ...), in the order in which they run.
    """

    of_input: Tensor
    of_biases: list[Tensor]


def full_gradients(
    model: Model, images: Images, target: Target, max_batch_size: int
) -> Iterator[tuple[Images, FullGradients]]:
    """Yield chunk after chunk of the images with the contributions of the input and of all biases."""
    check_watchable(model)
    max_batch_size = chunk_size(images, max_batch_size)
    for chunk, chunk_target in zip(images.split(max_batch_size), target.split(max_batch_size), strict=True):
        let_interrupts_in()
        inputs = chunk.detach().clone().requires_grad_()
        with _WatchingBiases() as layers:
            # The network gets a copy, because in-place operations are refused on what gradients are taken of.
            value = chunk_target.value(model(inputs.clone())).sum()
        if not value.requires_grad:
            raise UnsuitableModelError(
                f"Expected a differentiable path from the images to the logits, but there is none: {WAY_OUT}."
            )
        tensors = [inputs, *(output for output, _ in layers.biased)]
        gradients = torch.autograd.grad(value, tensors, allow_unused=True)
        of_input, *of_outputs = (_or_zeros(gradient, of) for gradient, of in zip(gradients, tensors, strict=True))
        biases = [gradient * bias for gradient, (_, bias) in zip(of_outputs, layers.biased, strict=True)]
        yield chunk, FullGradients(chunk * of_input, biases)


def _or_zeros(gradient: Tensor | None, of: Tensor) -> Tensor:
    return torch.zeros_like(of) if gradient is None else gradient


class _WatchingBiases(Watching):
    """Keeps the output and the bias of every layer that adds one."""

    def __init__(self) -> None:
        super().__init__()
        self.biased: list[tuple[Tensor, Tensor]] = []

    def operate(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        output = operation(*args, **options)
        if name in BIASED:
            return self._recorded(output, args[2] if len(args) > 2 else options.get("bias"), last=name == "linear")
        if name == "batch_norm":
            return self._recorded(output, _bias_of_norm(args, options), last=False)
        return output

    def _recorded(self, output: Tensor, bias: Tensor | None, *, last: bool) -> Tensor:
        if bias is None or not output.requires_grad:
            return output
        shaped = bias.detach() if last else per_image(bias.detach()[None], output)
        self.biased.append((output, shaped))
        # The network gets a copy, since a later in-place activation would overwrite the recorded output.
        return output.clone()


def _bias_of_norm(args: tuple[Any, ...], options: dict[str, Any]) -> Tensor | None:
    """Return the constant that normalisation adds in evaluation mode: bias - mean * weight / deviation."""
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    arguments = dict(zip(names, args, strict=False)) | options
    mean, variance = arguments.get("running_mean"), arguments.get("running_var")
    if arguments.get("training") or mean is None or variance is None:
        return None
    scale = (variance + arguments.get("eps", 1e-5)).rsqrt()
    scale = scale if arguments.get("weight") is None else scale * arguments["weight"]
    shift: Tensor = -mean * scale
    return shift if arguments.get("bias") is None else shift + arguments["bias"]
