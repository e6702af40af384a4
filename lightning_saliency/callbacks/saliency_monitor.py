"""The callback that explains a fixed subset of validation images in every validation."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import lightning.pytorch as pl
from torch import Tensor, nn

from lightning_saliency._name_spaces import Callback
from lightning_saliency._signals import signals_held
from lightning_saliency.callbacks._arming import arm
from lightning_saliency.callbacks._asked_names import awaits_values
from lightning_saliency.callbacks._dashboard import enter_run, write_charts
from lightning_saliency.callbacks._distributed import tell_everyone
from lightning_saliency.callbacks._kept_values import keep_values
from lightning_saliency.callbacks._lightning import has_validation_images, is_fresh, network_in
from lightning_saliency.callbacks._preflight import look_ahead
from lightning_saliency.callbacks._reporting import report
from lightning_saliency.callbacks._results import ResultsFile
from lightning_saliency.callbacks._sharding import refuse_unshardable
from lightning_saliency.callbacks._state import INCOMPLETE, MonitorState
from lightning_saliency.callbacks._working import is_complete, work
from lightning_saliency.drift import DriftMeasure
from lightning_saliency.monitor._short_names import MethodChoice, MetricChoice, methods_by_name, metrics_by_name
from lightning_saliency.monitor.batches import BatchReader, read_batch
from lightning_saliency.monitor.config import Control, OnError, Scale, Settings, drift_measures
from lightning_saliency.monitor.discovery import NetworkChoice, OutputChoice, TargetChoice, choose_targets
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.history import Record
from lightning_saliency.monitor.memory import Memory
from lightning_saliency.monitor.preflight import Preflight
from lightning_saliency.monitor.results import Evaluation
from lightning_saliency.monitor.selection import log_patterns
from lightning_saliency.passes.normalization import ChannelValues, Normalization
from lightning_saliency.passes.precision import ScoringPrecision

FIRST_BATCH_SIZE: Final = 64


class SaliencyMonitor(Callback):
    """Explains a fixed subset of validation images in every validation, scores the maps, and logs both.

    Works in `fit`, `validate` and `test`, on one device or many, and leaves training exactly as it would be
    without it. Scalars are `saliency/<method>/<metric>`, in `trainer.callback_metrics` in time for checkpoints, and
    `_vs_random`, the margin over a control; `saliency/<method>/drift_<measure>` says how far maps have moved since the
    previous evaluation, with `_first` since the first. Standard errors (`_stderr`) and the controls' own scores are
    logged if a callback, gate or scheduler reads them, or with `log`. Pictures are
    `saliency/<method>/image_<index>`. In the log folder every image's scores are rows of `saliency.csv`, and all
    values of every evaluation rows of `evaluations.csv`. The sanity run checks the set-up on two images and logs
    nothing. In a validation without an evaluation callbacks see the last values.

    Args:
        methods: Methods or their names, or a mapping from names; by default Guided AbsoluteGrad and Grad-CAM.
        metrics: Metrics or their names, or a mapping from names; by default RCAP and allegiance.
        controls: Baseline maps that ignore the model, scored for comparison: `"random"` and `"edges"`.
        drift: Measures of how far maps have moved, by name (`"spearman"`, `"ssim"`, `"top_k_iou"`, `"center_shift"`)
            or as `DriftMeasure`. The first one decides which images have moved most.
        best: Score or margin that decides which evaluation was the best, such as `"grad_cam/rcap"`: the best maps are
            drawn, and drift since then has `_best`. `None` means no best one.
        log: Further values to log: names without the monitor's or patterns, such as `"*/rcap_stderr"`. `"*"` logs
            everything: standard errors, the controls' scores, and margins one standard error lower and higher (`_low`,
            `_high`), of which TensorBoard's charts make bands. One that matches nothing gets a warning.
        num_images: Size of the subset, chosen once by `seed`, balanced over classes where labels are cheap.
        num_panels: How many of these images are drawn, always the same ones.
        num_drifted: How many images whose maps moved most are drawn besides.
        num_worst: How many images with the worst score of the first metric are drawn besides, for each method.
        every_n_epochs: In training, work in the validations of every n-th epoch, and in the first one if a callback
            or scheduler monitors a value.
        max_batch_size: Most images in one pass; `"auto"` starts at 64 and halves when memory runs out.
        max_seconds: Time that an evaluation may take: after the first one the number of images is cut to fit,
            once, since scores of other images could not be compared.
        target: Class to explain: `"label"` (the default where batches have labels), `"predicted"`, a class,
            or a function of (logits (B, K), labels (B, ...) or `None`) that returns classes (B,).
        min_confidence: Leave out images whose target has less probability; the share used is then logged.
            Probabilities are those of a softmax, or of a sigmoid where the metrics say `activation="sigmoid"`.
        mean: Mean that images were normalised with, one value or one per channel. `None` looks for it in
            transforms, the data module, image processors and a timm network's configuration, and takes images in
            [0, 1] as raw. Values that do not lead back to about [0, 1] are refused.
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
        drift: Sequence[str | DriftMeasure] = ("spearman",),
        best: str | None = None,
        log: Sequence[str] = (),
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
        self._arguments = Settings(
            methods=methods_by_name(methods),
            metrics=metrics_by_name(metrics),
            methods_are_default=methods is None,
            metrics_are_default=metrics is None,
            controls=tuple(controls),
            drift=drift_measures(drift),
            best=best,
            log=log_patterns(log),
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
        self._reader, self._target = batch, target
        self._arguments = replace(self._arguments, **self._overrides())
        self._state = MonitorState(self._arguments, ResultsFile())
        self._loops: list[Any] = []

    @property
    def settings(self) -> Settings:
        """The arguments, with the batch size and the number of images that proved possible."""
        return self._state.settings

    @property
    def memory(self) -> Memory:
        """The maps that drift is measured from."""
        return self._state.memory

    @property
    def state_key(self) -> str:
        """Distinguishes monitors of different names in a checkpoint."""
        return f"{type(self).__name__}[{self.settings.name}]"

    @property
    def history(self) -> list[Record]:
        """The records of all evaluations of this training and of the validations and tests after it, oldest first.

        At most 1,000 are kept. After a launcher such as that of `ddp_spawn` they are those of its first process.
        """
        return self._state.history

    @property
    def last(self) -> Evaluation | None:
        """The results of the last evaluation: on the first process those of all images, elsewhere of its share.

        `None` before there is one, in a process that launched others, and after a checkpoint was loaded.
        """
        return self._state.last

    def check(self, pl_module: pl.LightningModule, data: Any) -> Preflight:
        """Try the arguments on two images, and return what will be explained, where, and at which cost.

        The sanity run of a training does the same, and tells it.

        Args:
            pl_module: The module that is going to be trained.
            data: A data module, a loader, or tensors (images, labels).

        Raises:
            TypeError: If an argument is not of the kind expected.
            ValueError: If an argument does not fit the module or the data.

        Example:
            >>> import lightning.pytorch as pl
            >>> import torch
            >>> class Classifier(pl.LightningModule):
            ...     def __init__(self):
            ...         super().__init__()
            ...         self.network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
            ...     def forward(self, images):
            ...         return self.network(images)
            >>> data = (torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 0, 1]))
            >>> preflight = SaliencyMonitor(["gradient"], ["rcap"]).check(Classifier(), data)
            >>> preflight.target, preflight.class_names
            ('label', None)
        """
        return look_ahead(self.find_network(pl_module), pl_module, data, self._arguments)

    def state_dict(self) -> dict[str, Any]:
        """Return the maps that drift is measured from, the budget, and the history."""
        return self._state.contents()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self._state.load(state_dict)

    def find_network(self, pl_module: pl.LightningModule) -> nn.Module:
        """Return the module from images (B, C, *S) to logits (B, K); override it where `model` is not enough.

        Args:
            pl_module: The module that trains.
        """
        return network_in(pl_module, self.settings)

    def read_batch(self, batch: Any) -> tuple[Any, ...]:
        """Return images (B, C, *S), labels and masks of a batch; override it where `batch` is not enough.

        Args:
            batch: A batch as it comes out of `on_after_batch_transfer`.
        """
        return read_batch(batch, self._reader)[1:]

    def choose_targets(self, logits: Tensor, labels: Tensor | None) -> Tensor:
        """Return the classes (B,) to explain; override it where `target` is not enough.

        Args:
            logits: Logits (B, K).
            labels: The labels of the batch, if it has any.
        """
        return choose_targets(self._target, logits, labels)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse what cannot work, and turn off inference mode, under which nothing can be explained."""
        if stage == "fit" and is_fresh(trainer):
            results = self._state.results
            results.read()  # nothing of an earlier training counts
            self._state = MonitorState(self._arguments, results)
        refuse_unshardable(trainer, self.settings)
        self.find_network(pl_module)
        self._state.subsets = {}
        self._state.compares_images = stage == "fit"
        # A test after training belongs to the same run.
        self._state.introduced &= stage != "fit"
        self._restore_loops()
        for loop in (trainer.validate_loop, trainer.test_loop):
            if loop.inference_mode:  # and no other monitor has turned it off
                self._loops.append(loop)
                loop.inference_mode = False

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the loops, and the charts where the user has laid out others since."""
        self._restore_loops()
        if stage == "fit":
            self._state.mention_interrupted()
            if self._state.introduced and self is _monitors(trainer)[0]:
                self._settle_incomplete(
                    write_charts(trainer, [monitor.settings for monitor in _monitors(trainer)]), trainer
                )

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the loops where no teardown comes, and say what is lost."""
        self._restore_loops()
        run, self._state.run = self._state.run, None
        if run is not None and run.trains:
            self._state.interrupted = (run.epoch, run.step)
        self._state.mention_interrupted()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Announce the scores to TensorBoard's table of runs, before Lightning enters the run without them."""
        self._enter_run(trainer, starts=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Announce them now where the user may have had an entry of their own."""
        self._enter_run(trainer, starts=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time, also where training goes on in the middle of an epoch, and let others read the last values."""
        self._state.clock.start()
        keep_values(trainer, pl_module, self._state)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time, of which explaining takes a share, and say if there will be nothing to explain."""
        self._state.clock.start()
        if not has_validation_images(trainer):
            self._state.settle(Fault(False, "NoImages: there is no validation, or it has no images"))

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Arm, if an evaluation is due."""
        epoch_is_due = (trainer.current_epoch + 1) % self.settings.every_n_epochs == 0
        if trainer.sanity_checking or trainer.state.fn != "fit" or epoch_is_due or self._is_awaited(trainer):
            self._state.run = arm(trainer, pl_module, self, self._state, trainer.val_dataloaders)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Arm."""
        self._state.run = arm(trainer, pl_module, self, self._state, trainer.test_dataloaders)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Work at the first batch: by now averaged weights are in place, whatever the order of callbacks."""
        run = self._state.run
        if run is not None and not (run.collects or run.waits):
            work(trainer, pl_module, self._state, run, self.find_network)

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
        run = self._state.run
        if run is None or run.evaluated is not None:
            return
        is_watched = run.subset.source.yields(batch_idx, dataloader_idx)
        if run.collects and not is_complete(trainer, self._state, run, batch if is_watched else None):
            return
        work(trainer, pl_module, self._state, run, self.find_network)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Merge the results of all processes, and log them before checkpoints look."""
        run = self._state.run
        if run is None:
            return
        work(trainer, pl_module, self._state, run, self.find_network)
        with signals_held():
            self._state.run = None
            # Monitors of one trainer watch one run.
            self._state.run_id = _monitors(trainer)[0]._state.run_id
            report(trainer, pl_module, self._state, run, [monitor.settings for monitor in _monitors(trainer)])

    on_test_batch_start = on_validation_batch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    def _is_awaited(self, trainer: pl.Trainer) -> bool:
        """Return whether a callback or scheduler needs a value while there is none."""
        has_values = any(record.stage == "fit" for record in self.history)
        return not has_values and awaits_values(trainer, self.settings.name)

    def _overrides(self) -> dict[str, Any]:
        """Let methods that a subclass has of its own take the place of arguments."""
        methods = {"batch": "read_batch", "target": "choose_targets"}
        return {
            argument: getattr(self, method)
            for argument, method in methods.items()
            if getattr(type(self), method) is not getattr(SaliencyMonitor, method)
        }

    def _enter_run(self, trainer: pl.Trainer, *, starts: bool) -> None:
        """Enter the run once for all monitors, by the first of them."""
        if self is not _monitors(trainer)[0]:
            return
        self._settle_incomplete(
            enter_run(trainer, [monitor.settings for monitor in _monitors(trainer)], starts=starts), trainer
        )

    def _settle_incomplete(self, fault: Fault | None, trainer: pl.Trainer) -> None:
        """Raise or warn where something could not be logged."""
        if self.settings.on_error == "raise":  # everywhere, so that no process waits for another
            fault = tell_everyone(fault, trainer)
        if fault is not None:
            self._state.settle(fault, None, INCOMPLETE)

    def _restore_loops(self) -> None:
        while self._loops:
            self._loops.pop().inference_mode = True


def _monitors(trainer: pl.Trainer) -> list[SaliencyMonitor]:
    return [callback for callback in trainer.callbacks if isinstance(callback, SaliencyMonitor)]  # type: ignore[attr-defined]
