"""Train on scikit-learn's handwritten digits under Ray Train, which receives the scores of explanations.

Every worker explains its share of the watched images. Ray's callback reports whatever was logged, the scores included,
together with a checkpoint, at the end of every epoch.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from digits import MEAN, STD, Classifier, Digits
from lightning.pytorch.loggers import CSVLogger
from ray.train import Result, RunConfig, ScalingConfig
from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment, RayTrainReportCallback, prepare_trainer
from ray.train.torch import TorchTrainer

from lightning_saliency import SaliencyMonitor

SCORES = ("guided_absolute_grad/rcap", "grad_cam/rcap")


def train_in_worker(config: dict[str, Any]) -> None:
    """Train as one of Ray's workers."""
    for noise in ("does not have many workers", "LeafSpec"):
        warnings.filterwarnings("ignore", message=f".*{noise}.*")
    pl.seed_everything(0, verbose=False)
    trainer = pl.Trainer(
        max_epochs=config["epochs"],
        limit_train_batches=config["num_batches"],
        accelerator="auto",
        devices="auto",
        strategy=RayDDPStrategy(),
        plugins=[RayLightningEnvironment()],
        logger=CSVLogger(config["storage"], name="logs", version=""),
        callbacks=[SaliencyMonitor(num_images=config["num_images"], mean=MEAN, std=STD), RayTrainReportCallback()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    prepare_trainer(trainer).fit(Classifier("resnet10t", learning_rate=1e-3), Digits(batch_size=64))


def reports_of(result: Result) -> list[dict[str, float]]:
    """Read what the workers reported, by epoch; of a run in this process Ray keeps the last report only."""
    table = result.metrics_dataframe
    if table is not None:
        return [dict(row) for _, row in table.iterrows()]
    return [result.metrics] if result.metrics else []


def print_reports(result: Result) -> None:
    """Print the scores that Ray received."""
    print("epoch  accuracy  " + "  ".join(SCORES))
    for report in reports_of(result):
        scores = "  ".join(f"{report['saliency/' + name]:{len(name)}.3f}" for name in SCORES)
        print(f"{report['epoch']:5.0f}  {report['val_accuracy']:8.3f}  {scores}")


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--num-workers", type=int, default=2, help="Ray's workers; with 0 this process trains")
    parser.add_argument("--use-gpu", action="store_true", help="give every worker a GPU")
    parser.add_argument("--epochs", type=int, default=3, help="number of epochs")
    parser.add_argument("--num-images", type=int, default=64, help="validation images to explain")
    parser.add_argument("--num-batches", type=int, help="training batches of an epoch; all unless given")
    parser.add_argument("--storage", type=Path, default=Path("runs/ray"), help="where logs and checkpoints go")
    options = parser.parse_args()

    config = {**vars(options), "storage": str(options.storage.resolve())}
    trainer = TorchTrainer(
        train_in_worker,
        train_loop_config=config,
        scaling_config=ScalingConfig(num_workers=options.num_workers, use_gpu=options.use_gpu),
        run_config=RunConfig(storage_path=config["storage"]),
    )
    print_reports(trainer.fit())


if __name__ == "__main__":
    main()
