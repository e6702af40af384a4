"""Fold normalisation by fixed statistics into the convolution before it."""

from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import Tensor, nn

from lightning_saliency._model import logits_of
from lightning_saliency._types import Images
from lightning_saliency.passes.lending import CONVOLUTIONS, Loan, is_plain, lent

NORMALIZATIONS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
TOLERANCE: Final = 1e-3


@torch.no_grad()
def fold_normalizations(model: nn.Module, image: Images) -> list[Loan]:
    """Find what makes convolutions do the work of the batch normalisations behind them.

    Each convolution gets the product of both, and the normalisation passes on what it is given. None are returned
    unless the model predicts an image as before with them: something else may read what a convolution makes.
    Cost: two forwards of one image.
    """
    pairs, expected = _pairs(model, image)
    loans = [loan for convolution, normalization in pairs for loan in _folded(convolution, normalization)]
    if not loans:
        return []
    with lent(loans):
        found = logits_of(model, image.clone())
    return loans if (found - expected).abs().max() <= TOLERANCE * expected.abs().max() else []


def _pairs(model: nn.Module, image: Images) -> tuple[list[tuple[nn.Module, nn.Module]], Tensor]:
    """Pair the normalisations that get just what a convolution made, where either runs once."""
    calls: list[tuple[nn.Module, Tensor | None, Tensor]] = []
    candidates = [m for m in model.modules() if _is_foldable(m) or (is_plain(m) and isinstance(m, CONVOLUTIONS))]
    with ExitStack() as stack:
        for candidate in candidates:

            def keep(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
                calls.append((module, inputs[0] if inputs else None, output))

            stack.callback(candidate.register_forward_hook(keep).remove)
        logits = logits_of(model, image.clone())
    modules = [module for module, _, _ in calls]
    made = {id(output): module for module, _, output in calls if isinstance(module, CONVOLUTIONS)}
    pairs = [(made[id(seen)], module) for module, seen, _ in calls if _is_foldable(module) and id(seen) in made]
    readers = [convolution for convolution, _ in pairs]
    return [
        (convolution, normalization)
        for convolution, normalization in pairs
        if modules.count(convolution) == modules.count(normalization) == readers.count(convolution) == 1
    ], logits


def _is_foldable(module: nn.Module) -> bool:
    if not isinstance(module, NORMALIZATIONS) or module._forward_pre_hooks or module._forward_hooks:
        return False
    tensors = (module.running_mean, module.running_var, module.weight, module.bias)
    return all(tensor is not None for tensor in tensors) and "forward" not in module.__dict__


def _folded(convolution: Any, normalization: Any) -> tuple[Loan, Loan]:
    scale = normalization.weight / (normalization.running_var + normalization.eps).sqrt()
    bias = 0.0 if convolution.bias is None else convolution.bias
    parameters = {
        "weight": convolution.weight * scale.reshape(-1, *[1] * (convolution.weight.ndim - 1)),
        "bias": normalization.bias + (bias - normalization.running_mean) * scale,
    }
    # Some subclasses have activations inside, which run after the normalisation.
    after = nn.Sequential(*normalization.children())
    return Loan(convolution, parameters), Loan(normalization, {}, after)
