"""Base of the controls: maps of the image alone, whatever the model and the target."""

from abc import abstractmethod

from lightning_saliency._saliency_method import DEFAULT_BATCH_SIZE, SaliencyMethod, differentiable
from lightning_saliency._types import Images, Maps, Model
from lightning_saliency.targets import Target, TargetLike


class Control(SaliencyMethod):
    """A map that ignores the model, for comparison; subclasses are frozen dataclasses."""

    @abstractmethod
    def draw(self, images: Images) -> Maps:
        """Make float32 maps (B, *S) of the images."""

    def maps(self, model: Model, images: Images, target: Target, max_batch_size: int) -> Maps:
        """Draw the maps."""
        return self.draw(images)

    def __call__(
        self,
        model: Model | None,
        images: Images,
        targets: TargetLike | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Maps:
        """Draw float32 maps (B, *S); the model may be `None`, and nothing is predicted."""
        return self.draw(differentiable(images))
