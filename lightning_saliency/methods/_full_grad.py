"""Maps of what the input and every bias of a network contribute to the logit."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_saliency._types import Images, Maps, Model, Targets
from lightning_saliency.methods._layer_method import Pooled, check_pooled
from lightning_saliency.methods._stream_method import DEFAULT_BATCH_SIZE, prepared
from lightning_saliency.methods._upsampling import upsample
from lightning_saliency.passes.biases import FullGradients, full_gradients
from lightning_saliency.passes.statistics import part_of


@dataclass(frozen=True)
class FullGrad:
    """Input times gradient plus, layer by layer, bias times gradient, brought to the image's size and summed.

    Biases are those of convolutions, linear layers and BatchNorm in evaluation, wherever they run. With
    `psi="absolute"`, the paper's, or `"positive"`, that part of each layer is scaled to [0, 1] in each image
    before channels are summed, and layers without positions are left out. With `psi="signed"` nothing is
    scaled. In networks of ReLUs `attribute` is complete: it sums to the target's logit, layers without
    positions spread evenly over the image. Cost: one forward and one backward per image, which keeps the
    outputs of all layers.

    Args:
        psi: What is done to each layer: `"absolute"`, `"positive"` or `"signed"`. All but the last lose
            sight of the class: see `ClassSensitivity`.
        name: Key in results and logs.

    Raises:
        ValueError: If `psi` is unknown.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> images = torch.rand(1, 1, 2, 2)
        >>> found = FullGrad().attribute(model, images, torch.tensor([0])).sum()
        >>> torch.allclose(found, model(images)[0, 0])
        True

    References:
        Srinivas and Fleuret, "Full-Gradient Representation for Neural Network Visualization", 2019.
        https://arxiv.org/abs/1905.00780
    """

    psi: Pooled = "absolute"
    name: str = "full_grad"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_pooled(self.psi, "psi")

    def __call__(
        self,
        model: Model,
        images: Images,
        targets: Targets | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Maps:
        """Explain images; `targets=None` explains the predicted classes. Returns raw float32 maps (B, *S)."""
        with prepared(model, images, targets, max_batch_size) as (own, known):
            chunks = full_gradients(model, own, known, max_batch_size)
            return torch.cat([self._map(*chunk) for chunk in chunks]).float()

    def attribute(
        self,
        model: Model,
        images: Images,
        targets: Targets | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Tensor:
        """Return what each pixel contributes with its sign, (B, *S), in units of logit."""
        with prepared(model, images, targets, max_batch_size) as (own, known):
            return torch.cat([_complete(*chunk) for chunk in full_gradients(model, own, known, max_batch_size)])

    def baselines(self, images: Images) -> tuple[Images, ...]:
        """Return what the attribution is complete against: nothing, since the whole logit is accounted for."""
        return ()

    def _map(self, images: Images, found: FullGradients) -> Maps:
        terms = [found.of_input, *(term for term in found.of_biases if term.ndim == images.ndim)]
        return torch.stack([upsample(self._seen(term).sum(dim=1), images) for term in terms]).sum(dim=0)

    def _seen(self, term: Tensor) -> Tensor:
        if self.psi == "signed":
            return term
        part = part_of(term, self.psi)
        flat = part.flatten(1)
        low, high = flat.amin(dim=1), flat.amax(dim=1)
        spread = torch.where(high > low, high - low, 1.0)
        shape = (-1, *[1] * (part.ndim - 1))
        return (part - low.reshape(shape)) / spread.reshape(shape)


def _complete(images: Images, found: FullGradients) -> Maps:
    maps = found.of_input.sum(dim=1)
    for term in found.of_biases:
        total = term.flatten(1).sum(dim=1).reshape(-1, *[1] * (maps.ndim - 1))
        if term.ndim == images.ndim:
            small = term.sum(dim=1)
            spread = upsample(small, images) * (small[0].numel() / maps[0].numel())
            maps = maps + spread
            total = total - spread.flatten(1).sum(dim=1).reshape(total.shape)
        maps = maps + total / maps[0].numel()
    return maps
