"""Search for hyperparameters on scikit-learn's handwritten digits, and prune trials by the score of an explanation.

Optuna's callback reports a score of the monitor after every validation. A trial whose explanations are worse than those
of the median trial at the same epoch ends there.
"""

import argparse
import tempfile
import warnings
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import optuna
from digits import MEAN, STD, Classifier, Digits
from optuna import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from optuna_integration import PyTorchLightningPruningCallback

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import GuidedAbsoluteGrad, RandomMap
from lightning_saliency.metrics import RCAP

SCORE = "saliency/guided_absolute_grad/rcap_vs_random"


def train(trial: Trial, epochs: int, num_images: int, num_batches: int | None) -> float:
    """Train with what the trial suggests and return the last score; a trial that is pruned raises."""
    learning_rate = trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    batch_size = trial.suggest_categorical("batch_size", [32, 64, 128])
    # Every trial makes a monitor, so that trials in several threads share nothing.
    monitor = SaliencyMonitor([GuidedAbsoluteGrad(), RandomMap()], [RCAP()], num_images=num_images, mean=MEAN, std=STD)
    trainer = pl.Trainer(
        max_epochs=epochs,
        limit_train_batches=num_batches,
        accelerator="auto",
        devices=1,
        logger=False,
        default_root_dir=Path(tempfile.gettempdir(), "optuna_pruning", str(trial.number)),
        callbacks=[monitor, PyTorchLightningPruningCallback(trial, SCORE)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Classifier("resnet10t", learning_rate), Digits(batch_size))
    return float(trainer.callback_metrics[SCORE])


def describe(trial: FrozenTrial) -> str:
    """Say in a line what a trial tried, its score in every epoch, and how it ended."""
    scores = " ".join(f"{score:.3f}" for _, score in sorted(trial.intermediate_values.items()))
    values = ", ".join(f"{name} {value:.3g}" for name, value in trial.params.items())
    return f"trial {trial.number}: {trial.state.name.lower():8}  {values}  scores by epoch {scores}"


def print_report(study: Study) -> None:
    """Print every trial, and name those that were pruned and the best one."""
    print(f"\n{SCORE}")
    for trial in study.trials:
        print(describe(trial))
    pruned = [str(trial.number) for trial in study.get_trials(states=[TrialState.PRUNED])]
    print(f"pruned: {', '.join(pruned) or 'none'}; best: trial {study.best_trial.number}")


def main() -> None:
    """Read the options and search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--trials", type=int, default=8, help="number of trials")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time, each in a thread of this process")
    parser.add_argument("--epochs", type=int, default=4, help="number of epochs of a trial that is not pruned")
    parser.add_argument("--num-images", type=int, default=64, help="validation images to explain")
    parser.add_argument("--num-batches", type=int, help="training batches of an epoch; all unless given")
    options = parser.parse_args()

    for noise in ("does not have many workers", "LeafSpec"):
        warnings.filterwarnings("ignore", message=f".*{noise}.*")
    pl.seed_everything(0, verbose=False)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
    )
    objective = partial(train, epochs=options.epochs, num_images=options.num_images, num_batches=options.num_batches)
    study.optimize(objective, n_trials=options.trials, n_jobs=options.jobs)
    print_report(study)


if __name__ == "__main__":
    main()
