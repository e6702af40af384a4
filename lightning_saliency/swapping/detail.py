"""The cue of structure that is fine, on a scale wide enough that nothing of it is left in the host."""

from dataclasses import dataclass
from typing import ClassVar, Final

from lightning_saliency._types import Images
from lightning_saliency.cues import Cue
from lightning_saliency.cues._cue import Family
from lightning_saliency.cues._scales import DETAIL
from lightning_saliency.passes.blur import gaussian_blur

WIDE: Final = 2 * DETAIL
"""The blur of the cue `fine_detail` leaves a third of a grating of five pixels, and this one a hundredth."""


@dataclass(frozen=True)
class Detail(Cue):
    """Structure finer than about 8 pixels.

    Example:
        >>> import torch
        >>> grating = torch.tensor([0.0, 1.0]).repeat(8).expand(1, 1, 16, 16)
        >>> Detail()(grating, torch.zeros(1, 1, 16, 16)).sub(0.5).abs().max() < 0.1
        tensor(True)
    """

    name: ClassVar[str] = "detail"
    families: ClassVar[tuple[Family, ...]] = ("texture",)

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Add the donors' detail to the blurred hosts."""
        return gaussian_blur(hosts - donors, WIDE) + donors
