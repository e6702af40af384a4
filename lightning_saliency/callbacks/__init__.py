"""Lightning callbacks that watch explanations, gate checkpoints and swap cues."""

from lightning_saliency.callbacks.cue_swap import CueSwap
from lightning_saliency.callbacks.gated_checkpoint import GatedCheckpoint
from lightning_saliency.callbacks.saliency_monitor import SaliencyMonitor
from lightning_saliency.swapping import SwapCues

__all__ = ["CueSwap", "GatedCheckpoint", "SaliencyMonitor", "SwapCues"]
