"""A drift measure of the user's: how far the brightest position of a map has moved since an earlier evaluation."""

from tempfile import TemporaryDirectory

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_saliency import SaliencyMonitor
from lightning_saliency.extend import DriftMeasure


def peak_distance(maps: Tensor, earlier: Tensor) -> Tensor:
    """Return the distance between the maxima of maps (B, H, W), in pixels: (B,)."""
    places = [torch.unravel_index(each.flatten(1).argmax(dim=1), each.shape[1:]) for each in (maps, earlier)]
    now, before = (torch.stack(place).double() for place in places)
    return (now - before).square().sum(dim=0).sqrt()


PEAK_SHIFT = DriftMeasure(
    "peak_shift", peak_distance, no_change=0.0, higher_is_better=False, text="distance between the brightest pixels"
)


def main() -> None:
    """Train for three epochs, and print how far the maps have moved."""
    torch.manual_seed(0)
    model = BoringModel()
    model.layer = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1568, 2))  # type: ignore[assignment]
    images: DataLoader[Tensor] = DataLoader(list(torch.rand(32, 3, 16, 16)), 8)  # type: ignore[arg-type]
    monitor = SaliencyMonitor(["gradient"], drift=[PEAK_SHIFT], num_images=16)
    with TemporaryDirectory() as folder:
        trainer = Trainer(max_epochs=3, callbacks=[monitor], logger=False, default_root_dir=folder, accelerator="cpu")
        trainer.fit(model, images, images)
    for record in monitor.history[1:]:
        print(f"epoch {record.epoch}: peaks moved by {record.values['saliency/gradient/drift_peak_shift']:.2f} pixels")


if __name__ == "__main__":
    main()
