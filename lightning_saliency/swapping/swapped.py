"""Give images the cues of others."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.cues import Cue
from lightning_saliency.swapping.choices import Choices
from lightning_saliency.swapping.patchwork import transplanted


class Swapped(NamedTuple):
    """Images of which some have a cue of another one.

    Attributes:
        images: Images (B, C, *S), a new tensor.
        counts: How many of them got a cue of each name, on the images' device.
        is_mixed: Whether there were donors: images of two classes or, without labels, two images.
    """

    images: Images
    counts: dict[str, Tensor]
    is_mixed: Tensor


@torch.no_grad()
def swap(
    images: Images,
    labels: Tensor | None,
    choices: Choices,
    probability: float,
    generator: torch.Generator,
    *,
    joins_places: bool = False,
) -> Swapped:
    """Let each image draw a donor and a cue, and give it this cue if the donor is of another class.

    A donor of the same class changes nothing. So a cue that is always drawn has the same distribution in all classes,
    whatever their sizes. If donors were always of another class, each of two classes would end up with the cue of the
    other, and the network could learn that.

    Args:
        images: Images (B, C, *S).
        labels: Labels (B, ...), equal for images of one class; `None` makes each image a class.
        choices: Cues by name, of which each has the same chance. Of several cells an image gets a quarter.
        probability: Chance that an image draws.
        generator: Generator on the CPU, so that draws do not depend on the device.
        joins_places: Whether an image gets all cues that are places, and one of the others. A sign at a place would
            stay in the images that draw another place.
    """
    classes = torch.arange(len(images), device=images.device) if labels is None else labels.to(images.device)
    result = images.clone()
    counts = {name: torch.zeros((), dtype=torch.int64, device=images.device) for name in choices}
    drawing = (_uniform(len(images), generator) < probability).nonzero().flatten()
    donors = torch.randint(len(images), (len(drawing),), generator=generator, device="cpu")
    joined = [name for name, group in choices.items() if joins_places and _are_places(group)]
    drawn = [name for name in choices if name not in joined]
    numbers = torch.randint(max(1, len(drawn)), (len(drawing),), generator=generator, device="cpu")
    for name, group in choices.items():
        gets = torch.ones_like(numbers, dtype=torch.bool) if name in joined else numbers == drawn.index(name)
        pairs = torch.stack([drawing, donors])[:, gets]
        if not pairs.numel():
            continue
        # Nothing is read back from the device, which would make an accelerator wait.
        rows, others = pairs.to(images.device, non_blocking=True)
        differs = _differ(classes[rows], classes[others])
        before = result[rows]
        after = transplanted(group, before, images[others], generator)
        result[rows] = torch.where(differs.reshape(-1, *[1] * (images.ndim - 1)), after, before)
        counts[name] = differs.sum()
    return Swapped(result, counts, _differ(classes, classes[:1].expand_as(classes)).any())


def _are_places(group: Sequence[Cue]) -> bool:
    return all("place" in cue.families for cue in group)


def check_labels(images: Images, labels: Tensor | None) -> None:
    """Refuse labels that do not have a row for each image."""
    if labels is not None and (not isinstance(labels, Tensor) or labels.shape[:1] != images.shape[:1]):
        got = f"shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(
            f"`labels` must be a tensor with a row for each of {len(images)} images, but got {got}.  "
            "Pass None where there are no labels."
        )


def _uniform(size: int, generator: torch.Generator) -> Tensor:
    return torch.rand(size, generator=generator, dtype=torch.float32, device="cpu")


def _differ(first: Tensor, second: Tensor) -> Tensor:
    """Compare labels (B, ...) row by row, (B,)."""
    return (first != second).reshape(len(first), -1).any(dim=1)
