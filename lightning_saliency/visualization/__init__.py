"""Pictures of maps and scores: tensors in, images out."""

from lightning_saliency.visualization._curves import Curve, draw_curves
from lightning_saliency.visualization._overlay import change_overlay, displayable, overlay
from lightning_saliency.visualization._strip import draw_strip
from lightning_saliency.visualization._transplant import draw_transplant

__all__ = ["Curve", "change_overlay", "displayable", "draw_curves", "draw_strip", "draw_transplant", "overlay"]
