"""Cues: properties of one image put into another, called as `cue(hosts, donors, donor_maps) -> images`."""

from lightning_saliency.cues._band import Band
from lightning_saliency.cues._cell import Cell
from lightning_saliency.cues._choice import DEFAULT, FURTHER, names, select
from lightning_saliency.cues._cue import Cue
from lightning_saliency.cues._frame import Frame, WideFrame
from lightning_saliency.cues._frequencies import Sharpness, Spectrum
from lightning_saliency.cues._geometry import Layout, Shift, Zoom
from lightning_saliency.cues._scales import CoarseShape, FineDetail, Texture
from lightning_saliency.cues._surroundings import Surroundings
from lightning_saliency.cues._tone import Colour, Contrast, Level
from lightning_saliency.cues._window import Moved, Rest, Window

__all__ = [
    "DEFAULT",
    "FURTHER",
    "Band",
    "Cell",
    "CoarseShape",
    "Colour",
    "Contrast",
    "Cue",
    "FineDetail",
    "Frame",
    "Layout",
    "Level",
    "Moved",
    "Rest",
    "Sharpness",
    "Shift",
    "Spectrum",
    "Surroundings",
    "Texture",
    "WideFrame",
    "Window",
    "Zoom",
    "names",
    "select",
]
