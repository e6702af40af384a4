"""Forwards for scoring only, in half precision where the device gains by it."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import torch
from torch import nn

from lightning_saliency._types import Images, Logits, Model
from lightning_saliency.passes.folding import fold_normalizations
from lightning_saliency.passes.lending import Loan, in_half_precision, lent

ScoringPrecision: TypeAlias = Literal["exact", "auto"]
PRECISIONS: Final = ("exact", "auto")


def scoring_forward(model: Model, images: Images, precision: ScoringPrecision) -> Model:
    """Return what predicts images for a score: the model, or with `"auto"` the same in bfloat16 where that is faster.

    Convolutions and linear layers are lent copies of their weights, cast once and with batch normalisations folded
    in, and images are laid out channels last. Whoever calls the model itself, as for gradients, finds it as it was.
    Models that are not in single precision, that run in half precision already, or that are plain functions, of
    which that cannot be known, are left as they are. Cost: up to four forwards of one image.
    """
    if precision == "exact" or not (_is_single(model, images) and _gains(images.device)):
        return model
    return _in_half_precision(model, images[:1])  # type: ignore[arg-type]  # a module, as was seen above


def _in_half_precision(model: nn.Module, image: Images) -> Model:
    """Take the fastest way that the model can go."""
    loans = in_half_precision(model, fold_normalizations(model, image))
    ways = [_Way(model, loans, channels_last=True), _Way(model, loans, channels_last=False)]
    return next((way for way in ways if way.works(image)), _Way(model, (), channels_last=False))


class _Way:
    """A way of predicting in half precision."""

    def __init__(self, model: nn.Module, loans: Sequence[Loan], *, channels_last: bool) -> None:
        self.model = model
        self.loans = loans
        self.channels_last = channels_last

    def __call__(self, images: Images) -> Logits:
        if self.channels_last and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with lent(self.loans), torch.autocast(images.device.type, torch.bfloat16):
            logits: Logits = self.model(images)
        return logits

    @torch.no_grad()
    def works(self, image: Images) -> bool:
        """Try it: some models look at a tensor in a way that its layout or its precision does not allow."""
        try:
            self(image.clone())
        except RuntimeError:
            return False
        return True


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
