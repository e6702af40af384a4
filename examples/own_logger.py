"""A logger of the user's that receives the pictures and texts of a monitor, by functions that are registered for it."""

from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_saliency import SaliencyMonitor
from lightning_saliency.extend import write_picture, write_text


class Notebook(Logger):
    """Keeps lines in memory, where another logger would send values to a service."""

    name = version = "notebook"

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Note the number of values."""
        self.lines.append(f"{len(metrics)} values")

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Leave hyper-parameters out."""


@write_picture.register
def note_picture(logger: Notebook, tag: str, picture: Tensor, step: int) -> None:
    """Note the size of a picture (3, H, W)."""
    logger.lines.append(f"picture {tag}: {picture.shape[2]} x {picture.shape[1]} pixels")


@write_text.register
def note_text(logger: Notebook, tag: str, text: str, step: int) -> None:
    """Note the first line of a text in Markdown."""
    logger.lines.append(f"text {tag}: {text.splitlines()[0]}")


def main() -> None:
    """Validate once, and print what the logger has received."""
    torch.manual_seed(0)
    model = BoringModel()
    model.layer = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1568, 2))  # type: ignore[assignment]
    images: DataLoader[Tensor] = DataLoader(list(torch.rand(32, 3, 16, 16)), 8)  # type: ignore[arg-type]
    notebook, monitor = Notebook(), SaliencyMonitor(["gradient"], num_images=16, num_panels=1)
    with TemporaryDirectory() as folder:  # for the monitor's tables
        trainer = Trainer(callbacks=[monitor], logger=notebook, accelerator="cpu", default_root_dir=folder)
        trainer.validate(model, images, verbose=False)
    print("\n".join(notebook.lines))


if __name__ == "__main__":
    main()
