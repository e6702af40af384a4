"""Grad-CAM averaged along a path from a baseline to the image."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from torch import Tensor

from lightning_saliency._checks import check_choice, check_integer
from lightning_saliency._types import Maps
from lightning_saliency.methods._baseline import baseline_of, set_baseline
from lightning_saliency.methods._layer_method import LayerMethod, Pooled, Quantity, check_pooled
from lightning_saliency.passes.canvases import Canvas
from lightning_saliency.passes.layer_statistics import MeanCAM
from lightning_saliency.passes.layers import LayerName
from lightning_saliency.passes.paths import StraightPath
from lightning_saliency.passes.references import PerChannel, References


@dataclass(frozen=True)
class IntegratedGradCAM(LayerMethod):
    """Mean of the Grad-CAM maps at the points of a straight path of inputs.

    As in the authors' code each point has its own activation, and its map is rectified before the mean. The authors
    sum over 50 left ends from black instead. On a path without length it is Grad-CAM. Cost: `num_steps` forwards and
    backwards per image, shared with every method on an equal path.

    Args:
        layer: Name of the layer, several names, or `None`, as in `GradCAM`.
        num_steps: Number of points on the path.
        baseline: Where the path starts, as in `IntegratedGradients`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1], or unknown.
        std: Standard deviation that they were normalised with.
        rule: Rule of the integral: `"gauss_legendre"`, or `"left"` for the Riemann sum of left ends.
        aggregation: Which part of the gradient is averaged over positions, as in `GradCAM`.
        call: Which of the layer's calls, as in `GradCAM`.
        name: Key in results and logs.

    Raises:
        TypeError: If `layer` is neither a name nor a list of names.
        ValueError: If a number is out of range or a choice unknown, or the layer is unknown, or there is none.

    Example:
        >>> import torch
        >>> from lightning_saliency.methods import GradCAM
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> images, targets = torch.rand(1, 1, 2, 2), torch.tensor([0])
        >>> no_way = IntegratedGradCAM(baseline=images[0])(model, images, targets)
        >>> torch.allclose(no_way, GradCAM()(model, images, targets))
        True

    References:
        Sattarzadeh et al., "Integrated Grad-CAM", 2021. https://arxiv.org/abs/2102.07805
    """

    layer: str | Sequence[str] | None = None
    num_steps: int = 20
    baseline: Canvas | References | Tensor = "mean"
    mean: PerChannel = None
    std: PerChannel = None
    rule: Literal["gauss_legendre", "left"] = "gauss_legendre"
    aggregation: Pooled = "signed"
    call: int = field(default=-1, kw_only=True)
    name: str = "integrated_grad_cam"

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        check_integer("num_steps", self.num_steps, minimum=1)
        check_choice("rule", self.rule, ("gauss_legendre", "left"))
        check_pooled(self.aggregation)
        set_baseline(self)

    def with_normalization(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """Return a copy that knows how images were normalised, unless it does already."""
        return replace(self, mean=mean, std=std) if self.mean is None else self

    def quantities(self, layer: LayerName) -> tuple[Quantity, ...]:
        """The mean map over the path."""
        baseline = baseline_of(self.baseline, self.mean, self.std)
        return ((StraightPath(baseline, self.num_steps, self.rule), MeanCAM(self.aggregation)),)

    def cam(self, mean_map: Tensor) -> Maps:
        """Return the mean map."""
        return mean_map
