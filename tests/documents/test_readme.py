"""The README's code blocks run, and the commands and files that it names exist."""

import re
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CLASSES = 3


class Classifier(pl.LightningModule):
    """Stands for the user's module."""

    def __init__(self):
        super().__init__()
        layers = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, CLASSES))
        self.network = nn.Sequential(*layers)

    def forward(self, images):
        return self.network(images)

    def training_step(self, batch, batch_idx):
        images, labels = batch
        return functional.cross_entropy(self(images), labels)

    def validation_step(self, batch, batch_idx):
        images, labels = batch
        self.log("val_loss", functional.cross_entropy(self(images), labels))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Images(pl.LightningDataModule):
    """Stands for the user's data."""

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(8, 3, 8, 8), torch.arange(8) % CLASSES), 4)

    def val_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(64, 3, 8, 8), torch.arange(64) % CLASSES), 64)


def block_with(words):
    (block,) = (block for block in BLOCKS if words in block)
    return block


def execute(block, **names):
    """Execute a block after these names have been defined, and return all names."""
    exec(compile(block, "README.md", "exec"), names)
    return names


# A network that has learned so little may have constant maps.
@pytest.mark.filterwarnings("ignore:.*are constant")
def test_the_callbacks_watch_and_gate_a_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = execute(block_with("Trainer("), model=Classifier(), datamodule=Images())
    assert names["trainer"].current_epoch == 10
    assert "saliency/guided_absolute_grad/rcap" in names["trainer"].callback_metrics
    assert list(tmp_path.glob("lightning_logs/**/events.out.tfevents.*"))


def test_maps_and_scores_are_computed_without_lightning():
    images = torch.rand(4, 3, 8, 8)
    colours = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    network = Classifier().eval()
    names = execute(
        block_with("explain("), network=network, images=images, targets=torch.arange(4) % CLASSES, **colours
    )
    assert names["maps"].keys() == names["scores"].keys() == {"guided_absolute_grad", "grad_cam"}
    for scores in names["scores"].values():
        assert {name: len(values) for name, values in scores.items()} == {"rcap": 4, "allegiance": 4}


def test_it_is_short():
    assert len(README.splitlines()) <= 120


def test_no_block_is_left_out():
    assert len(BLOCKS) == 2


def test_commands_of_make_are_targets():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    commands = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= commands <= set(targets)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"examples/[\w/]+\.\w+|docs/[\w-]+\.md|[A-Z]+\.md", README))))
def test_files_exist(path):
    assert (ROOT / path).is_file()
