"""In which precision images are predicted for scores."""

from typing import Final, Literal, TypeAlias

import torch

from lightning_saliency._types import Images, Model

ScoringPrecision: TypeAlias = Literal["exact", "bf16"]
PRECISIONS: Final = ("exact", "bf16")


def in_precision(model: Model, images: Images, precision: ScoringPrecision) -> Model:
    """Return what predicts images: the model, or for `"bf16"` the model within `torch.autocast` to bfloat16.

    Models in float64 predict as before, since autocast leaves float64 alone.

    Raises:
        ValueError: If the images' device has no autocast.
    """
    if precision == "exact":
        return model
    kind = images.device.type
    if not torch.amp.is_autocast_available(kind):
        raise ValueError(
            f'`scoring_precision` must be "exact" on device {kind!r}, but got {precision!r}.  '
            "Autocast is not available there."
        )

    def predict(batch: Images) -> object:
        with torch.autocast(kind, torch.bfloat16):
            return model(batch)

    return predict
