"""Maps of the contributions of the input and of every bias to the logit."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lightning_saliency._saliency_method import DEFAULT_BATCH_SIZE, SaliencyMethod, prepared
from lightning_saliency._types import Images, Maps, Model, per_image
from lightning_saliency.methods._layer_method import Pooled, check_pooled
from lightning_saliency.methods._upsampling import upsample
from lightning_saliency.passes._normalize import is_blank
from lightning_saliency.passes.biases import FullGradients, full_gradients
from lightning_saliency.passes.statistics import part_of
from lightning_saliency.targets import Target, TargetLike


@dataclass(frozen=True)
class FullGrad(SaliencyMethod):
    """Input times gradient plus every layer's bias times gradient, upsampled to the image's size and summed.

    Biases are those of convolutions, linear layers and BatchNorm in evaluation mode, in modules and in functions.
    With `psi="absolute"`, the paper's, or `"positive"`, that part of each layer is scaled to [0, 1] in each image
    before channels are summed, and layers without positions are left out. With `psi="signed"` nothing is scaled.
    In networks of ReLUs `attribute` is complete: it sums to the target's logit, with the contributions of layers
    without positions spread evenly over the image. Cost: one forward and one backward per image, which keeps the
    outputs of all layers.

    Args:
        psi: Part of each layer that is summed: `"absolute"`, `"positive"` or `"signed"`. Maps of the first two are
            nearly the same for every class: see `ClassSensitivity`.
        name: Key in results and logs.

    Raises:
        ValueError: If `psi` is unknown.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> images = torch.rand(1, 1, 2, 2)
        >>> total = FullGrad().attribute(model, images, torch.tensor([0])).sum()
        >>> torch.allclose(total, model(images)[0, 0])
        True

    References:
        Srinivas and Fleuret, "Full-Gradient Representation for Neural Network Visualization", 2019.
        https://arxiv.org/abs/1905.00780
    """

    psi: Pooled = "absolute"
    name: str = "full_grad"
    watches_operations: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_pooled(self.psi, "psi")

    def maps(self, model: Model, images: Images, target: Target, max_batch_size: int) -> Maps:
        """Sum what the input and the biases contribute."""
        return torch.cat([self._map(*chunk) for chunk in full_gradients(model, images, target, max_batch_size)])

    @property
    def has_attribution(self) -> bool:
        """True."""
        return True

    def attribute(
        self,
        model: Model,
        images: Images,
        targets: TargetLike | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Tensor:
        """Return each pixel's signed contribution (B, *S), in units of logit."""
        with prepared(model, images, targets, max_batch_size) as (inputs, target):
            return torch.cat([_complete(*chunk) for chunk in full_gradients(model, inputs, target, max_batch_size)])

    def baselines(self, images: Images) -> tuple[Images, ...]:
        """Return no baseline, since the attribution sums to the logit."""
        return ()

    def _map(self, images: Images, gradients: FullGradients) -> Maps:
        terms = [gradients.of_input, *(term for term in gradients.of_biases if term.ndim == images.ndim)]
        return torch.stack([upsample(self._summed(term), images) for term in terms]).sum(dim=0)

    def _summed(self, term: Tensor) -> Maps:
        if self.psi == "signed":
            return term.sum(dim=1)
        return _sum_of_scaled(part_of(term, self.psi))


def _sum_of_scaled(parts: Tensor) -> Maps:
    """Scale contributions (B, C, *S) to [0, 1] in each image and sum the channels.

    The sum is scaled in place of the channels, which are many times larger; it is as of `normalize(parts).sum(dim=1)`.
    """
    parts = parts if parts.dtype == torch.float64 else parts.float()
    flat = parts.flatten(1)
    lowest, highest = flat.amin(dim=1), flat.amax(dim=1)
    blank = is_blank(torch.stack([lowest, highest], dim=1))
    summed = parts.sum(dim=1)
    scaled = (summed - per_image(parts.shape[1] * lowest, summed)) / per_image(highest - lowest, summed)
    return torch.where(per_image(blank, summed), 0.0, scaled)


def _complete(images: Images, gradients: FullGradients) -> Maps:
    maps = gradients.of_input.sum(dim=1)
    for term in gradients.of_biases:
        total = per_image(term.flatten(1).sum(dim=1), maps)
        if term.ndim == images.ndim:
            small = term.sum(dim=1)
            spread = upsample(small, images) * (small[0].numel() / maps[0].numel())
            maps = maps + spread
            total = total - spread.flatten(1).sum(dim=1).reshape(total.shape)
        maps = maps + total / maps[0].numel()
    return maps
