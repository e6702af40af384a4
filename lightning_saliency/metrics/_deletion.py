"""Deletion: how fast does the target's probability go with the most salient pixels?"""

from lightning_saliency.metrics._pixel_steps import PixelStepsMetric
from lightning_saliency.passes.changes import Removed
from lightning_saliency.passes.trials import Change


class Deletion(PixelStepsMetric):
    """Area under the target's probability while the most salient pixels are painted over.

    `Insertion` the other way round: starts from the image and ends with the canvas, by default the
    mean colour; in [0, 1], lower is better. On small images scattered deletions confuse a model more than
    salient ones: with a ResNet-20 on CIFAR-10 random maps score 0.15 on black, and gradients and class
    activation maps 0.18 to 0.27. Read the score against a control map's. Of a target
    without a probability the curve is that of its values, in their own units.

    Cost: `steps` forwards per image and map, the intact image and the bare canvas shared by all maps.

    Args:
        steps: Number of equal steps from the image to the canvas; 20 unless a preset says otherwise.
        canvas: The paint over these pixels; `"mean"` unless a preset says otherwise.
        preset: `"guided_absolute_grad"` for that paper's protocol: fractions 0, 0.1, ..., 0.9, and an area of
            width 0.9 that is not normalised.
        normalize: `"intact"` divides probabilities by that of the intact image, up to 1.
        mean: Mean that the images were normalised with.
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        name: Key in results and logs; `"deletion"` for the usual canvas, else followed by the canvas.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range, or a preset is given together with `steps` or `canvas`.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> ramp = torch.arange(4.0).reshape(1, 2, 2)
        >>> Deletion(4, canvas="black").scores(model, ramp[:, None] / 3, ramp, torch.tensor([0]))
        tensor([0.6260])
        >>> Deletion(canvas="black").name
        'deletion_black'

    References:
        Petsiuk et al., "RISE", 2018. https://arxiv.org/abs/1806.07421
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """

    higher_is_better = False
    name = "deletion"
    usual_canvas = "mean"
    curve_axes = ("fraction deleted", "probability or value of the target")

    def change(self, count: int) -> Change:
        """Paint over this many of the most salient pixels."""
        return Removed(count, self.paint)
