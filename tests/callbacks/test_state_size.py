"""The size of what a monitor adds to every checkpoint."""

import io

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.metrics import Sparseness
from tests.callbacks.training import FOLDER

MOST = 8 * 2**20


class Small(pl.LightningModule):
    """A network that costs nothing."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))

    def forward(self, images):
        return self.network(images)

    def training_step(self, batch):
        return self(batch[0]).sum()

    def validation_step(self, batch):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Changing:
    """Maps that are the image, and in the second evaluation turned upside down."""

    turned = False

    def __call__(self, model, images, targets):
        return images[:, 0].flip(1) if self.turned else images[:, 0]


class Turn(Callback):
    """Turns maps in the second evaluation."""

    def __init__(self, method):
        self.method = method

    def on_validation_start(self, trainer, pl_module):
        self.method.turned = trainer.current_epoch == 1


def evaluate(folder, num_images, side, num_methods):
    """Evaluate twice, and return the monitor."""
    images = torch.rand(num_images, 1, side, side, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(images, torch.arange(num_images) % 2), 256)
    changing = Changing()
    methods = {f"m{number}": lambda model, images, targets: images[:, 0] for number in range(num_methods - 1)}
    watcher = SaliencyMonitor(
        {**methods, "changing": changing},
        [Sparseness()],
        controls=[],
        cues=(),
        num_images=num_images,
        num_panels=2,
        max_batch_size=256,
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        limit_train_batches=1,
        logger=False,
        default_root_dir=FOLDER.name,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Turn(changing), watcher],
    )
    trainer.fit(Small(), loader, loader)
    return watcher


def size_of(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.tell()


@pytest.mark.parametrize(("num_images", "side", "num_methods"), [(256, 64, 10), (256, 32, 10), (2_500, 8, 10)])
def test_a_checkpoint_grows_by_a_bound_whatever_is_watched(tmp_path, num_images, side, num_methods):
    watcher = evaluate(tmp_path, num_images, side, num_methods)
    assert size_of(watcher.state_dict()) < 1.1 * MOST
    values, counts = watcher.history[-1].values, watcher.history[-1].counts
    assert values["saliency/m0/drift_spearman"] == pytest.approx(1, abs=1e-6)
    assert abs(values["saliency/changing/drift_spearman"]) < 0.2
    assert counts["saliency/m0/drift_spearman"] == counts["saliency/changing/drift_spearman"]
    fits = 3 * 2 * 8 * 8 * num_images * num_methods <= MOST
    assert (counts["saliency/m0/drift_spearman"] == num_images) == fits


def test_few_maps_are_remembered_as_they_are(tmp_path):
    watcher = evaluate(tmp_path, 64, 64, 4)
    state = watcher.state_dict()["memory"]
    assert {packed["maps"].numel() for packed in state["maps"]["first"].values()} == {64 * 64 * 64}


def test_a_restored_memory_measures_the_same_drift(tmp_path):
    watcher = evaluate(tmp_path, 256, 32, 10)
    state = watcher.state_dict()
    other = SaliencyMonitor(dict(watcher.settings.methods), [Sparseness()], controls=[], num_images=256, cues=())
    other.load_state_dict(state)
    assert size_of(other.state_dict()) == size_of(state)
