"""The callback that explains a fixed subset of validation images in every validation."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.memory import is_oom_error

from lightning_saliency.callbacks._batches import BatchReader, LabelledImages
from lightning_saliency.callbacks._clock import EpochClock
from lightning_saliency.callbacks._dashboard import enter_run
from lightning_saliency.callbacks._drift import Memory
from lightning_saliency.callbacks._evaluation import Evaluated, TargetChoice
from lightning_saliency.callbacks._findings import Fault, Findings, first_fault, from_everyone, gather
from lightning_saliency.callbacks._loading import find_source
from lightning_saliency.callbacks._network import NetworkChoice, OutputChoice, network_of
from lightning_saliency.callbacks._publishing import Occasion, publish
from lightning_saliency.callbacks._reporting import complaints, maps_to_remember, summarise, total_loss
from lightning_saliency.callbacks._run import Run
from lightning_saliency.callbacks._scalars import bands
from lightning_saliency.callbacks._settings import Control, OnError, Scale, Settings
from lightning_saliency.callbacks._sharding import is_sharded, refuse_unshardable
from lightning_saliency.callbacks._short_names import MethodChoice, MetricChoice, known_methods, known_metrics
from lightning_saliency.callbacks._trainer import (
    deciding_value,
    evaluation_loop,
    has_tensorboard,
    has_validation_images,
)
from lightning_saliency.callbacks._watching import IMAGES_IN_CHECK, keep_images, watch
from lightning_saliency.evaluation import by_name
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad
from lightning_saliency.metrics import RCAP, Allegiance
from lightning_saliency.passes.normalization import ChannelValues, Normalization
from lightning_saliency.passes.precision import ScoringPrecision

FIRST_BATCH_SIZE: Final = 64
SKIPPED: Final = "This evaluation goes without explanations"
INCOMPLETE: Final = "Not all could be logged"


class SaliencyMonitor(pl.Callback):
    """Explains a fixed subset of validation images in every validation, scores the maps, and logs both.

    Works in `fit`, `validate` and `test`, on one device or many, and leaves training exactly as it would be
    without it. Scalars are `saliency/<method>/<metric>` with `_stderr`, in `trainer.callback_metrics` in time
    for checkpoints, and `_vs_random`, the margin over a control; `saliency/<method>/drift_<measure>` says how far
    maps have moved since the previous evaluation, with `_first` and `_best` since those. Pictures are
    `saliency/<method>/image_<index>`, and every image's scores are rows of `saliency.csv` in the log folder. The
    sanity run checks the set-up on two images and logs nothing.

    Args:
        methods: Methods or their names, or a mapping from names; by default Guided AbsoluteGrad and Grad-CAM.
        metrics: Metrics or their names, or a mapping from names; by default RCAP and allegiance.
        controls: Meaningless maps scored beside the real ones, `"random"` and `"edges"`.
        num_images: Size of the subset, chosen once by `seed`, balanced over classes where labels are cheap.
        num_panels: How many of these images are drawn, always the same ones.
        num_drifted: How many images whose maps moved most are drawn besides.
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
        seed: Seed of everything that takes chance.
        name: First part of all names, and key of the callback's state.
        on_error: What a fault at run time does: `"warn"` skips the evaluation, `"raise"` stops. A wrong
            set-up always stops.
        scoring_precision: `"bf16"` predicts changed images for scores in bfloat16, as in `score`; maps stay exact.

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
        num_images: int = 64,
        num_panels: int = 4,
        num_drifted: int = 1,
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
    ) -> None:
        self.settings = Settings(
            methods=by_name(
                "methods", [GuidedAbsoluteGrad(), GradCAM()] if methods is None else known_methods(methods)
            ),
            metrics=by_name("metrics", [RCAP(), Allegiance()] if metrics is None else known_metrics(metrics)),
            metrics_are_default=metrics is None,
            controls=tuple(controls),
            num_images=num_images,
            num_panels=num_panels,
            num_drifted=num_drifted,
            every_n_epochs=every_n_epochs,
            max_batch_size=FIRST_BATCH_SIZE if max_batch_size == "auto" else max_batch_size,
            halves_batches=max_batch_size == "auto",
            max_seconds=max_seconds,
            target=target,
            min_confidence=min_confidence,
            colours=Normalization.of(mean, std),
            model=model,
            output=output,
            batch=batch,
            dataloader_idx=dataloader_idx,
            scale=scale,
            seed=seed,
            name=name,
            on_error=on_error,
            scoring_precision=scoring_precision,
        )
        self.memory = Memory()
        self._run: Run | None = None
        self._kept: list[LabelledImages] = []
        self._proven = False
        self._remembered = False
        self._clock = EpochClock()
        self._affordable: int | None = None
        self._resumed = False
        self._introduced = False
        self._said: set[str] = set()
        self._loops: list[tuple[Any, bool]] = []

    @property
    def state_key(self) -> str:
        """Distinguishes monitors of different names in a checkpoint."""
        return f"{type(self).__name__}[{self.settings.name}]"

    def state_dict(self) -> dict[str, Any]:
        """Return the maps that drift is measured from, and the budget."""
        return {"memory": self.memory.state(), "affordable": self._affordable}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.memory = Memory.of_state(state_dict["memory"])
        self._resumed = True
        if self.settings.max_seconds is not None and state_dict["affordable"] is not None:
            self._afford(state_dict["affordable"])

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse what cannot work, and turn off inference mode, under which nothing can be explained."""
        refuse_unshardable(trainer, self.settings)
        network_of(pl_module, self.settings.model, self.settings.output)
        self._kept = []
        # A test after training belongs to the same run.
        self._introduced &= stage != "fit"
        self._restore_loops()
        for loop in (trainer.validate_loop, trainer.test_loop):
            self._loops.append((loop, loop.inference_mode))
            loop.inference_mode = False

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the loops back."""
        self._restore_loops()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the loops back where no teardown comes."""
        self._restore_loops()
        self._run = None

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
            self._arm(trainer, trainer.val_dataloaders)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Arm."""
        self._arm(trainer, trainer.test_dataloaders)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Work at the first batch: by now averaged weights are in place, whatever the order of callbacks."""
        if self._run is not None and not self._run.collects:
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
        """Keep images that cannot be read by index, and work once there are enough."""
        run = self._run
        if run is None or run.evaluated is not None or not run.collects:
            return
        if dataloader_idx == run.source.dataloader_idx and run.num_missing:
            try:
                run.kept.append(keep_images(batch, self.settings, run.numbers, run.num_missing))
            except Exception as error:  # noqa: BLE001 - other processes would wait for this one
                run.fail(error, is_configuration=self._is_configuration(error))
        if not run.num_missing or evaluation_loop(trainer).batch_progress.is_last_batch:
            self._work(trainer, pl_module, run)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put together what the processes found, and log it before checkpoints look."""
        run, self._run = self._run, None
        if run is None:
            return
        self._work(trainer, pl_module, run)
        found = run.evaluated or Evaluated()
        if not run.check:
            self._report(trainer, pl_module, run, found)
            return
        fault = first_fault(from_everyone(found.findings.fault))
        if fault is not None:
            self._settle(fault, run.error)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find out whether this was the best evaluation, now that every value is known and no checkpoint is written."""
        if self._remembered:
            self._remembered = False
            decides = deciding_value(trainer, self.settings)
            if decides is not None:
                self.memory.consider_best(decides[0], higher_is_better=decides[1])

    on_test_batch_start = on_validation_batch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    def _arm(self, trainer: pl.Trainer, dataloaders: Any) -> None:
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
                f"Only {source.size} of the {settings.num_images} images wanted by `num_images` exist: all are used.",
            )
        data = source.described(world_size)
        if trains and self.memory.maps and self.memory.data != data:
            self._warn(
                "data",
                f"An image is now {data}, where the checkpoint knows {self.memory.data}, so that indices mean other "
                "images: drift starts anew.",
            )
            self.memory = Memory()
        if trains:
            self.memory.data = data
        self._run = Run(
            source=source,
            check=check,
            trains=trains,
            kept=self._kept if trains else [],
            collects=source.size is None and not (trains and self._kept),
            num_wanted=IMAGES_IN_CHECK if check else len(range(trainer.global_rank, settings.num_images, world_size)),
            numbers=count(trainer.global_rank, world_size),
        )

    def _work(self, trainer: pl.Trainer, pl_module: pl.LightningModule, run: Run) -> None:
        """Find what there is to find in this process, once; collectives wait, since others may not be here yet."""
        if run.evaluated is not None:
            return
        started = time.perf_counter()
        kept = run.kept if run.source.size is None else None
        while run.evaluated is None:
            try:
                run.evaluated = watch(trainer, pl_module, self.settings, run.source, kept, check=run.check)
            except Exception as error:  # noqa: BLE001 - the one place where a fault of an explanation is stopped
                if not self._halved(error):
                    run.fail(error, is_configuration=self._is_configuration(error))
        run.evaluated.findings.seconds = time.perf_counter() - started
        run.evaluated.findings.batch_size = self.settings.max_batch_size

    def _is_configuration(self, error: Exception) -> bool:
        """Blame the arguments for what their like raises, until they have worked once."""
        return isinstance(error, TypeError | ValueError) and not self._proven

    def _halved(self, error: Exception) -> bool:
        """Halve batches if that may help; scores do not depend on them."""
        settings = self.settings
        out_of_memory = isinstance(error, torch.OutOfMemoryError) or is_oom_error(error)
        if not (settings.halves_batches and settings.max_batch_size > 1 and out_of_memory):
            return False
        self.settings = replace(settings, max_batch_size=settings.max_batch_size // 2)
        return True

    def _report(self, trainer: pl.Trainer, pl_module: pl.LightningModule, run: Run, evaluated: Evaluated) -> None:
        memory = self.memory if run.trains else Memory()
        summary = summarise(gather(evaluated.findings), self.settings, memory)
        if summary.fault is not None:
            self._settle(summary.fault, run.error)
            return
        self._proven = True
        if run.trains:
            share = self._clock.share(summary.whole.seconds)
            summary.values[f"{self.settings.name}/fraction_of_epoch"] = share
        # Every process has the same values; of Lightning's reductions only the maximum leaves them exact.
        shown = bands(summary.values, self.settings) if has_tensorboard(trainer) else {}
        pl_module.log_dict(summary.values | shown, sync_dist=True, reduce_fx="max")
        occasion = Occasion(memory, run.trains and self._resumed, () if self._introduced else _all_settings(trainer))
        unpublished = publish(trainer, evaluated, summary, self.settings, occasion)
        loss = total_loss(summary.whole, self.settings)
        if loss is None:
            for key, message in complaints(summary.whole, self.settings).items():
                self._warn(key, message)
        if run.trains:
            self._resumed = False
            self._remembered = loss is None
            if loss is None:
                self.memory.remember(maps_to_remember(summary.whole, self.settings))
            self._keep_to_budget(summary.whole)
        for fault in (loss, unpublished):
            if fault is not None:
                self._settle(fault, None, INCOMPLETE if fault is unpublished else SKIPPED)
        self._introduced |= unpublished is None

    def _keep_to_budget(self, whole: Findings) -> None:
        """Fix batches and, after the first evaluation, images for the rest of the run, the same on every process."""
        self.settings = replace(self.settings, max_batch_size=whole.batch_size)
        most = self.settings.max_seconds
        if most is None:
            return
        affordable = self.settings.num_images
        if whole.seconds > most:
            affordable = max(1, int(len(whole.seen) * most / whole.seconds))
            self._warn(
                "budget",
                f"{len(whole.seen)} images took {whole.seconds:.1f} s of the {most:g} s in `max_seconds`: "
                f"from now on there are {affordable}.",
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
        if key not in self._said:
            self._said.add(key)
            rank_zero_warn(f"SaliencyMonitor {self.settings.name!r}: {message}")

    def _enter_run(self, trainer: pl.Trainer, *, starts: bool) -> None:
        """Speak for all monitors in what a run has but once, if this is the first of them."""
        if self is not next(callback for callback in trainer.callbacks if isinstance(callback, SaliencyMonitor)):  # type: ignore[attr-defined]
            return
        fault = enter_run(trainer, _all_settings(trainer), starts=starts)
        if fault is not None:
            self._settle(fault, None, INCOMPLETE)

    def _restore_loops(self) -> None:
        while self._loops:
            loop, inference_mode = self._loops.pop()
            loop.inference_mode = inference_mode


def _all_settings(trainer: pl.Trainer) -> list[Settings]:
    return [callback.settings for callback in trainer.callbacks if isinstance(callback, SaliencyMonitor)]  # type: ignore[attr-defined]
