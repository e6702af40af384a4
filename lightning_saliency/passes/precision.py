"""Forwards for scoring only, in half precision where the device gains by it."""

from typing import Final, Literal, TypeAlias

import torch
from torch import nn

from lightning_saliency._types import Images, Logits, Model

ScoringPrecision: TypeAlias = Literal["exact", "auto"]
PRECISIONS: Final = ("exact", "auto")


def scoring_forward(model: Model, images: Images, precision: ScoringPrecision) -> Model:
    """Return what predicts images for a score: the model, or with `"auto"` the same in bfloat16 where that is faster.

    Parameters are cast as they are used, and images laid out channels last: the model itself is not touched.
    Models that are not in single precision, that run in half precision already, or that are plain functions, of
    which that cannot be known, are left as they are.
    """
    if precision == "exact" or not (_is_single(model, images) and _gains(images.device)):
        return model

    def forward(images: Images) -> Logits:
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16):
            logits: Logits = model(images)
        return logits

    return forward


def _is_single(model: Model, images: Images) -> bool:
    if not isinstance(model, nn.Module) or torch.is_autocast_enabled(images.device.type):
        return False
    floating = {tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()}
    return floating == {torch.float32} and images.dtype == torch.float32


def _gains(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Torch has no public word for it. Emulated, half precision would be slower.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cpu" and bool(native)
