"""Follow cues: records of what predictions do, and the decision whether they follow a shortcut."""

from lightning_saliency.following._alarm import Alarm, alarm, largest_excess, refine
from lightning_saliency.following._effect import Effect, Estimate
from lightning_saliency.following._follow import explain_donors, follow
from lightning_saliency.following._following import Following
from lightning_saliency.following._place_map import place_map

__all__ = [
    "Alarm",
    "Effect",
    "Estimate",
    "Following",
    "alarm",
    "explain_donors",
    "follow",
    "largest_excess",
    "place_map",
    "refine",
]
