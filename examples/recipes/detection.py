"""A detector of torchvision: why is there this object, at this place?

python examples/recipes/detection.py
"""

from typing import Any

import torch
from task import Task, fit
from torch import Tensor, nn
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn as detector

from lightning_saliency import SaliencyMonitor
from lightning_saliency.targets import Detection

ITEMS = [
    (torch.rand(3, 64, 64), {"boxes": torch.tensor([[8.0, 8.0, 40.0, 56.0]]), "labels": torch.tensor([1])})
    for _ in range(4)
]


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Sum the four losses of the detector."""
    losses: Tensor = sum(network(*batch).values())
    return losses


def task() -> Task:
    """Make the detector for a background and two classes."""
    options = {"weights": None, "weights_backbone": None, "num_classes": 3, "min_size": 64, "max_size": 64}
    return Task(detector(box_score_thresh=0.0, box_detections_per_img=5, **options), loss)


def collate(items: Any) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Keep images and boxes in lists, as the detector takes them."""
    images, boxes = zip(*items, strict=True)
    return list(images), list(boxes)


def monitor() -> SaliencyMonitor:
    """Explain the detection of class 1 with the highest score."""
    return SaliencyMonitor(
        ["gradient"],
        batch=lambda batch: (torch.stack(batch[0]), None),
        target=Detection(1),
    )


if __name__ == "__main__":
    fit(task(), ITEMS, monitor(), collate_fn=collate)  # type: ignore[arg-type]
