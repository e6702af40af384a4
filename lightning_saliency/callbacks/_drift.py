"""How far explanations have moved since the previous, the first and the best evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Final

import torch

from lightning_saliency.callbacks._compact import SmallMap
from lightning_saliency.metrics import center_shift, spearman, ssim, top_k_iou

MEASURES: Final = {"spearman": spearman, "ssim": ssim, "top_k_iou": top_k_iou, "center_shift": center_shift}
ROLES: Final = {"previous": "", "first": "_first", "best": "_best"}

MapsByImage = dict[int, SmallMap]
MapsByMethod = dict[str, MapsByImage]


@dataclass
class Memory:
    """Maps of earlier evaluations and which of them was the best.

    Attributes:
        maps: Small maps by role (previous, first, best), method and image.
        best_value: Value of what decides, at the best evaluation.
        data: What the data set is, as far as that decides which image an index means.
    """

    maps: dict[str, MapsByMethod] = field(default_factory=dict)
    best_value: float | None = None
    data: str | None = None

    def remember(self, now: MapsByMethod) -> None:
        """Let the present maps be the previous ones of the next evaluation."""
        self.maps["previous"] = now
        self.maps.setdefault("first", now)

    def consider_best(self, value: float, *, higher_is_better: bool) -> None:
        """Keep the latest maps as the best ones if the value that decides has not been better; NaN never is."""
        if isnan(value):
            return
        best = self.best_value
        if best is None or (value > best if higher_is_better else value < best):
            self.best_value = value
            self.maps["best"] = self.maps["previous"]

    def state(self) -> dict[str, Any]:
        """Return numbers and tensors only, which load with `weights_only=True`."""
        packed = {
            role: {method: _packed(images) for method, images in methods.items()} for role, methods in self.maps.items()
        }
        return {"maps": packed, "best_value": self.best_value, "data": self.data}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "Memory":
        """Do the reverse of `state`."""
        maps = {
            role: {method: _unpacked(images) for method, images in methods.items()}
            for role, methods in state["maps"].items()
        }
        return cls(maps, state["best_value"], state["data"])


def drift_scores(now: MapsByImage, reference: MapsByImage) -> dict[str, dict[int, float]]:
    """Compare the maps of the images that both have, by every measure: {measure: {image: value}}."""
    both = sorted(now.keys() & reference.keys())
    common = [index for index in both if now[index].values.shape == reference[index].values.shape]
    if not common:
        return {}
    first = torch.stack([now[index].values for index in common]).float()
    second = torch.stack([reference[index].values for index in common]).float()
    return {name: dict(zip(common, measure(first, second).tolist(), strict=True)) for name, measure in MEASURES.items()}


def _packed(images: MapsByImage) -> dict[str, Any]:
    indices = sorted(images)
    if not indices:
        return {"indices": [], "maps": None, "ranges": None}
    maps = torch.stack([images[index].values for index in indices])
    ranges = torch.tensor([(images[index].low, images[index].high) for index in indices], dtype=torch.float64)
    return {"indices": indices, "maps": maps, "ranges": ranges}


def _unpacked(packed: Mapping[str, Any]) -> MapsByImage:
    if packed["maps"] is None:
        return {}
    # Earlier checkpoints kept no ranges, which drift does not need.
    ranges = packed.get("ranges", torch.tensor([[0.0, 1.0]]).expand(len(packed["indices"]), 2))
    return {
        index: SmallMap(values, *bounds)
        for index, values, bounds in zip(packed["indices"], packed["maps"], ranges.tolist(), strict=True)
    }
