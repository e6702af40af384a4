"""Explanation metrics: pure functions with one score per image, and the torchmetrics that average them."""

from lightning_saliency.metrics._allegiance import Allegiance, allegiance
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.metrics._rcap import RCAP, rcap

__all__ = ["RCAP", "Allegiance", "ExplanationMetric", "allegiance", "rcap"]
