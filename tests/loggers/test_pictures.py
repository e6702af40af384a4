"""Every adapter against the library itself, without a network."""

import sys

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_saliency import SaliencyMonitor
from lightning_saliency.loggers import write_picture
from lightning_saliency.methods import Gradient
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, fit

TAG = "saliency/gradient/image_3"


@pytest.fixture
def picture():
    return torch.arange(3 * 8 * 10, dtype=torch.uint8).reshape(3, 8, 10)


@pytest.fixture
def _file_store(monkeypatch):
    """Let MLflow store runs in files, without a data base."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")


def pixels(path):
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)


def offline(folder):
    wandb = pytest.importorskip("wandb")
    settings = wandb.Settings(console="off", x_disable_stats=True, silent=True)
    return WandbLogger(save_dir=folder, offline=True, project="project", settings=settings)


def local(folder):
    pytest.importorskip("mlflow")
    return MLFlowLogger("experiment", tracking_uri=f"file:{folder}")


def test_files_lie_under_pictures_beside_the_table(tmp_path, picture):
    logger = CSVLogger(tmp_path, name="", version="run")
    write_picture(logger, TAG, picture, 12)
    write_picture(logger, TAG, 255 - picture, 100)
    files = sorted((tmp_path / "run" / "pictures" / TAG).iterdir())
    assert [file.name for file in files] == ["000000012.png", "000000100.png"]
    assert torch.equal(pixels(files[0]), picture)


def test_tensorboard_shows_the_picture(tmp_path, picture):
    logger = TensorBoardLogger(tmp_path, name="")
    write_picture(logger, TAG, picture, 12)
    logger.experiment.flush()
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    (event,) = events.Images(TAG)
    assert (event.step, event.width, event.height) == (12, 10, 8)


def test_wandb_keeps_the_picture(tmp_path, picture):
    logger = offline(tmp_path)
    write_picture(logger, TAG, picture, 12)
    assert logger.experiment.summary["trainer/global_step"] == 12
    assert logger.experiment.summary[TAG]["count"] == 1
    logger.experiment.finish()
    (file,) = tmp_path.rglob("*.png")
    assert torch.equal(pixels(file), picture)


@pytest.mark.usefixtures("_file_store")
def test_mlflow_keeps_the_picture(tmp_path, picture):
    logger = local(tmp_path)
    write_picture(logger, TAG, picture, 12)
    (artifact,) = logger.experiment.list_artifacts(logger.run_id, f"pictures/{TAG}")
    assert artifact.path.endswith("/000000012.png")
    (file,) = tmp_path.rglob("*.png")
    assert torch.equal(pixels(file), picture)


def test_a_logger_without_an_adapter_shows_nothing_until_it_gets_one(picture):
    class Silent(Logger):
        name = version = "silent"

        def log_metrics(self, metrics, step=None):
            """Log nothing."""

        def log_hyperparams(self, params):
            """Log nothing."""

    class Showing(Silent):
        """Shows its pictures."""

    pictures = []
    write_picture.register(Showing, lambda logger, tag, picture, step: pictures.append((tag, step)))
    write_picture(Silent(), TAG, picture, 1)
    write_picture(Showing(), TAG, picture, 2)
    assert pictures == [(TAG, 2)]


def imported():
    return sorted({"wandb", "mlflow", "lightning_saliency"} & sys.modules.keys())


def test_no_library_is_imported_that_is_not_used(tmp_path):
    assert spawn(imported, tmp_path, world_size=1) == [["lightning_saliency"]]


@pytest.mark.usefixtures("_file_store")
def test_several_loggers_at_once_get_pictures_scores_and_one_table(tmp_path):
    files = CSVLogger(tmp_path / "files", name="", version="run")
    loggers = [local(tmp_path / "mlflow"), offline(tmp_path / "wandb"), files, TensorBoardLogger(tmp_path / "board")]
    (tmp_path / "wandb").mkdir()
    watcher = SaliencyMonitor([Gradient()], num_images=6, num_panels=2, num_drifted=0, mean=MEAN, std=STD, cues=())
    fit([watcher], logger=loggers, log_every_n_steps=1, max_epochs=1)
    loggers[1].experiment.finish()
    for name in ("mlflow", "wandb", "files"):
        # Two strips, that of the worst image, and the curves of RCAP.
        assert len(list((tmp_path / name).rglob("*.png"))) == 4
    (table,) = tmp_path.rglob("saliency.csv")
    # The first logger has one folder for all runs.
    assert table.parent == tmp_path / "mlflow" / str(loggers[0].name) / str(loggers[0].version)
    assert "saliency/gradient/rcap" in (tmp_path / "files" / "run" / "metrics.csv").read_text()
    assert "saliency/gradient/rcap" in loggers[0].experiment.get_run(loggers[0].run_id).data.metrics
