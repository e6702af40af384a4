"""Relevance that layers do not pass on: the share of their biases, so that everything is accounted for."""

from collections.abc import Iterator

import torch

from lightning_saliency._checks import UnsuitableModelError
from lightning_saliency._signals import let_interrupts_in
from lightning_saliency._types import Images, Model, Scores
from lightning_saliency.passes.chunks import chunk_size
from lightning_saliency.passes.propagation import check_watchable
from lightning_saliency.passes.relevance import WatchingLayers
from lightning_saliency.passes.relevance_rules import RelevanceRule
from lightning_saliency.targets import WAY_OUT, Target


def bias_relevance(
    model: Model, images: Images, target: Target, rule: RelevanceRule, max_batch_size: int
) -> Iterator[Scores]:
    """Yield chunk after chunk of the images with the relevance that biases keep, summed over all layers."""
    check_watchable(model)
    max_batch_size = chunk_size(images, max_batch_size)
    for chunk, chunk_target in zip(images.split(max_batch_size), target.split(max_batch_size), strict=True):
        let_interrupts_in()
        inputs = chunk.detach().clone().requires_grad_()
        dtype = torch.promote_types(chunk.dtype, torch.float32)
        biases = torch.zeros(len(chunk), dtype=dtype, device=chunk.device, requires_grad=True)
        with WatchingLayers(rule, biases):
            value = chunk_target.value(model(inputs.clone()))
        if not value.requires_grad:
            raise UnsuitableModelError(
                f"Expected a differentiable path from the images to the logits, but there is none: {WAY_OUT}."
            )
        (relevance,) = torch.autograd.grad(value, biases, value.detach(), allow_unused=True)
        yield torch.zeros_like(biases) if relevance is None else relevance
