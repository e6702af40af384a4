"""Pictures of maps: tensors in, images out."""

from lightning_saliency.visualization._overlay import overlay
from lightning_saliency.visualization._panel import draw_panel

__all__ = ["draw_panel", "overlay"]
