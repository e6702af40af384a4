"""The base of all cues: a property of one image put into another."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_images, check_maps
from lightning_saliency._types import Images, Maps

Family: TypeAlias = Literal["place", "tone", "texture", "geometry"]
Evidence: TypeAlias = Literal["tolerance", "conflict", "never"]


class Cue(ABC):
    """A property of a donor image that is put into a host image, row by row of two batches.

    A subclass is a frozen dataclass. It has a `name` and `families`, and implements `transplant`. Images are at least
    in single precision there, and maps are given where `needs_maps` is set.

    Attributes:
        families: The kinds of property, the first of them printed: `"place"`, `"tone"`, `"texture"`, `"geometry"`.
        evidence: How a network that follows the cue raises an alarm: `"tolerance"` where honest networks hardly
            follow it, `"conflict"` where the cue has to win against the rest of the host, `"never"` where honest
            networks follow it as well.
        tolerance: Effect in the mean over ten classes or more up to which a cue with a tolerance raises no alarm.
        class_tolerance: The same for one class.
        needs_maps: Whether it needs maps of the donors.
        max_hosts: Most hosts of a donor that are predicted with it; `None` for no bound.
        min_channels: Fewest channels of an image that it applies to.
        min_side: Shortest side in pixels of an image that it applies to.
        num_dimensions: Spatial dimensions of an image that it applies to; `None` for any.

    Example:
        >>> from dataclasses import dataclass
        >>> import torch
        >>> @dataclass(frozen=True)
        ... class Peak(Cue):
        ...     name = "peak"
        ...     families = ("tone",)
        ...     evidence = "tolerance"
        ...
        ...     def transplant(self, hosts, donors, donor_maps):
        ...         return hosts - hosts.amax(dim=(1, 2, 3), keepdim=True) + donors.amax(dim=(1, 2, 3), keepdim=True)
        >>> Peak()(torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.0, 3.0]]]]))
        tensor([[[[3., 3.]]]])
    """

    families: ClassVar[tuple[Family, ...]]
    evidence: ClassVar[Evidence] = "never"
    tolerance: ClassVar[float] = 0.06
    class_tolerance: ClassVar[float] = 0.40
    needs_maps: ClassVar[bool] = False
    max_hosts: ClassVar[int | None] = None
    min_channels: ClassVar[int] = 1
    min_side: ClassVar[int] = 1
    num_dimensions: ClassVar[int | None] = None

    @property
    @abstractmethod
    def name(self) -> str:
        """Key in results and logs."""

    @abstractmethod
    def transplant(self, hosts: Images, donors: Images, donor_maps: Any) -> Images:
        """Return the hosts (B, C, *S) with the donors' property."""

    def __call__(self, hosts: Images, donors: Images, donor_maps: Maps | None = None) -> Images:
        """Return the hosts with the donors' property.

        Args:
            hosts: Images (B, C, *S) that are changed. They stay as they are.
            donors: Images (B, C, *S) whose property is taken.
            donor_maps: Maps (B, *S) of the donors, for cues that need them.

        Returns:
            Images (B, C, *S) of the hosts' type.

        Raises:
            TypeError: If images or maps are not tensors of floating point.
            ValueError: If shapes disagree, the cue does not apply to images of this shape, or maps are missing.
        """
        check_images(hosts)
        check_images(donors)
        if hosts.shape != donors.shape:
            raise ValueError(
                f"`donors` must have the shape {tuple(hosts.shape)} of `hosts`, but got {tuple(donors.shape)}.  "
                "Give one donor for each host."
            )
        reason = self.misfit(tuple(hosts.shape[1:]))
        if reason:
            raise ValueError(reason)
        maps = self._maps_of(donors, donor_maps) if self.needs_maps else None
        return self.transplant(_wide(hosts), _wide(donors), maps).to(hosts.dtype)

    def misfit(self, shape: tuple[int, ...]) -> str:
        """Return a sentence about why it does not apply to images of a shape (C, *S); empty where it applies."""
        channels, *space = shape
        needs = [
            (channels >= self.min_channels, f"at least {self.min_channels} channels"),
            (min(space) >= self.min_side, f"sides of at least {self.min_side} pixels"),
            (self.num_dimensions in (None, len(space)), f"{self.num_dimensions} spatial dimensions"),
        ]
        unmet = " and ".join(need for is_met, need in needs if not is_met)
        return f"Images for the cue {self.name!r} must have {unmet}, but got shape {shape}." if unmet else ""

    def _maps_of(self, donors: Images, donor_maps: Maps | None) -> Maps:
        if donor_maps is None:
            raise ValueError(
                f"`donor_maps` must be given for the cue {self.name!r}, but got None.  "
                "Pass maps of the donors, for instance of `IntegratedGradients`."
            )
        check_maps("donors", donor_maps, donors)
        return donor_maps


def _wide(images: Tensor) -> Tensor:
    """Half precision has no Fourier transform on every device, and rounds medians."""
    return images if images.dtype == torch.float64 else images.float()


def spatial(images: Tensor) -> tuple[int, ...]:
    """List the spatial dimensions of images (B, C, *S)."""
    return tuple(range(2, images.ndim))
