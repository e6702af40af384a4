"""The record of predictions before and after hosts get a cue, and how parts of it are merged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
import torch
from torch import Tensor

from lightning_saliency.cues import Cue
from lightning_saliency.following._effect import Effect, effect_of

ABSENT: Final = -1
"""In place of a host or class where there is none."""
COLUMNS: Final = ("hosts", "host_labels", "before", "after")


@dataclass(frozen=True, eq=False)
class Following:
    """Predictions of hosts before and after they get one cue of a donor: one row a donor, int64 on the CPU.

    Parts from several processes are merged, and everything else is computed from the merged rows. -1 stands for a
    cue that a host did not get, and for a prediction that is not a number.

    Args:
        cue: The cue.
        indices: The donors, (N,).
        labels: Their labels, (N,).
        predictions: Their predicted classes, (N,).
        hosts: Place of each host in the pool, (N, H).
        host_labels: Labels of the hosts, (N, H).
        before: Predicted classes of the hosts, (N, H).
        after: Predicted classes of the hosts with the donor's cue, (N, H).
        misfit: Why the cue does not apply to these images; empty where it does.

    Example:
        >>> import torch
        >>> from lightning_saliency.cues import Level
        >>> donors = torch.tensor([0, 1])
        >>> hosts = torch.tensor([[0, 1], [0, 1]])
        >>> following = Following(Level(), donors, donors, donors, hosts, hosts, hosts, donors[:, None].expand(2, 2))
        >>> following.shares, following.kept_shares
        (tensor([1., 1.], dtype=torch.float64), tensor([0., 0.], dtype=torch.float64))
        >>> following.effect.mean.value
        1.0
    """

    cue: Cue
    indices: Tensor
    labels: Tensor
    predictions: Tensor
    hosts: Tensor
    host_labels: Tensor
    before: Tensor
    after: Tensor
    misfit: str = ""

    @classmethod
    def without_donors(cls, cue: Cue, num_hosts: int = 0, misfit: str = "") -> Self:
        """Return the record of no donors."""
        rows, table = torch.zeros(0, dtype=torch.int64), torch.zeros((0, num_hosts), dtype=torch.int64)
        return cls(cue, rows, rows, rows, table, table, table, table, misfit)

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Put parts of one cue together in the order of the donors' indices; a donor of several parts counts once.

        Raises:
            ValueError: If there are no parts, or they are of different cues.
        """
        cues = {part.cue for part in parts}
        if len(cues) != 1:
            raise ValueError(
                f"`parts` must be of one cue, but got {len(cues)}: {sorted(cue.name for cue in cues)}.  "
                "Merge the parts of each cue by themselves."
            )
        packed = torch.cat(_widened([part.pack() for part in parts]))
        _, rows = np.unique(packed[:, 0].numpy(), return_index=True)
        misfit = next((part.misfit for part in parts if part.misfit), "")
        return cls.unpack(parts[0].cue, packed[torch.from_numpy(rows)], misfit)

    def pack(self) -> Tensor:
        """Return all rows as one tensor (N, 3 + 4H), which is how they are sent between processes."""
        vectors = torch.stack([self.indices, self.labels, self.predictions], dim=1)
        return torch.cat([vectors, *(getattr(self, name) for name in COLUMNS)], dim=1)

    @classmethod
    def unpack(cls, cue: Cue, packed: Tensor, misfit: str = "") -> Self:
        """Do the reverse of `pack`."""
        indices, labels, predictions = packed[:, :3].unbind(dim=1)
        hosts, host_labels, before, after = _blocks(packed)
        return cls(cue, indices, labels, predictions, hosts, host_labels, before, after, misfit)

    def take(self, rows: Tensor) -> Self:
        """Return the record of some donors, (M,) rows."""
        return type(self).unpack(self.cue, self.pack()[rows], self.misfit)

    @property
    def name(self) -> str:
        """Name of the cue."""
        return self.cue.name

    @cached_property
    def shares(self) -> Tensor:
        """Share of each donor's hosts that go over to its label, (N,) float64; NaN for a donor without hosts."""
        return self._share(self._eligible, self.after == self.labels[:, None])

    @cached_property
    def kept_shares(self) -> Tensor:
        """Share of each donor's hosts that keep their prediction, (N,) float64; NaN for a donor without hosts."""
        return self._share(self._eligible, self.after == self.before)

    @property
    def num_eligible(self) -> Tensor:
        """How many hosts of each donor count, (N,)."""
        return self._eligible.sum(dim=1)

    @cached_property
    def effect(self) -> Effect:
        """E: share of hosts that go to a class with a donor of it, less the share with donors of other classes."""
        return effect_of(self.labels, self.shares, self._others)

    @cached_property
    def conflict(self) -> Effect:
        """E - S: the effect less the share of hosts that keep their prediction. Above zero the cue beats the rest."""
        return effect_of(self.labels, self.shares - self.kept_shares, self._others)

    @property
    def kept(self) -> float:
        """S: mean share of hosts that keep their prediction; zero where there are no hosts."""
        shares = self.kept_shares[self.kept_shares.isfinite()]
        return float(shares.mean()) if len(shares) else 0.0

    @property
    def left_out(self) -> tuple[int, ...]:
        """Labels of donors that have no value, because no host of another class is left or no other donor."""
        return tuple(sorted(set(self.labels.tolist()) - set(self.effect.classes.tolist())))

    @property
    def absence(self) -> str:
        """A sentence about why there is no value; empty where there is one."""
        if self.misfit:
            return self.misfit
        if not len(self.indices):
            return f"Nothing follows the cue {self.name!r}, because there are no donors."
        if len(self.labels.unique()) < 2:
            return (
                f"Donors must be of at least two classes, but got {len(self.indices)} of class {int(self.labels[0])}, "
                f"so the cue {self.name!r} has no value."
            )
        if not len(self.effect.classes):
            return (
                f"Hosts must be of another class than the donor and predicted so, but got none for "
                f"{len(self.indices)} donors, so the cue {self.name!r} has no value."
            )
        return ""

    @cached_property
    def _eligible(self) -> Tensor:
        return self._eligible_for(self.labels)

    def _eligible_for(self, classes: Tensor) -> Tensor:
        """Mark hosts (N, H) that can go over to a class of each donor (N,)."""
        is_host = (self.hosts >= 0) & (self.before >= 0) & (self.after >= 0)
        return is_host & (self.before != classes[:, None]) & (self.host_labels != classes[:, None])

    @cached_property
    def _others(self) -> Tensor:
        """Mean share of hosts that donors of other classes bring to the class of each donor, (N,)."""
        result = torch.full((len(self.labels),), torch.nan, dtype=torch.float64)
        for label in self.labels.unique():
            shares = self._share(self._eligible_for(label.expand_as(self.labels)), self.after == label)
            usable = (self.labels != label) & shares.isfinite()
            result[self.labels == label] = shares[usable].mean()
        return result

    @staticmethod
    def _share(eligible: Tensor, hits: Tensor) -> Tensor:
        return (eligible & hits).sum(dim=1).double() / eligible.sum(dim=1)


def _widened(tables: Sequence[Tensor]) -> list[Tensor]:
    """Fill up tables of fewer hosts, so that they can be joined."""
    width = max((table.shape[1] - 3) // len(COLUMNS) for table in tables)
    wide = []
    for table in tables:
        parts = [torch.nn.functional.pad(part, (0, width - part.shape[1]), value=ABSENT) for part in _blocks(table)]
        wide.append(torch.cat([table[:, :3], *parts], dim=1))
    return wide


def _blocks(table: Tensor) -> list[Tensor]:
    width = (table.shape[1] - 3) // len(COLUMNS)
    return [table[:, 3 + block * width : 3 + (block + 1) * width] for block in range(len(COLUMNS))]


def check_followings(followings: object) -> None:
    """Refuse what is no result of `follow`."""
    if not isinstance(followings, Mapping) or not all(isinstance(each, Following) for each in followings.values()):
        raise TypeError(f"`followings` must be a result of `follow`, but got {type(followings).__name__}.  Pass that.")
