"""Swap cues between the images of a training batch, so that they tell nothing about the class."""

from lightning_saliency.swapping._swap_cues import SwapCues

__all__ = ["SwapCues"]
