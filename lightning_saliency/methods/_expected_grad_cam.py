"""Class activation maps integrated from many references."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, Self

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_flag, check_level, warn_once
from lightning_saliency._saliency_method import DEFAULT_BATCH_SIZE, prepared
from lightning_saliency._types import Images, Maps, Model
from lightning_saliency.methods._grad_cam import GradCAM
from lightning_saliency.methods._layer_method import GradientCAM, LayerMethod, Quantity
from lightning_saliency.methods._noise import check_noise
from lightning_saliency.methods._references import check_reference_classes, checked_references, filled, missing
from lightning_saliency.passes.layer_paths import LayerPath, Space
from lightning_saliency.passes.layer_statistics import MeanLayerContribution
from lightning_saliency.passes.layers import LAST_FINER, LayerName
from lightning_saliency.passes.paths import ReferencePath
from lightning_saliency.passes.points import Clean, Points
from lightning_saliency.passes.references import ReferenceClasses, References
from lightning_saliency.passes.statistics import Activation, Mean, Variance
from lightning_saliency.passes.stream import Reading, read_streams
from lightning_saliency.targets import TargetLike

ROUNDING: Final = 1e-10
"""Variance of gradients, relative to their squares, that can come from rounding."""


@dataclass(frozen=True)
class ExpectedGradCAM(LayerMethod):
    """Difference of a layer's activation from a random reference's, times its gradient at a random point between.

    The mean over draws is summed over channels and its positive part upsampled. The paper's text does not say how its
    parts fit together. This reading was chosen because it keeps the claims of the abstract: gradients are integrated
    between references drawn from data and the image, position by position and in the layer's space. That makes
    `attribute` complete: its sum over an image is the target's logit minus the mean logit of the references, up to the
    sampling error. Other readings are options. `pool=True, difference=False` only replaces Grad-CAM's gradient by the
    expected one. That changes nothing if the network is linear after the layer, as it is after the last layer of most
    convolutional networks; a warning says so once. Completeness holds in activation space if all paths lead through
    the layer; in vision transformers the class token's share is left out.

    Cost: `num_samples` forwards and backwards per image and layer, two forwards of the layers' images and,
    once a call, one of the references. In input space without difference passes are shared with
    `ExpectedGradients` of the same references and draws.

    Args:
        layer: Name of the layer, or several names, as in `GradCAM`. `None` is the last layer whose grid is finer than
            that of `GradCAM()`, with at least twice as many positions, and which no connection bypasses; if there is
            none, that of `GradCAM()`.
        references: Images (R, C, *S) that look like those explained, or how many of them to draw from the
            monitored data set, as in `ExpectedGradients`.
        num_samples: Number of draws.
        smoothing: Width of the Gaussian kernel that smooths the sampled inputs, in units of their range: in
            activation space of the references, which the attribution is then complete against; in input space
            of the points; 0 is without.
        seed: Seed of the draws, which are the same for every image.
        path: Space in which points lie between reference and image, `"activation"` or `"input"`. In input space
            attributions are not complete.
        pool: Whether gradients are averaged over the map, one weight for each channel.
        difference: Whether they are multiplied by the difference from the reference or by the activation.
        base: Another map that uses the expected gradient, such as `LayerCAM()`; then `pool` and `difference` are
            ignored.
        reference_classes: Which references an image is compared with, as in `ExpectedGradients`; then there is no
            `smoothing` in activation space.
        call: Which of the layer's calls, as in `GradCAM`.
        name: Key in results and logs.

    Raises:
        TypeError: If an argument is not of the kind expected.
        ValueError: If a number is out of range or a choice unknown; when called, if the references are
            missing or not of the images' shape, or the layer is unknown, or there is none.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> for parameter in model.parameters():
        ...     _ = torch.nn.init.ones_(parameter)
        >>> method = ExpectedGradCAM(references=torch.zeros(1, 1, 2, 2), num_samples=4)
        >>> method(model, torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), torch.tensor([0]))
        tensor([[[0., 1.],
                 [2., 3.]]])

    References:
        Buono et al., "Expected Grad-CAM: Towards gradient faithfulness", 2024. https://arxiv.org/abs/2406.01274
    """

    layer: str | Sequence[str] | None = None
    references: int | References | Tensor = 20
    num_samples: int = 20
    smoothing: float = 0.0
    seed: int = 0
    path: Space = "activation"
    pool: bool = False
    difference: bool = True
    base: GradientCAM | None = None
    reference_classes: ReferenceClasses = field(default="all", kw_only=True)
    call: int = field(default=-1, kw_only=True)
    name: str = "expected_grad_cam"
    default_layer: ClassVar[str] = LAST_FINER
    reading: ClassVar[str] = (
        "Expected Grad-CAM: references drawn from data, perturbed integrated gradients, a smoothing kernel and the "
        "difference from the reference are the paper's. Our reading combines them position by position and, by "
        "default, in the layer's space, since the text does not say how and no code was released."
    )

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        object.__setattr__(self, "references", checked_references(self.references))
        check_level("smoothing", self.smoothing)
        check_noise(self.num_samples, self.smoothing, self.seed)
        check_reference_classes(self.reference_classes)
        check_choice("path", self.path, ("activation", "input"))
        if self.reference_classes != "all" and self.path == "activation" and self.smoothing:
            raise ValueError(
                f"`smoothing` must be 0 in activation space with `reference_classes={self.reference_classes!r}`, but "
                f'got {self.smoothing}.  Use path="input".'
            )
        check_flag("pool", self.pool)
        check_flag("difference", self.difference)
        if self.base is not None and not isinstance(self.base, GradientCAM):
            raise TypeError(f"Expected `base` to be a map of gradients such as LayerCAM(), but got {self.base!r}.")
        if self.base is not None and self.base.layer is not None:
            raise ValueError(f"Expected `base` to name no layer, but got {self.base.layer!r}: name it in `layer`.")

    @property
    def missing_references(self) -> int | None:
        """The number of references, until `with_references` has filled them."""
        return missing(self.references)

    @property
    def has_attribution(self) -> bool:
        """True."""
        return True

    def with_references(self, images: Images | References) -> Self:
        """Return a copy with these references (R, C, *S)."""
        return replace(self, references=images)

    def points(self, layer: LayerName) -> Points:
        """Where gradients are taken."""
        if self.path == "input" and not self._contributes:
            references = filled(self.references, self.name)
            return ReferencePath(references, self.num_samples, float(self.smoothing), self.seed, self.reference_classes)
        return self._layer_path(layer)

    def quantities(self, layer: LayerName) -> tuple[Quantity, ...]:
        """The mean contribution, or the clean activation with mean and variance of the gradients."""
        points = self.points(layer)
        if self._contributes:
            return ((points, MeanLayerContribution(self.pool)),)
        return (Clean(), Activation()), (points, Mean()), (points, Variance())

    def cam(self, *values: Tensor) -> Maps:
        """Sum over channels and rectify, or do as the base does with the expected gradient."""
        if self._contributes:
            return values[0].sum(dim=1).relu()
        activation, gradient, variance = values
        self._mention_constant_gradients(gradient, variance)
        if self.base is None and not self.pool:
            return (gradient * activation).sum(dim=1).relu()
        return (self.base or GradCAM()).cam(activation, gradient)

    def baselines(self, images: Images) -> tuple[Images, ...] | None:
        """Return the reference of each draw, or `None` where the attribution is not complete."""
        if self.reference_classes != "all":
            return None
        complete = self.path == "activation" and not self.pool and len(self.layer_names) == 1
        return self._layer_path(LayerName("")).starts(images) if complete else None

    def attribute(
        self,
        model: Model,
        images: Images,
        targets: TargetLike | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Tensor:
        """Return the mean contribution (B, K, *grid) of the layer with its sign, in units of logit.

        Raises:
            ValueError: If there are several layers, each of which accounts for the whole logit.
        """
        names = self.layer_names
        if len(names) > 1:
            paths = [name.path for name in names]
            raise ValueError(f"Expected `layer` to be one for an attribution, but got {paths}: name one of them.")
        reading = Reading(self._layer_path(names[0]), MeanLayerContribution(self.pool), names[0])
        with prepared(model, images, targets, max_batch_size) as (inputs, target):
            chunks = read_streams(model, inputs, target, [reading], max_batch_size)
            return torch.cat([values[reading] for _, values in chunks])

    @property
    def _contributes(self) -> bool:
        return self.difference and self.base is None

    def _layer_path(self, layer: LayerName) -> LayerPath:
        references = filled(self.references, self.name)
        return LayerPath(
            references,
            layer,
            self.num_samples,
            float(self.smoothing),
            self.seed,
            self.path,
            self.reference_classes,
        )

    def _mention_constant_gradients(self, gradient: Tensor, variance: Tensor) -> None:
        if self.num_samples > 1 and bool(variance.amax() <= ROUNDING * gradient.square().amax()):
            warn_once(
                f"{self.name!r}: gradients at the layer are the same everywhere between the references and the image, "
                "as they are if the network is linear after it. Their mean is the gradient at the image, so the map is "
                "that of the base. Name an earlier `layer`, or use `difference=True`."
            )
