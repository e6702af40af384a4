"""Evaluate the checkpoints of a finished training, as if a monitor had been on while it ran."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tqdm.auto import tqdm

from lightning_saliency._name_spaces import is_kind, overrides
from lightning_saliency.callbacks import SaliencyMonitor
from lightning_saliency.callbacks._lightning import find_source, network_in
from lightning_saliency.callbacks._publish import Publication, write_results
from lightning_saliency.loggers._drafts import draft_of
from lightning_saliency.monitor.alarms import CONFIRMED, Watch, cues_of, sentence, warning_key
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.drawing import drawn_images
from lightning_saliency.monitor.evaluated import Evaluated
from lightning_saliency.monitor.evaluation import Evaluation
from lightning_saliency.monitor.items import Reading
from lightning_saliency.monitor.memory import Memory, drift_of
from lightning_saliency.monitor.selection import complaints_about_log, logged_values
from lightning_saliency.monitor.subset import Subset, choose_subset
from lightning_saliency.monitor.summary import Outcome, complaints, summarise
from lightning_saliency.monitor.without_trainer import evaluate_in_memory
from lightning_saliency.names import table_file

__all__ = ["evaluate_checkpoints"]


@dataclass(frozen=True, order=True)
class _Checkpoint:
    """A file, and when in the training it was written."""

    step: int
    epoch: int
    path: Path


@dataclass
class _State:
    """The steps that the output has, and what the next step is compared with; a file in the output."""

    path: Path
    steps: list[int] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    watch: Watch = field(default_factory=Watch)

    @classmethod
    def of(cls, output: Path, settings: Settings) -> "_State":
        """Go on where an earlier call ended.

        Raises:
            ValueError: If the folder has the results of a training, or cannot be written.
        """
        path = output / f"{settings.name}_checkpoints.pt"
        if path.exists():
            content = torch.load(path, weights_only=True)
            watch = Watch.of_state(content["watch"]) if "watch" in content else Watch()
            return cls(path, content["steps"], Memory.of_state(content["memory"], settings.best), watch)
        if (output / table_file(settings.name)).exists():
            raise ValueError(
                f"`output` must be a folder without results of a training, but got '{output}', which has "
                f"{table_file(settings.name)}.  Pass another folder."
            )
        state = cls(path)
        try:
            state.save()
        except OSError as error:
            raise ValueError(
                f"`output` must be a folder that can be written, but got '{output}' ({error.strerror}).  "
                "Pass another folder."
            ) from error
        return state

    def save(self) -> None:
        """Write the file at once."""
        with draft_of(self.path) as draft:
            torch.save({"steps": self.steps, "memory": self.memory.state(), "watch": self.watch.state()}, draft)


@dataclass
class _Evaluator:
    """Evaluates one checkpoint after the other on the same images."""

    module: pl.LightningModule
    subset: Subset
    reading: Reading
    settings: Settings
    state: _State
    logger: TensorBoardLogger
    warnings: set[str] = field(default_factory=set)

    def evaluate(self, checkpoint: _Checkpoint) -> None:
        """Load the weights, explain, log and remember."""
        _load_weights(self.module, checkpoint.path)
        network = network_in(self.module, self.settings)
        evaluated = evaluate_in_memory(
            self.module,
            network,
            self.subset,
            self.reading,
            self.settings,
            cues=cues_of(self.settings, self.state.watch.decision),
            looks_ahead=not self.state.steps,
        )
        evaluation, outcome = self._compared(evaluated)
        if outcome.fault is not None:
            raise RuntimeError(outcome.fault.description)
        messages = evaluated.notes | complaints(evaluation, self.settings)
        self._warn(messages | complaints_about_log(outcome.scalars, self.settings))
        if outcome.alarm is not None:
            self.state.watch = self.state.watch.after(outcome.alarm, checkpoint.epoch)
        self._log(checkpoint, evaluation, evaluated, outcome)
        if outcome.loss is None:
            self.state.memory.remember(evaluation, outcome.scalars, self.settings)
        self.state.steps.append(checkpoint.step)
        self.state.save()

    def _compared(self, evaluated: Evaluated) -> tuple[Evaluation, Outcome]:
        """Measure drift, which restarts if the images are other ones than those of an earlier call."""
        memory, evaluation = self.state.memory, evaluated.evaluation
        restarts = bool(memory.maps) and len(evaluation.indices) > 0 and not memory.is_of(evaluation)
        if restarts:
            self._warn({"data": "The images changed since the last call. Drift restarts."})
            self.state.memory = memory = Memory()
        evaluation = replace(evaluation, drift=drift_of(evaluation, memory, self.settings.drift))
        previous = self.state.watch.decision
        return summarise(evaluation, self.settings, drift_restarts=restarts, previous=previous)

    def _log(self, checkpoint: _Checkpoint, evaluation: Evaluation, evaluated: Evaluated, outcome: Outcome) -> None:
        settings, step = self.settings, checkpoint.step
        values = logged_values(outcome.scalars, settings)
        self.logger.log_metrics(values | {"epoch": float(checkpoint.epoch)}, step)
        shown = evaluated.shown(drawn_images(evaluation, evaluated.panels, settings), outcome.alarm)
        if self.state.watch.decision.state == CONFIRMED:
            self._warn({warning_key(self.state.watch.decision): sentence(self.state.watch, self.settings)})
        publication = Publication(
            evaluation,
            outcome,
            "fit",
            "checkpoints",
            self.state.memory,
            evaluated.panels,
            resumed=True,  # rows of a call that was killed before it noted the step
            monitors=(settings,),
            introduction=evaluated.preflight,
            watch=self.state.watch,
        )
        folder = str(self.state.path.parent)
        write_results([self.logger], folder, checkpoint.epoch, step, shown, publication, settings)
        self.logger.experiment.flush()

    def _warn(self, messages: dict[str, str]) -> None:
        for key, message in messages.items():
            if key not in self.warnings:
                self.warnings.add(key)
                warnings.warn(message, stacklevel=2)


def evaluate_checkpoints(
    module: pl.LightningModule,
    data: Any,
    paths: Sequence[str | Path],
    output: str | Path,
    *,
    monitor: SaliencyMonitor | None = None,
    accelerator: str = "auto",
) -> list[str]:
    """Log what a monitor would have logged at each checkpoint: scores, drift, pictures and every image's scores.

    The checkpoints are evaluated in the order of their `global_step`, each at its step. TensorBoard and
    `python -m lightning_saliency report` show the output. A step that the output has already is skipped, so that a
    call which was interrupted can be repeated. The module has the weights of the last checkpoint afterwards.

    Args:
        module: The module whose weights the checkpoints hold.
        data: A validation loader, or a data module that has one.
        paths: Checkpoints of Lightning. They are loaded with `weights_only=True`.
        output: Folder for event files and `saliency.csv`, new or that of an earlier call.
        monitor: Holds the arguments of the evaluation; by default those of `SaliencyMonitor()`. Its `max_seconds`,
            `max_fraction_of_epoch` and `every_n_epochs` have no effect.
        accelerator: As in `Trainer`, which is not run.

    Returns:
        A sentence for each checkpoint that could not be evaluated.

    Raises:
        TypeError: If the module or the data are not of the kind expected.
        ValueError: If the folder has the results of a training or cannot be written, or an argument of the monitor does
            not go with the module.
        RuntimeError: If the hooks of the module or its data that set them up raise.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import torch
        >>> from lightning.pytorch import Trainer
        >>> from lightning.pytorch.demos.boring_classes import BoringModel
        >>> from lightning_saliency import SaliencyMonitor
        >>> module = BoringModel()
        >>> module.layer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
        >>> images = torch.utils.data.DataLoader(list(torch.rand(8, 1, 8, 8)), 4)
        >>> monitor = SaliencyMonitor(["gradient"], ["sparseness"], target=0, num_images=8, cues=())
        >>> with TemporaryDirectory() as folder:
        ...     trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, max_steps=0)
        ...     trainer.strategy.connect(module)
        ...     trainer.save_checkpoint(f"{folder}/last.ckpt")
        ...     evaluate_checkpoints(module, images, [f"{folder}/last.ckpt"], f"{folder}/logs", monitor=monitor)
        []
    """
    if not is_kind(module, pl.LightningModule):
        raise TypeError(f"`module` must be a LightningModule, but got {type(module).__name__}.")
    if not (is_kind(data, pl.LightningDataModule) or hasattr(data, "__iter__")):
        raise TypeError(f"`data` must be a loader or a LightningDataModule, but got {type(data).__name__}.")
    settings = (monitor or SaliencyMonitor()).settings
    state = _State.of(Path(output), settings)
    checkpoints, faults = _in_order(paths)
    logger = TensorBoardLogger(output, name="", version="")
    evaluator = _prepared(module, data, settings, state, logger, accelerator)
    try:
        for checkpoint in tqdm(checkpoints, desc="Evaluating", unit="checkpoint", disable=None):
            if checkpoint.step not in state.steps:
                faults += _fault_of(evaluator, checkpoint)
    finally:
        logger.experiment.close()
    return faults


def _prepared(
    module: pl.LightningModule,
    data: Any,
    settings: Settings,
    state: _State,
    logger: TensorBoardLogger,
    accelerator: str,
) -> _Evaluator:
    """Set the module and the data up as `Trainer.validate` does."""
    trainer = pl.Trainer(accelerator=accelerator, devices=1, logger=False, enable_checkpointing=False)
    trainer.validating = True
    device = trainer.strategy.root_device
    datamodule = data if is_kind(data, pl.LightningDataModule) else None
    try:
        loaders = _set_up(module, datamodule, trainer)
    except Exception as error:
        raise RuntimeError(f"The module or its data cannot be set up: {type(error).__name__}: {error}") from error
    module.to(device)
    network_in(module, settings)
    source = find_source(data if datamodule is None else loaders, settings.dataloader_idx)
    transfer = partial(_transferred, module=module, datamodule=datamodule, device=device, settings=settings)
    owners = (module,) if datamodule is None else (datamodule, module)
    reading = Reading(transfer, settings.batch, settings.max_batch_size, settings.seed, owners)
    subset = choose_subset(source, settings.num_images, settings.seed, lambda indices: indices)
    return _Evaluator(module, subset, reading, settings, state, logger)


def _set_up(module: pl.LightningModule, datamodule: pl.LightningDataModule | None, trainer: pl.Trainer) -> Any:
    """Call the hooks that build data and layers, and return the data module's loaders."""
    module.trainer = trainer  # hooks ask it questions
    loaders = None
    if datamodule is not None:
        datamodule.trainer = trainer
        datamodule.prepare_data()
        datamodule.setup("validate")
        loaders = datamodule.val_dataloader()
    module.setup("validate")
    module.configure_model()
    return loaders


