"""The callback that explains a fixed subset of validation images in every validation."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, Final, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.memory import is_oom_error

from lightning_saliency._random import private_random_state
from lightning_saliency._saliency_method import as_method
from lightning_saliency._signals import signals_held
from lightning_saliency.callbacks._conclusion import Conclusion, conclude
from lightning_saliency.callbacks._dashboard import enter_run
from lightning_saliency.callbacks._distributed import (
    agree_on_fault,
    ddp_will_share_buffers,
    first_buffers,
    tell_everyone,
)
from lightning_saliency.callbacks._lightning import (
    averages_later,
    deciding_value,
    evaluation_loop,
    find_source,
    has_tensorboard,
    has_validation_images,
    is_fresh,
    network_in,
    reading_of,
    stage_of,
)
from lightning_saliency.callbacks._progress import showing_progress
from lightning_saliency.callbacks._publish import Publication, publish
from lightning_saliency.callbacks._results import ResultsFile
from lightning_saliency.callbacks._run import Run
from lightning_saliency.callbacks._sharding import is_sharded, refuse_unshardable, share_of
from lightning_saliency.drift import DriftMeasure
from lightning_saliency.monitor._buffers import buffers_replaced
from lightning_saliency.monitor._clock import EpochClock
from lightning_saliency.monitor._scalars import bands
from lightning_saliency.monitor._short_names import MethodChoice, MetricChoice, methods_by_name, metrics_by_name
from lightning_saliency.monitor.batches import BatchReader, number_images
from lightning_saliency.monitor.config import Control, OnError, Scale, Settings, drift_measures
from lightning_saliency.monitor.discovery import NetworkChoice, OutputChoice, TargetChoice
from lightning_saliency.monitor.evaluate import Evaluated, evaluate_subset
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.history import Record, new_run
from lightning_saliency.monitor.memory import Memory
from lightning_saliency.monitor.subset import CPU, IMAGES_IN_CHECK, Source, Subset, choose_subset
from lightning_saliency.monitor.summary import Outcome, complaints
from lightning_saliency.names import staged
from lightning_saliency.passes.normalization import ChannelValues, Normalization
from lightning_saliency.passes.precision import ScoringPrecision

FIRST_BATCH_SIZE: Final = 64
LONGEST_HISTORY: Final = 1000
SKIPPED: Final = "Skipped the explanations of this validation"
INCOMPLETE: Final = "Some results could not be logged"


class SaliencyMonitor(pl.Callback):
    """Explains a fixed subset of validation images in every validation, scores the maps, and logs both.

    Works in `fit`, `validate` and `test`, on one device or many, and leaves training exactly as it would be
    without it. Scalars are `saliency/<method>/<metric>` with `_stderr`, in `trainer.callback_metrics` in time
    for checkpoints, and `_vs_random`, the margin over a control; `saliency/<method>/drift_<measure>` says how far
    maps have moved since the previous evaluation, with `_first` and `_best` since those. Pictures are
    `saliency/<method>/image_<index>`. In the log folder every image's scores are rows of `saliency.csv`, and every
    evaluation's values rows of `evaluations.csv`. The sanity run checks the set-up on two images and logs nothing.

    Args:
        methods: Methods or their names, or a mapping from names; by default Guided AbsoluteGrad and Grad-CAM.
        metrics: Metrics or their names, or a mapping from names; by default RCAP and allegiance.
        controls: Baseline maps that ignore the model, scored for comparison: `"random"` and `"edges"`.
        drift: Measures of how far maps have moved, by name (`"spearman"`, `"ssim"`, `"top_k_iou"`, `"center_shift"`)
            or as `DriftMeasure`. The first one decides which images have moved most.
        num_images: Size of the subset, chosen once by `seed`, balanced over classes where labels are cheap.
        num_panels: How many of these images are drawn, always the same ones.
        num_drifted: How many images whose maps moved most are drawn besides.
        num_worst: How many images with the worst score of the first metric are drawn besides, for each method.
        every_n_epochs: In training, work in the validations of every n-th epoch.
        max_batch_size: Most images in one pass; `"auto"` starts at 64 and halves when memory runs out.
        max_seconds: Time that an evaluation may take: after the first one the number of images is cut to fit,
            once, since scores of other images could not be compared.
        target: Class to explain: `"label"` (the default where batches have labels), `"predicted"`, a class,
            or a function of (logits (B, K), labels (B, ...) or `None`) that returns classes (B,).
        min_confidence: Leave out images whose target has less probability; the share used is then logged.
            Probabilities are those of a softmax, or of a sigmoid where the metrics say `activation="sigmoid"`.
        mean: Mean that images were normalised with, one value or one per channel. `None` looks for it in the
            data set's transforms and a timm network's configuration, and takes images in [0, 1] as raw.
        std: Standard deviation that they were normalised with.
        model: Where images go in and logits come out: `None` for the module itself, the path of an attribute
            such as `"net.backbone"`, or a function of (module, images).
        output: How to get logits (B, K) from what comes out: a key, an index, or a function.
        batch: How to get images, labels and perhaps masks from a batch: their keys, or a function that returns them.
        dataloader_idx: Which of several validation loaders to watch.
        scale: Range of a picture's colours: `"image"`, each map's own, or `"common"`, that of all maps of a
            method, present and remembered.
        seed: Seed of the subset, the noise and the controls.
        name: First part of all names, and key of the callback's state.
        on_error: What to do when an evaluation fails: `"warn"` skips the evaluation, `"raise"` stops. A wrong
            set-up always stops.
        scoring_precision: `"bf16"` predicts changed images for scores in bfloat16, as in `score`; maps stay exact.
        max_kept_bytes: Memory that the watched images may take on the CPU of a process. They are read once a run. More
            images of a data set with indices are read anew each time, and of a stream as many are kept as fit.

    Raises:
        TypeError: If an argument is not of the kind expected; in `setup`, under FSDP1 and DeepSpeed.
        ValueError: If an argument is out of its range; in `setup`, under `ModelParallelStrategy` (FSDP2), if it
            lets processes run unequal numbers of passes or changes parameters.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_saliency.methods import SmoothGrad
        >>> monitor = SaliencyMonitor([SmoothGrad(num_samples=10)], num_images=32)
        >>> trainer = Trainer(callbacks=[monitor], logger=False, barebones=False, accelerator="cpu")
    """

    def __init__(
        self,
        methods: MethodChoice = None,
        metrics: MetricChoice = None,
        *,
        controls: Sequence[Control] = ("random",),
        drift: Sequence[str | DriftMeasure] = ("spearman", "ssim", "top_k_iou", "center_shift"),
        num_images: int = 64,
        num_panels: int = 4,
        num_drifted: int = 1,
        num_worst: int = 1,
        every_n_epochs: int = 1,
        max_batch_size: int | Literal["auto"] = FIRST_BATCH_SIZE,
        max_seconds: float | None = None,
        target: TargetChoice = None,
        min_confidence: float = 0.0,
        mean: ChannelValues | None = None,
        std: ChannelValues | None = None,
        model: NetworkChoice = None,
        output: OutputChoice = None,
        batch: BatchReader = None,
        dataloader_idx: int = 0,
        scale: Scale = "image",
        seed: int = 0,
        name: str = "saliency",
        on_error: OnError = "warn",
        scoring_precision: ScoringPrecision = "exact",
        max_kept_bytes: int = 2**30,
    ) -> None:
        self.settings = Settings(
            methods=methods_by_name(methods),
            metrics=metrics_by_name(metrics),
            metrics_are_default=metrics is None,
            controls=tuple(controls),
            drift=drift_measures(drift),
            num_images=num_images,
            num_panels=num_panels,
            num_drifted=num_drifted,
            num_worst=num_worst,
            every_n_epochs=every_n_epochs,
            max_batch_size=FIRST_BATCH_SIZE if max_batch_size == "auto" else max_batch_size,
            halves_batches=max_batch_size == "auto",
            max_seconds=max_seconds,
            target=target,
            min_confidence=min_confidence,
            normalization=Normalization.of(mean, std),
            model=model,
            output=output,
            batch=batch,
            dataloader_idx=dataloader_idx,
            scale=scale,
            seed=seed,
            name=name,
            on_error=on_error,
            scoring_precision=scoring_precision,
            max_kept_bytes=max_kept_bytes,
        )
        self._arguments = self.settings
        self._results = ResultsFile()
        self._loops: list[Any] = []
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget everything that an earlier training taught."""
        self.settings = self._arguments
        self.memory = Memory()
        self._history: list[Record] = []
        self._run_id = new_run()
        self._run: Run | None = None
        self._subsets: dict[int, Subset] = {}
        self._succeeded = False
        self._remembered = False
        self._clock = EpochClock()
        self._affordable: int | None = None
        self._resumed = False
        self._introduced = False
        self._interrupted: tuple[int, int] | None = None
        self._warnings: set[str] = set()

    @property
    def state_key(self) -> str:
        """Distinguishes monitors of different names in a checkpoint."""
        return f"{type(self).__name__}[{self.settings.name}]"

    @property
    def history(self) -> list[Record]:
        """The records of all evaluations of this training and of the validations and tests after it, oldest first.

        At most 1,000 are kept. After a launcher such as that of `ddp_spawn` they are those of its first process.
        """
        records = self._results.read()
        if records is not None:
            self._run_id = records["run"]
            self._history = [Record.of_state(record) for record in records["history"]]
        return self._history

    def state_dict(self) -> dict[str, Any]:
        """Return the maps that drift is measured from, the budget, and the history."""
        run = self._run
        return {
            "memory": self.memory.state(),
            "affordable": self._affordable,
            "run": self._run_id,
            "history": [record.state() for record in self._history],
            "interrupted": [run.epoch, run.step] if run is not None and run.trains else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.memory = Memory.of_state(state_dict["memory"])
        self._run_id = state_dict["run"]
        self._history = [Record.of_state(record) for record in state_dict["history"]]
        interrupted = state_dict["interrupted"]
        self._interrupted = None if interrupted is None else (interrupted[0], interrupted[1])
        self._resumed = True
        if self.settings.max_seconds is not None and state_dict["affordable"] is not None:
            self._afford(state_dict["affordable"])

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse what cannot work, and turn off inference mode, under which nothing can be explained."""
        if stage == "fit" and is_fresh(trainer):
            self._results.read()  # nothing of an earlier training counts
            self._begin_anew()
        refuse_unshardable(trainer, self.settings)
        network_in(pl_module, self.settings)
        self._subsets = {}
        self._compares_images = stage == "fit"
        # A test after training belongs to the same run.
        self._introduced &= stage != "fit"
        self._restore_loops()
        for loop in (trainer.validate_loop, trainer.test_loop):
            if loop.inference_mode:  # and no other monitor has turned it off
                self._loops.append(loop)
                loop.inference_mode = False

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the loops."""
        self._restore_loops()
        if stage == "fit":
            self._mention_interrupted()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the loops where no teardown comes, and say what is lost."""
        self._restore_loops()
        run, self._run = self._run, None
        if run is not None and run.trains:
            self._interrupted = (run.epoch, run.step)
        self._mention_interrupted()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Announce the scores to TensorBoard's table of runs, before Lightning enters the run without them."""
        self._enter_run(trainer, starts=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Announce them now where the user may have had an entry of their own."""
        self._enter_run(trainer, starts=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time, also where training goes on in the middle of an epoch."""
        self._clock.start()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time, of which explaining takes a share, and say if there will be nothing to explain."""
        self._clock.start()
        if not has_validation_images(trainer):
            self._settle(Fault(False, "NoImages: there is no validation, or it has no images"), None)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Arm, if an evaluation is due."""
        epoch_is_due = (trainer.current_epoch + 1) % self.settings.every_n_epochs == 0
        if trainer.sanity_checking or trainer.state.fn != "fit" or epoch_is_due:
            self._arm(trainer, pl_module, trainer.val_dataloaders)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Arm."""
        self._arm(trainer, pl_module, trainer.test_dataloaders)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Work at the first batch: by now averaged weights are in place, whatever the order of callbacks."""
        if self._run is not None and not (self._run.collects or self._run.waits):
            self._work(trainer, pl_module, self._run)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Work where DDP has shared buffers by now; keep images that cannot be read by index until there are enough."""
        run = self._run
        if run is None or run.evaluated is not None:
            return
        if not run.collects:
            self._work(trainer, pl_module, run)
            return
        if dataloader_idx == self.settings.dataloader_idx and run.num_missing:
            try:
                run.subset.add(number_images(batch, self.settings.batch, run.numbers, run.num_missing))
            except Exception as error:  # noqa: BLE001 - other processes would wait for this one
                run.fail(error, is_configuration=self._is_configuration(error))
        is_full = run.subset.num_bytes >= self.settings.max_kept_bytes
        if is_full and run.num_missing:
            self._warn("bytes", f"Only {len(run.subset.share)} images fit into `max_kept_bytes`. Using these.")
        if not run.num_missing or is_full or evaluation_loop(trainer).batch_progress.is_last_batch:
            self._work(trainer, pl_module, run)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Merge the results of all processes, and log them before checkpoints look."""
        run = self._run
        if run is None:
            return
        self._work(trainer, pl_module, run)
        with signals_held():
            self._run = None
            evaluated = run.evaluated or Evaluated()
            if not run.check:
                self._report(trainer, pl_module, run, evaluated)
                return
            fault = agree_on_fault(evaluated.evaluation.fault, trainer)
            if fault is not None:
                self._settle(fault, run.error)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find out whether this was the best evaluation, now that every value is known and no checkpoint is written."""
        if self._remembered:
            self._remembered = False
            with signals_held():
                decisive = deciding_value(trainer, self.settings)
            if decisive is not None:
                self.memory.consider_best(decisive[0], higher_is_better=decisive[1])

    on_test_batch_start = on_validation_batch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    def _arm(self, trainer: pl.Trainer, pl_module: pl.LightningModule, dataloaders: Any) -> None:
        settings, check, world_size = self.settings, trainer.sanity_checking, trainer.world_size
        source = find_source(dataloaders, settings.dataloader_idx)
        if source.size is None and is_sharded(trainer):
            raise ValueError(
                "Expected validation data that can be read by index, since all processes have to explain equally "
                f"many, but got {type(source.dataset).__name__}: use a data set of known size."
            )
        trains = trainer.state.fn == "fit" and not check
        if source.size is not None and source.size < settings.num_images and not check:
            self._warn(
                "few images",
                f"`num_images` is {settings.num_images}, but there are only {source.size} images. Using all of them.",
            )
        subset = self._subset(trainer, source, check=check)
        run = Run(
            subset=subset,
            check=check,
            trains=trains,
            epoch=trainer.current_epoch,
            step=trainer.global_step,
            collects=source.size is None and not subset.batches,
            num_images=IMAGES_IN_CHECK if check else len(range(trainer.global_rank, settings.num_images, world_size)),
            numbers=count(trainer.global_rank, world_size),
            waits=trainer.state.fn == "fit" and ddp_will_share_buffers(trainer),
        )
        if trains and self._interrupted == (run.epoch, run.step):
            self._interrupted = None  # this is the validation that was interrupted
        elif trains:
            self._mention_interrupted()
        with signals_held():
            self._share(trainer, pl_module, run)
        self._run = run

    def _subset(self, trainer: pl.Trainer, source: Source, *, check: bool) -> Subset:
        """Return the images that this run watches, chosen at its first evaluation."""
        settings = self.settings
        if check:
            return choose_subset(source, settings.num_images, settings.seed, lambda indices: indices[:IMAGES_IN_CHECK])
        if settings.dataloader_idx not in self._subsets:
            self._subsets[settings.dataloader_idx] = choose_subset(
                source, settings.num_images, settings.seed, lambda indices: share_of(indices, trainer)
            )
        subset = self._subsets[settings.dataloader_idx]
        if not subset.batches:
            subset.source = source
        elif subset.source.loader is not source.loader:
            self._warn("reloaded", "The data loader was made anew. The monitor keeps the images that it has read.")
        return subset

    def _share(self, trainer: pl.Trainer, pl_module: pl.LightningModule, run: Run) -> None:
        """Exchange beforehand what processes need for their work: no collective is started between batches."""
        if not run.waits and not averages_later(trainer, self):
            run.buffers = first_buffers(trainer, pl_module)
        if is_sharded(trainer):
            fault = agree_on_fault(self._read_before(trainer, pl_module, run), trainer)
            if fault is not None:
                run.fail(RuntimeError(fault.description), is_configuration=False)

    def _read_before(self, trainer: pl.Trainer, pl_module: pl.LightningModule, run: Run) -> Fault | None:
        """Read before any pass, so that no process waits in a pass for one that cannot read."""
        reading = reading_of(trainer, pl_module, self.settings)
        try:
            with private_random_state(self.settings.seed):
                run.subset.first_images(reading, CPU)
                run.subset.read(reading, sys.maxsize)
                for name, method in self.settings.all_methods.items():
                    number = as_method(method, name).missing_references
                    if number is not None:
                        run.subset.reference_images(number, reading, CPU)
        except Exception as error:  # noqa: BLE001 - other processes wait for this one
            return Fault.of(error)
        return None

    def _work(self, trainer: pl.Trainer, pl_module: pl.LightningModule, run: Run) -> None:
        """Compute this process's results, once; collectives wait, since others may not be here yet."""
        if run.evaluated is not None:
            return
        started = time.perf_counter()
        with signals_held(), buffers_replaced(pl_module, run.buffers):
            while run.evaluated is None:
                try:
                    run.evaluated = self._evaluate(trainer, pl_module, run)
                except Exception as error:  # noqa: BLE001 - the one place where a fault of an explanation is stopped
                    if not self._halved(error):
                        run.fail(error, is_configuration=self._is_configuration(error))
        for key, note in run.evaluated.notes.items():
            self._warn(key, note)
        evaluation = replace(
            run.evaluated.evaluation,
            seconds=time.perf_counter() - started,
            batch_size=self.settings.max_batch_size,
        )
        run.evaluated = replace(run.evaluated, evaluation=evaluation)

    def _evaluate(self, trainer: pl.Trainer, pl_module: pl.LightningModule, run: Run) -> Evaluated:
        return evaluate_subset(
            pl_module,
            network_in(pl_module, self.settings),
            run.subset,
            reading_of(trainer, pl_module, self.settings),
            self.settings,
            pl_module.device,
            check=run.check,
            progress=partial(showing_progress, trainer),
        )

    def _is_configuration(self, error: Exception) -> bool:
        """Blame the arguments for what their like raises, until they have worked once."""
        return isinstance(error, TypeError | ValueError) and not self._succeeded

    def _halved(self, error: Exception) -> bool:
        """Halve batches if that may help; scores do not depend on them."""
        settings = self.settings
        out_of_memory = isinstance(error, torch.OutOfMemoryError) or is_oom_error(error)
        if not (settings.halves_batches and settings.max_batch_size > 1 and out_of_memory):
            return False
        self.settings = replace(settings, max_batch_size=settings.max_batch_size // 2)
        return True

    def _report(self, trainer: pl.Trainer, pl_module: pl.LightningModule, run: Run, evaluated: Evaluated) -> None:
        conclusion = conclude(
            trainer,
            evaluated,
            self.memory if run.trains else Memory(),
            self.settings,
            compares_images=run.trains and self._compares_images,
            clock=self._clock if run.trains else None,
        )
        outcome = conclusion.outcome
        if outcome.fault is not None:
            self._settle(outcome.fault, run.error)
            return
        self._succeeded = True
        if outcome.drift_restarts:
            self._warn("data", "The validation data changed since the checkpoint was written. Drift restarts.")
            self.memory = Memory()
        self._log(trainer, pl_module, outcome)
        unpublished = self._publish(trainer, run, evaluated, conclusion)
        if run.trains:
            self._remember(conclusion)
        for fault in (outcome.loss, unpublished):
            if fault is not None:
                self._settle(fault, None, INCOMPLETE if fault is unpublished else SKIPPED)
        self._introduced |= unpublished is None

    def _publish(self, trainer: pl.Trainer, run: Run, evaluated: Evaluated, conclusion: Conclusion) -> Fault | None:
        """Send results to loggers, and complain about unhealthy maps."""
        outcome, publication = conclusion.outcome, None
        self._run_id = _monitors(trainer)[0]._run_id  # monitors of one trainer watch one run
        if trainer.is_global_zero:
            publication = Publication(
                conclusion.evaluation,
                outcome,
                stage_of(trainer),
                self._run_id,
                self.memory if run.trains else Memory(),
                conclusion.panels,
                run.trains and self._resumed,
                _all_settings(trainer),
                not self._introduced,
            )
            if outcome.loss is None:
                for key, message in complaints(conclusion.evaluation, self.settings).items():
                    self._warn(key, message)
        if not outcome.publishes:
            return None
        thumbnails = {index: image for index, image in evaluated.thumbnails.items() if index in outcome.pictured}
        return publish(trainer, thumbnails, publication, self.settings)

    def _remember(self, conclusion: Conclusion) -> None:
        """Keep what later evaluations are compared with; checkpoints need what the first process has of all images."""
        self._resumed = self._compares_images = False
        self._remembered = conclusion.outcome.loss is None
        if conclusion.outcome.loss is None:
            self.memory.remember(conclusion.evaluation)
        self._keep_to_budget(conclusion.outcome)

    def _log(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outcome: Outcome) -> None:
        """Log values that are the same on every process, and keep a record of them."""
        stage = stage_of(trainer)
        values = outcome.values | (bands(outcome.scalars, self.settings) if has_tensorboard(trainer) else {})
        # Together the two arguments mean that Lightning starts no collective for a value, and gives no advice to.
        staged_values = {staged(name, stage): value for name, value in values.items()}
        pl_module.log_dict(staged_values, sync_dist=True, rank_zero_only=True, reduce_fx="max")
        record = Record(
            stage,
            trainer.current_epoch,
            trainer.global_step,
            {name: scalar.value for name, scalar in outcome.scalars.items()},
            {name: scalar.error for name, scalar in outcome.scalars.items() if scalar.error is not None},
            {name: scalar.num_images for name, scalar in outcome.scalars.items()},
        )
        self._history = [*self.history, record][-LONGEST_HISTORY:]
        if trainer.is_global_zero:
            try:
                self._results.write({"run": self._run_id, "history": [record.state() for record in self._history]})
            except OSError as error:
                self._warn("results", f"The process that started training cannot learn the results: {error}")

    def _keep_to_budget(self, outcome: Outcome) -> None:
        """Fix batches and, after the first evaluation, images for the rest of the run, the same on every process."""
        self.settings = replace(self.settings, max_batch_size=outcome.batch_size)
        most = self.settings.max_seconds
        if most is None:
            return
        affordable = self.settings.num_images
        if outcome.seconds > most:
            affordable = max(1, int(outcome.num_read * most / outcome.seconds))
            self._warn(
                "budget",
                f"Explaining {outcome.num_read} images took {outcome.seconds:.1f} s (limit {most:g} s). "
                f"Using {affordable} image(s) from now on.",
            )
        self._afford(affordable)

    def _afford(self, num_images: int) -> None:
        self._affordable = num_images
        self.settings = replace(self.settings, num_images=num_images, max_seconds=None)

    def _settle(self, fault: Fault, error: Exception | None, consequence: str = SKIPPED) -> None:
        """Raise on every process, or warn and go on."""
        if fault.is_configuration or self.settings.on_error == "raise":
            raise error or RuntimeError(fault.description)
        self._warn(fault.kind, f"{consequence}: {fault.description}")

    def _warn(self, key: str, message: str) -> None:
        if key not in self._warnings:
            self._warnings.add(key)
            rank_zero_warn(f"SaliencyMonitor {self.settings.name!r}: {message}")

    def _mention_interrupted(self) -> None:
        """Say which evaluation was lost, once it is clear that its validation does not run again."""
        if self._interrupted is not None:
            epoch, step = self._interrupted
            self._interrupted = None
            self._warn(
                f"interrupted {step}",
                f"The validation of epoch {epoch} at step {step} was interrupted, so it has no explanations. "
                "Training is not affected.",
            )

    def _enter_run(self, trainer: pl.Trainer, *, starts: bool) -> None:
        """Enter the run once for all monitors, by the first of them."""
        if self is not _monitors(trainer)[0]:
            return
        fault = enter_run(trainer, _all_settings(trainer), starts=starts)
        if self.settings.on_error == "raise":  # everywhere, so that no process waits for another
            fault = tell_everyone(fault, trainer)
        if fault is not None:
            self._settle(fault, None, INCOMPLETE)

    def _restore_loops(self) -> None:
        while self._loops:
            self._loops.pop().inference_mode = True


def _all_settings(trainer: pl.Trainer) -> list[Settings]:
    return [monitor.settings for monitor in _monitors(trainer)]


def _monitors(trainer: pl.Trainer) -> list[SaliencyMonitor]:
    return [callback for callback in trainer.callbacks if isinstance(callback, SaliencyMonitor)]  # type: ignore[attr-defined]
