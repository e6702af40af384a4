"""Changes of images that metrics predict: values, compared by equality."""

from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._random import keyed_generator, keyed_normal
from lightning_saliency._types import Images, Masks
from lightning_saliency.passes.canvases import Paint
from lightning_saliency.passes.imputation import impute
from lightning_saliency.passes.noise import ranged
from lightning_saliency.passes.perturbations import draw_squares
from lightning_saliency.passes.trials import Change, Shared, Trial

End: TypeAlias = Literal["most", "least"]


class Intact(Change):
    """The images as they are.

    Example:
        >>> Intact() == Intact()
        True
    """

    depends_on_map: ClassVar[bool] = False

    def make(self, trial: Trial) -> Images:
        """Return the images."""
        return trial.images


class Covered(Change):
    """Nothing but the canvas.

    Args:
        canvas: The paint over every pixel.

    Example:
        >>> Covered(Paint("black")).depends_on_map
        False
    """

    depends_on_map: ClassVar[bool] = False
    canvas: Paint

    def make(self, trial: Trial) -> Images:
        """Return the canvas of every image."""
        return trial.canvas(self.canvas).expand_as(trial.images)


class Removed(Change):
    """Exactly `count` of the most salient pixels painted over; ties are broken by one fixed permutation.

    Args:
        count: How many pixels.
        canvas: The paint over these pixels.

    Example:
        >>> Removed(3, Paint("black")) == Removed(3, Paint("white"))
        False
    """

    count: int
    canvas: Paint

    def resolved(self, trial: Trial) -> Change:
        """Return what does not depend on the map where no pixel or every pixel is painted over."""
        return _at_an_end(self.count, self.canvas, trial) or self

    def make(self, trial: Trial) -> Images:
        """Paint them over."""
        return trial.covered(trial.most_salient(self.count), trial.canvas(self.canvas))


class Kept(Change):
    """Exactly `count` of the most salient pixels visible on the canvas; ties are broken by one fixed permutation.

    Args:
        count: How many pixels.
        canvas: The paint over the other pixels.

    Example:
        >>> Kept(3, Paint("black")).depends_on_map
        True
    """

    count: int
    canvas: Paint

    def resolved(self, trial: Trial) -> Change:
        """Return what does not depend on the map where no pixel or every pixel is visible."""
        return _at_an_end(trial.num_positions - self.count, self.canvas, trial) or self

    def make(self, trial: Trial) -> Images:
        """Paint the others over."""
        return trial.covered(trial.least_salient(trial.num_positions - self.count), trial.canvas(self.canvas))


class RemovedAbove(Change):
    """The pixels more salient than the one at `rank` painted over; ties stay together.

    Where no tie is cut it is the same as `Removed(rank, canvas)`, and predicted once for both.

    Args:
        rank: Rank of the pixel, 0 for the most salient.
        canvas: The paint over these pixels.

    Example:
        >>> RemovedAbove(3, Paint("black")).rank
        3
    """

    rank: int
    canvas: Paint

    def resolved(self, trial: Trial) -> Change:
        """Return the removal of a count of pixels where no tie is cut."""
        if self.rank == 0 or trial.is_clear_cut(self.rank):
            return Removed(self.rank, self.canvas).resolved(trial)
        return self

    def make(self, trial: Trial) -> Images:
        """Paint them over."""
        return trial.covered(trial.above_rank(self.rank), trial.canvas(self.canvas))


class Recovered(Change):
    """The pixels whose saliency exceeds its `quantile` visible on the canvas; ties stay together.

    Where the threshold is the map's maximum (a saturated map), every salient pixel shows. Where no tie is cut it is
    the same as `Kept` with a count, and predicted once for both.

    Args:
        quantile: Quantile of the saliency, in [0, 1).
        canvas: The paint over the other pixels.

    Example:
        >>> Recovered(0.9, Paint("black")) == Recovered(0.9, Paint("black"))
        True
    """

    quantile: float
    canvas: Paint

    def resolved(self, trial: Trial) -> Change:
        """Return a count of pixels visible where no tie is cut."""
        rank = self._rank(trial)
        return Kept(rank, self.canvas) if trial.is_clear_cut(rank) else self

    def make(self, trial: Trial) -> Images:
        """Paint the others over."""
        return trial.covered(~self.visible(trial), trial.canvas(self.canvas))

    def visible(self, trial: Trial) -> Masks:
        """Mark the pixels that are visible."""
        threshold = trial.descending[:, self._rank(trial)]
        return trial.above(torch.where(threshold == 1, 0.0, threshold))

    def _rank(self, trial: Trial) -> int:
        count = trial.num_positions
        return count - 1 - max(int(count * self.quantile) - 1, 0)


