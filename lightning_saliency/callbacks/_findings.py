"""What one process found in an evaluation, and how the processes put it together."""

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, distributed

from lightning_saliency.callbacks._compact import SmallMap
from lightning_saliency.callbacks._drift import MapsByMethod
from lightning_saliency.passes.trials import Measured

Key: TypeAlias = tuple[str, str]
Shared = TypeVar("Shared")


@dataclass(frozen=True)
class Fault:
    """An exception, in a form that travels between processes.

    Attributes:
        is_configuration: Whether the user's arguments are to blame rather than the moment.
        description: Kind and message.
    """

    is_configuration: bool
    description: str

    @classmethod
    def of(cls, error: Exception, *, is_configuration: bool = False) -> "Fault":
        """Describe an exception."""
        return cls(is_configuration, f"{type(error).__name__}: {error}")

    @property
    def kind(self) -> str:
        """The exception's type, which stays the same where messages vary."""
        return self.description.split(":", maxsplit=1)[0]


def _sets() -> dict[str, set[int]]:
    return defaultdict(set)


@dataclass
class Findings:
    """Results for a share of the images, keyed by data set index so that their order is that of one process.

    Attributes:
        scores: Score and curve by image for every (method, metric).
        invalid: Images whose map was not finite, by method; an image may be seen by several processes.
        blank: Images whose map was constant, by method.
        seen: Images read.
        used: Images confident enough to be explained.
        maps: Small maps by method and image, for drift and pictures.
        classes: Target and predicted class by image.
        seconds: Time spent.
        batch_size: Most images in one pass that memory had room for.
        fault: What went wrong.
    """

    scores: dict[Key, dict[int, Measured]] = field(default_factory=dict)
    invalid: dict[str, set[int]] = field(default_factory=_sets)
    blank: dict[str, set[int]] = field(default_factory=_sets)
    seen: set[int] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    maps: MapsByMethod = field(default_factory=dict)
    classes: dict[int, tuple[int, int]] = field(default_factory=dict)
    seconds: float = 0.0
    batch_size: int = sys.maxsize
    fault: Fault | None = None

    def add_scores(self, key: Key, indices: list[int], found: Measured, valid: Tensor) -> None:
        """Keep the scores of the valid ones among the images with these indices."""
        entries = self.scores.setdefault(key, {})
        for row in valid.nonzero().flatten().tolist():
            curve = None if found.curves is None else found.curves[row].cpu()
            entries[indices[row]] = Measured(found.scores[row].cpu(), curve)

    def add_maps(self, method: str, indices: list[int], maps: list[SmallMap], valid: Tensor) -> None:
        """Keep the small maps of the valid ones among the images with these indices."""
        entries = self.maps.setdefault(method, {})
        for row in valid.nonzero().flatten().tolist():
            entries[indices[row]] = maps[row]


def from_everyone(own: Shared) -> list[Shared]:
    """Collect what every process holds, by rank; a collective where there are several."""
    everyone = [own]
    if distributed.is_available() and distributed.is_initialized():
        everyone = [own] * distributed.get_world_size()
        distributed.all_gather_object(everyone, own)
    return everyone


def first_fault(faults: list[Fault | None]) -> Fault | None:
    """Pick the fault of the lowest rank and say where it was."""
    for rank, fault in enumerate(faults):
        if fault is not None:
            where = f" on rank {rank}" if len(faults) > 1 else ""
            return Fault(fault.is_configuration, fault.description + where)
    return None


def gather(own: Findings) -> Findings:
    """Put the findings of all processes together, the same on each; a collective where there are several."""
    everyone = from_everyone(own)
    whole = Findings(fault=first_fault([part.fault for part in everyone]))
    for part in everyone:
        for key, scores in part.scores.items():
            whole.scores.setdefault(key, {}).update(scores)
        for method, images in part.invalid.items():
            whole.invalid[method] |= images
        for method, images in part.blank.items():
            whole.blank[method] |= images
        whole.seen |= part.seen
        whole.used |= part.used
        for method, maps in part.maps.items():
            whole.maps.setdefault(method, {}).update(maps)
        whole.classes |= part.classes
        whole.seconds = max(whole.seconds, part.seconds)
        whole.batch_size = min(whole.batch_size, part.batch_size)
    return whole


def in_order(found: dict[int, Measured]) -> Measured:
    """Stack the images' scores by their indices: sums then do not depend on who computed what."""
    ordered = [found[index] for index in sorted(found)]
    curves = [one.curves for one in ordered if one.curves is not None]
    return Measured(torch.stack([one.scores for one in ordered]), torch.stack(curves) if curves else None)
