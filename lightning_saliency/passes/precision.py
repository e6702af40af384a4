"""Forwards for scoring only, in half precision where the device gains by it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias

import torch
from torch import nn

from lightning_saliency._model import logits_of
from lightning_saliency._random import keyed_normal
from lightning_saliency._types import Images, Logits, Model
from lightning_saliency.passes.folding import fold_normalizations, is_foldable
from lightning_saliency.passes.lending import Call, Loan, calls_of, in_half_precision, is_plain, lent

ScoringPrecision: TypeAlias = Literal["exact", "auto"]
PRECISIONS: Final = ("exact", "auto")
FOLDED_TOLERANCE: Final = 0.01
HALF_TOLERANCE: Final = 0.25
FAULTS: Final = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)


def scoring_forward(model: Model, images: Images, precision: ScoringPrecision) -> Model:
    """Return what predicts images for a score: the model, or with `"auto"` the same in bfloat16 where that is faster.

    Convolutions and linear layers are lent copies of their weights, cast once and with batch normalisations folded
    in, and images are laid out channels last, as far as the model then predicts noise as before. Whoever calls the
    model itself, as for gradients, finds it as it was. Models that are not in single precision, that run in half
    precision already, or that are plain functions, of which that cannot be known, are left as they are.
    Cost: a few forwards of two images at the first call, and half the memory of the weights.
    """
    if isinstance(model, nn.Module) and precision == "auto" and _is_single(model, images) and _gains(images.device):
        return _InHalfPrecision(model, images)
    return model


class _InHalfPrecision:
    """Predicts in the first of several ways, the fastest first, that does the model justice."""

    def __init__(self, model: nn.Module, images: Images) -> None:
        self.model = model
        # Of noise, so that the way does not depend on which images happen to be scored together.
        noise = [keyed_normal(images.shape[1:], f"scoring precision {place}") for place in range(2)]
        self.noise = torch.stack(noise).to(images)

    def __call__(self, images: Images) -> Logits:
        return self._way(images)

    @cached_property
    def _way(self) -> Callable[[Images], Logits]:
        try:
            calls, expected = calls_of(self.model, self.noise, lambda part: is_plain(part) or is_foldable(part))
        except FAULTS:  # not every model takes two images, or noise
            return self.model
        ways = (way for way in self._ways(calls, expected) if _agrees(way, self.noise, expected, HALF_TOLERANCE))
        return next(ways, self.model)

    def _ways(self, calls: list[Call], expected: Logits) -> Iterator["_Way"]:
        layouts = [torch.channels_last, torch.contiguous_format] if self.noise.ndim == 4 else [torch.contiguous_format]
        folded = fold_normalizations(calls)
        exact = _Way(self.model, folded, layouts[-1], enabled=False)
        if folded and not _agrees(exact, self.noise, expected, FOLDED_TOLERANCE):
            folded = []  # something else reads what a convolution makes
        plain = [call.module for call in calls if is_plain(call.module)]
        for layout in layouts:
            yield _Way(self.model, in_half_precision(plain, folded, layout), layout)
        for layout in layouts:
            yield _Way(self.model, [], layout)


@dataclass(frozen=True)
class _Way:
    """Half precision with some weights lent and one layout of images."""

    model: nn.Module
    loans: Sequence[Loan]
    layout: torch.memory_format
    enabled: bool = True

    @torch.no_grad()
    def __call__(self, images: Images) -> Logits:
        with lent(self.loans), torch.autocast(images.device.type, torch.bfloat16, enabled=self.enabled):
            logits: Logits = self.model(images.contiguous(memory_format=self.layout))
        return logits


def _agrees(forward: Callable[[Images], Logits], images: Images, expected: Logits, tolerance: float) -> bool:
    """Whether logits are the expected ones but for a share of how far they lie apart."""
    try:
        found = logits_of(forward, images.clone())
    except FAULTS:  # some models look at tensors in a way that their layout or their precision does not allow
        return False
    apart = (expected - expected.quantile(0.5, dim=1, keepdim=True)).abs()
    allowed = tolerance * (apart + apart.quantile(0.5, dim=1, keepdim=True))
    return bool(((found - expected).abs() <= allowed).all())


def _is_single(model: nn.Module, images: Images) -> bool:
    if torch.is_autocast_enabled(images.device.type):
        return False
    floating = {tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()}
    return floating == {torch.float32} and images.dtype == torch.float32


def _gains(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Torch has no public word for it. Emulated, half precision would be slower.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cpu" and bool(native)