class LaidOver(Change):
    """Each pixel visible as much as its normalised saliency says, on the canvas.

    Args:
        canvas: The paint that shows through where the saliency is low.

    Example:
        >>> LaidOver(Paint("blur")).canvas.canvas
        'blur'
    """

    canvas: Paint

    def make(self, trial: Trial) -> Images:
        """Mix the images with their canvas."""
        canvas = trial.canvas(self.canvas)
        return canvas + trial.normalized[:, None].to(trial.images) * (trial.images - canvas)


class Imputed(Change):
    """Exactly `count` of the most or least salient pixels filled from their neighbours, with a little noise.

    Args:
        which: `"most"` or `"least"` salient.
        count: How many pixels; at least one must stay.
        noise_level: Standard deviation of the noise in units of each image's own range.
        seed: Seed of the noise, which is the same for every image.

    Example:
        >>> Imputed("most", 3, 0.01, seed=0).depends_on_map
        True
    """

    which: End
    count: int
    noise_level: float
    seed: int

    def resolved(self, trial: Trial) -> Change:
        """Return the intact images where nothing is filled."""
        return self if self.count else Intact()

    def make(self, trial: Trial) -> Images:
        """Solve for the missing pixels and add noise in units of each image's own range."""
        mask = trial.most_salient(self.count) if self.which == "most" else trial.least_salient(self.count)
        draw = keyed_normal(trial.images.shape[1:], "road", self.seed)
        noisy = impute(trial.images, mask) + ranged(draw, trial.images, self.noise_level)
        return torch.where(mask[:, None], noisy, trial.images)


class Noised(Change):
    """Gaussian noise subtracted, in units of each image's own range; the same draw for every image.

    Args:
        noise_level: Standard deviation in units of the image's own range.
        seed: Seed of the noise.
        index: Which of the draws of this seed.

    Example:
        >>> Noised(0.1, seed=0, index=2).depends_on_map
        False
    """

    depends_on_map: ClassVar[bool] = False
    noise_level: float
    seed: int
    index: int

    def make(self, trial: Trial) -> Images:
        """Subtract the noise."""
        return trial.images - self.noise(trial.images)

    def noise(self, images: Images) -> Tensor:
        """Draw the noise, of the images' shape."""
        draw = keyed_normal(images.shape[1:], "infidelity", self.seed, self.index)
        return ranged(draw, images, self.noise_level)


class Squares(Shared):
    """Squares of random side and place, the same for every image."""

    num_samples: int
    seed: int

    def make(self, trial: Trial) -> Masks:
        """Draw the squares, (num_samples, *S)."""
        return draw_squares(self.num_samples, tuple(trial.maps.shape[1:]), self.seed).to(trial.maps.device)


class SquareCovered(Change):
    """One of several random squares painted over."""

    depends_on_map: ClassVar[bool] = False
    squares: Squares
    index: int
    canvas: Paint

    def make(self, trial: Trial) -> Images:
        """Paint the square over in every image."""
        return torch.where(trial.once(self.squares)[self.index], trial.canvas(self.canvas), trial.images)


class Shaken(Change):
    """Uniform noise of at most `radius` times each image's own range added; the same draw for every image."""

    depends_on_map: ClassVar[bool] = False
    radius: float
    seed: int
    index: int

    def make(self, trial: Trial) -> Images:
        """Add the noise."""
        draw = torch.rand(trial.images.shape[1:], generator=keyed_generator("ball", self.seed, self.index))
        return trial.images + ranged(2 * draw - 1, trial.images, self.radius)


def _at_an_end(painted: int, canvas: Paint, trial: Trial) -> Change | None:
    """Return the change that paints over nothing or everything, if it is one of these."""
    if painted == 0:
        return Intact()
    return Covered(canvas) if painted == trial.num_positions else None
