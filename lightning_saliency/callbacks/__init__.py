"""Lightning callbacks that watch explanations and gate checkpoints."""

from lightning_saliency.callbacks.gated_checkpoint import GatedCheckpoint
from lightning_saliency.callbacks.saliency_monitor import SaliencyMonitor

__all__ = ["GatedCheckpoint", "SaliencyMonitor"]
