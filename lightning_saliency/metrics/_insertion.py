"""Insertion: how fast does the target's probability come back with the most salient pixels?"""

from typing import Final

from lightning_saliency.metrics._pixel_steps import PixelStepsMetric
from lightning_saliency.passes.canvases import RISE_BLUR, Blur
from lightning_saliency.passes.changes import Kept
from lightning_saliency.passes.trials import Change

PRESET_BLUR: Final = Blur(16.0, 16)


class Insertion(PixelStepsMetric):
    """Area under the target's probability while the most salient pixels return to a blurred image.

    Starts from the canvas and ends with the image: at step i of n the i/n most salient pixels are shown,
    exactly counted; equal values are ordered by one fixed random permutation. The area is the trapezoid over
    the shares of pixels that are shown, in [0, 1], higher is better. RISE takes 224 pixels a step, which are 224
    steps for its images; 20 steps cost eleven times less. Scaling and shifting a map change nothing; a
    constant map is a random order. A more confident model scores higher with the same maps. Of a target
    without a probability the curve is that of its values, in their own units.

    Cost: `steps` forwards per image and map, the intact image and the bare canvas shared by all maps.

    Args:
        steps: Number of equal steps from the canvas to the image; 20 unless a preset says otherwise.
        canvas: The paint that the image is inserted into; `"blur"` unless a preset says otherwise.
        preset: `"guided_absolute_grad"` for that paper's protocol: fractions 0, 0.1, ..., 0.9 with a blur of
            16 pixels, and an area of width 0.9 that is not normalised.
        normalize: `"intact"` divides probabilities by that of the intact image, up to 1.
        mean: Mean that the images were normalised with.
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        name: Key in results and logs; `"insertion"` for the usual canvas, else followed by the canvas.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range, or a preset is given together with `steps` or `canvas`.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> ramp = torch.arange(4.0).reshape(1, 2, 2)
        >>> Insertion(4, canvas="black").scores(model, ramp[:, None] / 3, ramp, torch.tensor([0]))
        tensor([0.7858])
        >>> Insertion(canvas="mean").name
        'insertion_mean'

    References:
        Petsiuk et al., "RISE", 2018. https://arxiv.org/abs/1806.07421
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """

    higher_is_better = True
    name = "insertion"
    usual_canvas = "blur"
    curve_axes = ("fraction inserted", "probability or value of the target")

    @property
    def blur(self) -> Blur:
        """RISE's blur, or that of the preset."""
        return RISE_BLUR if self.preset is None else PRESET_BLUR

    def change(self, count: int) -> Change:
        """Show this many of the most salient pixels."""
        return Kept(count, self.paint)
