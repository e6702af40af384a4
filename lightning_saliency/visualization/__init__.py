"""Pictures of maps: tensors in, images out."""

from lightning_saliency.visualization._overlay import change_overlay, displayable, overlay
from lightning_saliency.visualization._strip import draw_strip

__all__ = ["change_overlay", "displayable", "draw_strip", "overlay"]
