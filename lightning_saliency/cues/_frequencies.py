"""Cues of the Fourier transform."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.cues._cue import Cue, Evidence, Family, spatial


@dataclass(frozen=True)
class Spectrum(Cue):
    """The amplitude of every frequency of every channel, with the host's phases.

    Example:
        >>> import torch
        >>> donors = torch.tensor([[[[3.0, 1.0]]]])
        >>> Spectrum()(torch.tensor([[[[0.0, 5.0]]]]), donors)
        tensor([[[[1., 3.]]]])
    """

    name: ClassVar[str] = "spectrum"
    families: ClassVar[tuple[Family, ...]] = ("tone", "texture")
    evidence: ClassVar[Evidence] = "conflict"
    max_hosts: ClassVar[int] = 2

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Combine the donors' amplitudes with the hosts' phases."""
        dimensions = spatial(hosts)
        ours, theirs = torch.fft.rfftn(hosts, dim=dimensions), torch.fft.rfftn(donors, dim=dimensions)
        mixed = torch.polar(theirs.abs(), ours.angle()).contiguous()
        # The phase of the mean is its sign, which depends on how images are normalised.
        mixed.flatten(2)[:, :, 0] = theirs.flatten(2)[:, :, 0]
        images: Images = torch.fft.irfftn(mixed, s=hosts.shape[2:], dim=dimensions)
        return images


@dataclass(frozen=True)
class Sharpness(Cue):
    """The power of each ring of frequencies over all channels; the means stay the host's.

    Example:
        >>> import torch
        >>> Sharpness()(torch.tensor([[[[0.0, 2.0]]]]), torch.tensor([[[[3.0, 13.0]]]]))
        tensor([[[[-4.,  6.]]]])
    """

    name: ClassVar[str] = "sharpness"
    families: ClassVar[tuple[Family, ...]] = ("texture",)
    evidence: ClassVar[Evidence] = "tolerance"
    max_hosts: ClassVar[int] = 2

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Scale the hosts' frequencies ring by ring."""
        dimensions = spatial(hosts)
        ours, theirs = torch.fft.fftn(hosts, dim=dimensions), torch.fft.fftn(donors, dim=dimensions)
        rings = _rings(hosts.shape[2:])
        count = int(rings.max()) + 1
        rings = rings.to(hosts.device)
        power, target = _power(ours, rings, count), _power(theirs, rings, count)
        # A ring without power in the host has no phases to carry it.
        empty = power <= TINY * power.amax(dim=1, keepdim=True)
        factors = torch.where(empty, 1.0, (target / torch.where(empty, 1.0, power)).sqrt())
        factors[:, 0] = 1.0
        scaled = ours * factors[:, rings].reshape(len(hosts), 1, *hosts.shape[2:])
        images: Images = torch.fft.ifftn(scaled, dim=dimensions).real
        return images


TINY = 1e-10


def _rings(space: tuple[int, ...]) -> Tensor:
    """Number the rings (*S,): the frequency in units of the lowest one along the longest side.

    They are made on the CPU, where counting them waits for no device.
    """
    squares = torch.zeros(space, dtype=torch.float64, device="cpu")
    for dimension, side in enumerate(space):
        shape = [1] * len(space)
        shape[dimension] = side
        squares = squares + torch.fft.fftfreq(side, dtype=torch.float64, device="cpu").square().reshape(shape)
    return (squares.sqrt() * max(space)).ceil().long().flatten()


def _power(transform: Tensor, rings: Tensor, count: int) -> Tensor:
    """Sum the power over each ring and all channels, (B, rings)."""
    power = torch.view_as_real(transform).square().sum(dim=(1, -1)).flatten(1)
    return power.new_zeros((len(power), count)).index_add_(1, rings, power)