def _transferred(
    batch: Any,
    module: pl.LightningModule,
    datamodule: pl.LightningDataModule | None,
    device: torch.device,
    settings: Settings,
) -> Any:
    """Move a batch through the hooks of the data module, or of the module where it has none."""

    def hook(name: str) -> Any:
        is_module = datamodule is None or not overrides(datamodule, pl.LightningDataModule, name)
        return getattr(module if is_module else datamodule, name)

    dataloader_idx = settings.dataloader_idx
    batch = hook("on_before_batch_transfer")(batch, dataloader_idx)
    batch = hook("transfer_batch_to_device")(batch, device, dataloader_idx)
    return hook("on_after_batch_transfer")(batch, dataloader_idx)


def _in_order(paths: Sequence[str | Path]) -> tuple[list[_Checkpoint], list[str]]:
    """Sort checkpoints by step, and say which cannot be read."""
    checkpoints, faults = [], []
    for path in map(Path, paths):
        try:
            content = _content_of(path)
            checkpoints.append(_Checkpoint(int(content["global_step"]), int(content["epoch"]), path))
        except Exception as error:  # noqa: BLE001 - a broken file must not stop the others
            faults.append(_sentence(path, error))
    return sorted(checkpoints), faults


def _fault_of(evaluator: _Evaluator, checkpoint: _Checkpoint) -> Iterator[str]:
    """Evaluate a checkpoint, and say what is wrong with it."""
    latest = max(evaluator.state.steps, default=-1)
    if checkpoint.step < latest:
        yield (
            f"'{checkpoint.path}' was skipped: its step {checkpoint.step} comes before step {latest} of the output, so "
            "drift would be wrong.  Pass an empty folder."
        )
        return
    try:
        evaluator.evaluate(checkpoint)
    except Exception as error:  # noqa: BLE001 - a broken checkpoint must not stop the others
        yield _sentence(checkpoint.path, error)


def _load_weights(module: pl.LightningModule, path: Path) -> None:
    content = _content_of(path)
    module.on_load_checkpoint(content)
    module.load_state_dict(content["state_dict"], strict=module.strict_loading)


def _content_of(path: Path) -> dict[str, Any]:
    """Read a checkpoint; its tensors are read when they are used."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    missing = {"global_step", "epoch", "state_dict"} - (content.keys() if isinstance(content, dict) else set())
    if missing:
        raise ValueError(f"it is no checkpoint of Lightning, since it has no {', '.join(sorted(missing))}")
    return content


def _sentence(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"'{path}' was skipped: {type(error).__name__}: {reason if len(reason) < 300 else reason[:300] + ' ...'}"
