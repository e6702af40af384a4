"""The batch transform that swaps cues."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_saliency._checks import check_images, check_integer, check_number
from lightning_saliency._types import Images
from lightning_saliency.cues import Cue
from lightning_saliency.swapping.choices import DEFAULT_SWAPS, Choices, choices_of, fitting
from lightning_saliency.swapping.swapped import check_labels, swap


@dataclass(frozen=True)
class SwapCues:
    """Gives training images cues of others, and leaves labels alone, so that a network cannot learn from the cues.

    Each image draws a donor from its batch and one of the cues. If the donor is of another class, the image gets this
    cue of it. A cue that is always drawn (one cue, `probability=1`) tells nothing about the class any more, whatever
    the number of classes. `CueSwap` does the same in a `Trainer`.

    Args:
        cues: Names and instances of cues that need no maps; `"cell"` is 4 of 16 cells. `None` takes `"wide_frame"`,
            `"cell"`, `"level"`, `"colour"`, `"spectrum"` and `"sharpness"`, those of them that apply to the images.
        probability: Chance that an image draws.
        seed: Seed of the draws. Give each process another one.

    Attributes:
        generator: Makes the draws, so that torch's own random state stays as it is. Keep `generator.get_state()` in
            checkpoints to continue exactly.

    Raises:
        TypeError: If an argument is not of the kind expected.
        ValueError: If a cue is unknown, repeated or needs maps, or the probability is not in (0, 1].

    Example:
        >>> import torch
        >>> images = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 1, 8, 8)
        >>> labels = torch.tensor([0, 1, 0, 1])
        >>> swapped = SwapCues(["level"], probability=1, seed=1)(images, labels)
        >>> images[:, 0, 0, 0], swapped[:, 0, 0, 0]
        (tensor([0., 1., 2., 3.]), tensor([3., 1., 3., 3.]))
    """

    cues: Sequence[str | Cue] | None = None
    probability: float = 1.0
    seed: int = 0
    choices: Choices = field(init=False, repr=False, compare=False)
    generator: torch.Generator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the arguments, and look the cues up."""
        check_number("probability", self.probability, minimum=0)
        if not 0 < self.probability <= 1:
            raise ValueError(f"`probability` must lie in (0, 1], but got {self.probability}.")
        check_integer("seed", self.seed, minimum=0)
        object.__setattr__(self, "choices", choices_of(DEFAULT_SWAPS if self.cues is None else self.cues))
        object.__setattr__(self, "cues", None if self.cues is None else tuple(self.cues))
        object.__setattr__(self, "generator", torch.Generator("cpu").manual_seed(self.seed))

    def __call__(self, images: Images, labels: Tensor | None = None) -> Images:
        """Return new images, some of them with the cue of another one.

        Args:
            images: Images (B, C, *S), prepared as the network receives them. They stay as they are.
            labels: Labels (B, ...), by which donors of another class are told; `None` takes any other image.

        Raises:
            TypeError: If images are not a tensor of floating point.
            ValueError: If there is not one label an image, or a cue that was named does not apply to the images.
        """
        check_images(images)
        check_labels(images, labels)
        return swap(images, labels, self.choices_for(images), self.probability, self.generator).images

    def choices_for(self, images: Images) -> Choices:
        """Return the cues for images (B, C, *S): all that were named, and of the default cues those that apply.

        Raises:
            ValueError: If a cue that was named does not apply.
        """
        shape = tuple(images.shape[1:])
        if self.cues is None:
            return fitting(self.choices, shape)
        reasons = (cue.misfit(shape) for group in self.choices.values() for cue in group)
        reason = next(filter(None, reasons), "")
        if reason:
            raise ValueError(f"{reason}  Leave the cue out of `cues`.")
        return self.choices
