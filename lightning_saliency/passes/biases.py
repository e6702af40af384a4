"""What every layer's bias contributes to the logit: the full gradient of the network."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from lightning_saliency._checks import check_classes
from lightning_saliency._model import WAY_OUT, logits_of
from lightning_saliency._types import Images, Model, Targets
from lightning_saliency.passes.propagation import Operation, Watching

BIASED: Final = frozenset(
    {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
)


class FullGradients(NamedTuple):
    """What the input and the biases contribute to the target's logit.

    Attributes:
        of_input: Input times gradient, (B, C, *S).
        of_biases: Bias times gradient of each layer that has one, (B, K, ...), in the order in which they run.
    """

    of_input: Tensor
    of_biases: list[Tensor]


def full_gradients(
    model: Model, images: Images, targets: Targets, max_batch_size: int
) -> Iterator[tuple[Images, FullGradients]]:
    """Yield chunk after chunk of the images with what the input and all biases contribute."""
    for chunk, chunk_targets in zip(images.split(max_batch_size), targets.split(max_batch_size), strict=True):
        inputs = chunk.detach().clone().requires_grad_()
        with _WatchingBiases() as seen:
            # The network gets a copy, because in-place operations are refused on what gradients are taken of.
            logits = logits_of(model, inputs.clone())
        check_classes(chunk_targets, logits.shape[1])
        score = logits.gather(1, chunk_targets[:, None].clone()).sum()
        if not score.requires_grad:
            raise ValueError(
                f"Expected a differentiable path from the images to the logits, but there is none: {WAY_OUT}."
            )
        outputs = [output for output, _ in seen.found]
        gradients = torch.autograd.grad(score, [inputs, *outputs], allow_unused=True)
        own, *others = (_known(gradient, to) for gradient, to in zip(gradients, [inputs, *outputs], strict=True))
        biases = [gradient * bias for gradient, (_, bias) in zip(others, seen.found, strict=True)]
        yield chunk, FullGradients(chunk * own, biases)


def _known(gradient: Tensor | None, of: Tensor) -> Tensor:
    return torch.zeros_like(of) if gradient is None else gradient


class _WatchingBiases(Watching):
    """Keeps the output and the bias of every layer that adds one."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[Tensor, Tensor]] = []

    def operate(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        output = operation(*args, **options)
        if name in BIASED:
            return self._kept(output, args[2] if len(args) > 2 else options.get("bias"), last=name == "linear")
        if name == "batch_norm":
            return self._kept(output, _bias_of_norm(args, options), last=False)
        return output

    def _kept(self, output: Tensor, bias: Tensor | None, *, last: bool) -> Tensor:
        if bias is None or not output.requires_grad:
            return output
        shape = [1] * (output.ndim - 1) + [-1] if last else [1, -1] + [1] * (output.ndim - 2)
        self.found.append((output, bias.detach().reshape(shape)))
        # The network gets a copy, since a later in-place activation would overwrite what was kept.
        return output.clone()


def _bias_of_norm(args: tuple[Any, ...], options: dict[str, Any]) -> Tensor | None:
    """Return what normalisation in evaluation adds: bias - mean * weight / deviation."""
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    given = dict(zip(names, args, strict=False)) | options
    mean, variance = given.get("running_mean"), given.get("running_var")
    if given.get("training") or mean is None or variance is None:
        return None
    scale = (variance + given.get("eps", 1e-5)).rsqrt()
    scale = scale if given.get("weight") is None else scale * given["weight"]
    shift: Tensor = -mean * scale
    return shift if given.get("bias") is None else shift + given["bias"]
