"""How far explanations have moved since the previous, the first and the best evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor

from lightning_saliency.drift import DriftMeasure
from lightning_saliency.monitor._compact import MapsByImage, MapsByMethod, SmallMap, resized, within_bound
from lightning_saliency.monitor._scalars import Scalar
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.evaluation import DriftColumn, Evaluation
from lightning_saliency.names import SINCE, Since

# Of the format in checkpoints.
VERSION = 1


@dataclass
class Memory:
    """Maps of earlier evaluations and which of them was the best.

    Every process remembers the maps of its own images, and the first one those of all, for checkpoints. Together they
    take at most 8 MB: with many images or methods smaller maps are remembered, and in the end those of fewer images.

    Attributes:
        maps: Small maps by evaluation (previous, first, best), method and image.
        best_value: Value of what decides, at the best evaluation.
        best_name: Name of what decides.
        fingerprints: A number for each image that maps are of.
    """

    maps: dict[Since, MapsByMethod] = field(default_factory=dict)
    best_value: float | None = None
    best_name: str | None = None
    fingerprints: dict[int, int] = field(default_factory=dict)

    def remember(self, evaluation: Evaluation, scalars: Mapping[str, Scalar], settings: Settings) -> None:
        """Let the present maps be the previous ones of the next evaluation, and the best ones if they are.

        Args:
            evaluation: The results with the maps.
            scalars: Their values by name.
            settings: The monitor's settings, whose `best` names the value that decides.
        """
        maps = within_bound(evaluation.maps, settings.num_images * len(settings.methods))
        self.maps["previous"] = maps
        self.maps.setdefault("first", maps)
        self.fingerprints.update(_fingerprints(evaluation))
        decisive = None if settings.best is None else scalars.get(f"{settings.name}/{settings.best}")
        if settings.best is not None and decisive is not None:
            self._consider(maps, decisive.value, settings.best, settings.directions[settings.best])

    def is_of(self, evaluation: Evaluation) -> bool:
        """Return whether maps of these images can be compared: some are remembered, and none has changed."""
        fingerprints = _fingerprints(evaluation)
        common = fingerprints.keys() & self.fingerprints.keys()
        return bool(common) and all(fingerprints[index] == self.fingerprints[index] for index in common)

    def _consider(self, maps: MapsByMethod, value: float, name: str, higher_is_better: bool) -> None:
        """Keep maps as the best ones if the value that decides has not been better."""
        best = self.best_value
        if best is None or (value > best if higher_is_better else value < best):
            self.best_value, self.best_name = value, name
            self.maps["best"] = maps

    def state(self) -> dict[str, Any]:
        """Return numbers and tensors only, which load with `weights_only=True`."""
        packed = {
            since: {method: _packed(images) for method, images in methods.items()}
            for since, methods in self.maps.items()
        }
        return {
            "version": VERSION,
            "maps": packed,
            "best_value": self.best_value,
            "best_name": self.best_name,
            "fingerprints": dict(self.fingerprints),
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any], best: str | None) -> "Memory":
        """Do the reverse of `state`.

        Args:
            state: The state.
            best: Name of what decides now: if it is another one, nothing is the best yet.
        """
        version = state.get("version", VERSION)
        if version != VERSION:
            raise ValueError(
                f"The state of a monitor must have the version {VERSION}, but got {version!r}.  Resume with the "
                "release of lightning_saliency that wrote the checkpoint."
            )
        maps = {
            since: {method: _unpacked(images) for method, images in methods.items()}
            for since, methods in state["maps"].items()
        }
        memory = cls(maps, state["best_value"], state.get("best_name"), dict(state["fingerprints"]))
        if memory.best_name != best:
            memory.maps.pop("best", None)
            memory.best_value = memory.best_name = None
        return memory


def drift_of(evaluation: Evaluation, memory: Memory, measures: Sequence[DriftMeasure]) -> DriftColumn:
    """Compare the present maps with the remembered ones: columns (N,) by (method, measure, since)."""
    columns: DriftColumn = {}
    for since in SINCE:
        for method, maps in memory.maps.get(since, {}).items():
            if method in evaluation.maps:
                compared = _compare(evaluation.indices, evaluation.maps[method], maps, measures)
                columns |= {(method, measure, since): column for measure, column in compared.items()}
    return columns


def _compare(
    indices: Tensor, now: MapsByImage, reference: MapsByImage, measures: Sequence[DriftMeasure]
) -> dict[str, Tensor]:
    """Compare the maps of the images that both have, shape by shape; NaN for the others."""
    rows_by_shape: dict[torch.Size, list[tuple[int, int]]] = {}
    for row, index in enumerate(indices.tolist()):
        if index in now and index in reference and _can_compare(now[index], reference[index]):
            rows_by_shape.setdefault(reference[index].values.shape, []).append((row, index))
    columns = {measure.name: torch.full((len(indices),), torch.nan, dtype=torch.float64) for measure in measures}
    for shape, rows in rows_by_shape.items():
        first = torch.stack([resized(now[index], shape).values for _, index in rows]).float()
        second = torch.stack([reference[index].values for _, index in rows]).float()
        places = torch.tensor([row for row, _ in rows])
        for measure in measures:
            columns[measure.name][places] = measure.function(first, second).double()
    return columns if rows_by_shape else {}


def _can_compare(now: SmallMap, reference: SmallMap) -> bool:
    """Return whether a map can be averaged down to the size that is remembered."""
    sizes, smaller = now.values.shape, reference.values.shape
    return len(sizes) == len(smaller) and all(size >= one for size, one in zip(sizes, smaller, strict=True))


def _fingerprints(evaluation: Evaluation) -> dict[int, int]:
    return dict(zip(evaluation.indices.tolist(), evaluation.fingerprints.tolist(), strict=True))


def _packed(images: MapsByImage) -> dict[str, Any]:
    indices = sorted(images)
    if not indices:
        return {"indices": [], "maps": None, "shapes": [], "ranges": None}
    maps = torch.cat([images[index].values.flatten() for index in indices])
    shapes = [list(images[index].values.shape) for index in indices]
    ranges = torch.tensor([(images[index].low, images[index].high) for index in indices], dtype=torch.float64)
    return {"indices": indices, "maps": maps, "shapes": shapes, "ranges": ranges}


def _unpacked(packed: Mapping[str, Any]) -> MapsByImage:
    if packed["maps"] is None:
        return {}
    maps = packed["maps"].split([prod(shape) for shape in packed["shapes"]])
    return {
        index: SmallMap(values.reshape(shape).clone(), *bounds)
        for index, values, shape, bounds in zip(
            packed["indices"], maps, packed["shapes"], packed["ranges"].tolist(), strict=True
        )
    }
