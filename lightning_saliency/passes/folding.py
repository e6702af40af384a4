"""Fold batch normalisation by fixed statistics into the convolution before it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_weights

from lightning_saliency.passes.lending import CONVOLUTIONS, Call, Loan, is_untouched, is_whole

NORMALIZATIONS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def is_foldable(module: nn.Module) -> bool:
    """Whether a module normalises by statistics of its own, and has inside at most what runs afterwards.

    timm's normalisations have their activation inside.
    """
    if not isinstance(module, NORMALIZATIONS) or not is_untouched(module):
        return False
    if any(isinstance(child, (nn.ModuleList, nn.ModuleDict)) for child in module.children()):
        return False
    has_statistics = module.running_mean is not None and module.running_var is not None
    return has_statistics and all(map(is_whole, (module.running_mean, module.weight, module.bias)))


@torch.no_grad()
def fold_normalizations(calls: Sequence[Call]) -> list[Loan]:
    """Lend convolutions the work of the normalisations that read them, which then pass on what they are given.

    Who else reads what a convolution makes would be misled: whether the model predicts as before is for the
    caller to check.

    Args:
        calls: The calls of plain convolutions and of foldable normalisations in one forward.
    """
    times = Counter(call.module for call in calls)
    made = {call.made: call.module for call in calls if isinstance(call.module, CONVOLUTIONS)}
    read = [call for call in calls if is_foldable(call.module) and call.seen in made]
    readers = Counter(made[call.seen] for call in read)
    loans: list[Loan] = []
    for call in read:
        convolution = made[call.seen]
        if times[convolution] == times[call.module] == readers[convolution] == 1:
            loans += _folded(convolution, call.module)
    return loans


def _folded(convolution: Any, norm: Any) -> tuple[Loan, Loan]:
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    after = nn.Sequential(*norm.children())
    return Loan(convolution, {"weight": weight, "bias": bias}), Loan(norm, {}, after)
