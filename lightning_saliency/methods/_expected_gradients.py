"""Gradients integrated from many references."""

from dataclasses import dataclass, field, replace
from typing import Self

from torch import Tensor

from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._aggregation import Aggregation, aggregate, check_aggregation, readings_of
from lightning_saliency.methods._noise import check_noise
from lightning_saliency.methods._references import check_reference_classes, checked_references, filled, missing
from lightning_saliency.methods._stream_method import CompleteMethod
from lightning_saliency.passes.guides import Guide
from lightning_saliency.passes.path_statistics import MeanContribution
from lightning_saliency.passes.paths import ReferencePath
from lightning_saliency.passes.references import ReferenceClasses, References
from lightning_saliency.passes.stream import Reading


@dataclass(frozen=True)
class ExpectedGradients(CompleteMethod):
    """Difference from a random reference times the gradient at a random point between, averaged over draws.

    `attribute` is complete in expectation: its sum over an image is the target's logit minus the mean logit
    of the references, up to the sampling error. Positions are spread evenly over the path and references are drawn in
    turn, which lowers that error. Maps are in units of logit. Cost: `num_samples` forwards and
    backwards per image, shared with every method of the same references and draws.

    Args:
        references: Images (R, C, *S) that look like those explained, best a sample of the training data; or
            how many of them to draw from the monitored data set. With a number the method can be called after
            `with_references` only.
        num_samples: Number of draws.
        noise_level: Standard deviation of Gaussian noise around the points, in units of the image's own
            range; 0 is without.
        seed: Seed of the draws, which are the same for every image.
        aggregation: Which part of each draw's product of gradient and difference is averaged: `"signed"`,
            `"positive"`, `"negative"` or `"absolute"`.
        guide: Weight of features whose gradients vary little over the draws, as in `GuidedAbsoluteGrad`.
        percentile: Quantile of the variance in [0, 1) above which a feature counts fully; 0 is no guide.
        reference_classes: Which references an image is compared with, by the class that is explained: `"all"`,
            those of the `"same"` class, or of `"other"` ones. The last two need `References(images, labels)`, or a
            number, with which the monitor draws them with their labels.
        name: Key in results and logs.

    Features that an image has in common with its references get no relevance: a watermark that is on all of them is
    hidden. If only some classes have it, compare with `"other"` classes. References of the `"same"` class show how an
    image differs from others of its class.

    Raises:
        TypeError: If `references` are neither a floating-point tensor nor a whole number.
        ValueError: If a number is out of range or a choice unknown; when called, if the references are
            missing or not of the images' shape.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> method = ExpectedGradients(num_samples=4).with_references(torch.eye(2).reshape(1, 1, 2, 2))
        >>> method(model, torch.zeros(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[1., 0.],
                 [0., 2.]]])

    References:
        Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and
        expected gradients", 2021. https://arxiv.org/abs/1906.10670
    """

    references: int | References | Tensor = 20
    num_samples: int = 20
    noise_level: float = 0.0
    seed: int = 0
    aggregation: Aggregation = "signed"
    guide: Guide | None = None
    percentile: float = 0.85
    reference_classes: ReferenceClasses = field(default="all", kw_only=True)
    name: str = "expected_gradients"

    def __post_init__(self) -> None:
        """Check the arguments."""
        object.__setattr__(self, "references", checked_references(self.references))
        check_reference_classes(self.reference_classes)
        check_noise(self.num_samples, self.noise_level, self.seed)
        check_aggregation(self.aggregation, self.guide, self.percentile, self.num_samples, "num_samples")

    @property
    def missing_references(self) -> int | None:
        """The number of references, until `with_references` has filled them."""
        return missing(self.references)

    def with_references(self, images: Images | References) -> Self:
        """Return a copy with these references (R, C, *S).

        Pass one `References` object to several methods, so that they share their passes.
        """
        return replace(self, references=images)

    def baselines(self, images: Images) -> tuple[Images, ...] | None:
        """Return the reference of each draw, or `None` where there is noise or they depend on the class."""
        return None if self.noise_level or self.reference_classes != "all" else self.path.starts(images)

    @property
    def path(self) -> ReferencePath:
        """The points between the references and the image."""
        references = filled(self.references, self.name)
        return ReferencePath(references, self.num_samples, float(self.noise_level), self.seed, self.reference_classes)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The mean contribution over the draws."""
        return readings_of(self.path, MeanContribution(self.aggregation), self.guide, self.percentile)

    @property
    def contribution(self) -> Reading:
        """The mean contribution with its sign."""
        return Reading(self.path, MeanContribution())

    def formula(self, images: Images, *values: Tensor) -> Maps:
        """Guide, and sum the channels' magnitudes."""
        return aggregate(values, self.guide, self.percentile)
