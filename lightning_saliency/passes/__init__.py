"""Run the network: gradients at points, recorded layers, predictions for changed images."""

from lightning_saliency.passes._normalize import normalize
from lightning_saliency.passes.layers import LAST_SPATIAL

__all__ = ["LAST_SPATIAL", "normalize"]
