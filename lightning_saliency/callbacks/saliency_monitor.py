"""The callback that explains a fixed subset of validation images in every validation."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_warn

from lightning_saliency.callbacks._batches import BatchReader
from lightning_saliency.callbacks._colours import Colours
from lightning_saliency.callbacks._evaluation import LabelledImages, TargetChoice
from lightning_saliency.callbacks._findings import Fault, Findings, gather
from lightning_saliency.callbacks._loading import Source, find_source
from lightning_saliency.callbacks._network import NetworkChoice, OutputChoice, network_of
from lightning_saliency.callbacks._reporting import complaints, scalars, write_pictures
from lightning_saliency.callbacks._settings import OnError, Settings
from lightning_saliency.callbacks._watching import IMAGES_IN_CHECK, keep_images, watch
from lightning_saliency.evaluation import Methods, Metrics, by_name
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad
from lightning_saliency.metrics import RCAP, Allegiance
from lightning_saliency.passes.colours import ChannelValues, check_colours


class SaliencyMonitor(pl.Callback):
    """Explains a fixed subset of validation images in every validation, scores the maps, and logs both.

    Works in `fit`, `validate` and `test`, on one device or many, and leaves training exactly as it would be
    without it. Scalars are `saliency/<method>/<metric>` with `_stderr`, in `trainer.callback_metrics` in time
    for checkpoints; pictures are `saliency/<method>/image_<index>`. The sanity run checks the set-up on two
    images and logs nothing.

    Args:
        methods: Methods, or a mapping from names to methods; by default Guided AbsoluteGrad and Grad-CAM.
        metrics: Metrics, or a mapping from names to metrics; by default RCAP and allegiance.
        num_images: Size of the subset, chosen once by `seed`, balanced over classes where labels are cheap.
        num_panels: How many of these images are drawn.
        every_n_epochs: In training, work in the validations of every n-th epoch.
        max_batch_size: Most images in one pass.
        target: Class to explain: `"label"` (the default where batches have labels), `"predicted"`, a class,
            or a function of (logits (B, K), labels (B,) or `None`) that returns classes (B,).
        min_confidence: Leave out images whose target has less probability; the share used is then logged.
        mean: Mean that images were normalised with, one value or one per channel. `None` looks for it in the
            data set's transforms and a timm network's configuration, and takes images in [0, 1] as raw.
        std: Standard deviation that they were normalised with.
        model: Where images go in and logits come out: `None` for the module itself, the path of an attribute
            such as `"net.backbone"`, or a function of (module, images).
        output: How to get logits (B, K) from what comes out: a key, an index, or a function.
        batch: How to get images and labels from a batch: a pair of keys, or a function that returns both.
        dataloader_idx: Which of several validation loaders to watch.
        seed: Seed of everything that takes chance.
        name: First part of all names, and key of the callback's state.
        on_error: What a fault at run time does: `"warn"` skips the evaluation, `"raise"` stops. A wrong
            set-up always stops.

    Raises:
        TypeError: If an argument is not of the kind expected.
        ValueError: If an argument is out of its range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_saliency.methods import SmoothGrad
        >>> monitor = SaliencyMonitor([SmoothGrad(num_samples=10)], num_images=32)
        >>> trainer = Trainer(callbacks=[monitor], logger=False, barebones=False, accelerator="cpu")
    """

    def __init__(
        self,
        methods: Methods | None = None,
        metrics: Metrics | None = None,
        *,
        num_images: int = 64,
        num_panels: int = 4,
        every_n_epochs: int = 1,
        max_batch_size: int = 64,
        target: TargetChoice = None,
        min_confidence: float = 0.0,
        mean: ChannelValues | None = None,
        std: ChannelValues | None = None,
        model: NetworkChoice = None,
        output: OutputChoice = None,
        batch: BatchReader = None,
        dataloader_idx: int = 0,
        seed: int = 0,
        name: str = "saliency",
        on_error: OnError = "warn",
    ) -> None:
        check_colours(mean, std)
        self.settings = Settings(
            methods=by_name("methods", [GuidedAbsoluteGrad(), GradCAM()] if methods is None else methods),
            metrics=by_name("metrics", [RCAP(), Allegiance()] if metrics is None else metrics),
            metrics_are_default=metrics is None,
            num_images=num_images,
            num_panels=num_panels,
            every_n_epochs=every_n_epochs,
            max_batch_size=max_batch_size,
            target=target,
            min_confidence=min_confidence,
            colours=None if mean is None or std is None else Colours(mean, std),
            model=model,
            output=output,
            batch=batch,
            dataloader_idx=dataloader_idx,
            seed=seed,
            name=name,
            on_error=on_error,
        )
        self._run: _Run | None = None
        self._kept: list[LabelledImages] = []
        self._proven = False
        self._said: set[str] = set()
        self._loops: list[tuple[Any, bool]] = []

    @property
    def state_key(self) -> str:
        """Distinguishes monitors of different names in a checkpoint."""
        return f"{type(self).__name__}[{self.settings.name}]"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse what cannot work, and turn off inference mode, under which nothing can be explained."""
        network_of(pl_module, self.settings.model, self.settings.output)
        name = self.settings.name
        twins = [c for c in _callbacks(trainer) if isinstance(c, SaliencyMonitor) and c.settings.name == name]
        if len(twins) > 1:
            raise ValueError(f"Expected monitors to have distinct names, but got {name!r} {len(twins)} times.")
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

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Arm, if an evaluation is due."""
        epoch_is_due = (trainer.current_epoch + 1) % self.settings.every_n_epochs == 0
        if trainer.sanity_checking or trainer.state.fn != "fit" or epoch_is_due:
            self._arm(trainer, trainer.val_dataloaders)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Arm."""
        self._arm(trainer, trainer.test_dataloaders)

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
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
        if run is None or run.findings is not None or not run.collects:
            return
        if dataloader_idx == run.source.dataloader_idx and run.num_missing:
            run.kept.append(keep_images(batch, self.settings, run.numbers, run.num_missing))
        if not run.num_missing or _loop(trainer).batch_progress.is_last_batch:
            self._work(trainer, pl_module, run)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put together what the processes found, and log it before checkpoints look."""
        run, self._run = self._run, None
        if run is None:
            return
        self._work(trainer, pl_module, run)
        if not run.check:
            self._report(trainer, pl_module, run)

    on_test_batch_start = on_validation_batch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    def _arm(self, trainer: pl.Trainer, dataloaders: Any) -> None:
        settings, check = self.settings, trainer.sanity_checking
        source = find_source(dataloaders, settings.dataloader_idx)
        if source.size is not None and source.size < settings.num_images and not check:
            self._warn(
                "few images",
                f"Only {source.size} of the {settings.num_images} images wanted by `num_images` exist: all are used.",
            )
        keeps = trainer.state.fn == "fit" and not check
        self._run = _Run(
            source=source,
            check=check,
            kept=self._kept if keeps else [],
            collects=source.size is None and not (keeps and self._kept),
            num_wanted=IMAGES_IN_CHECK if check else -(-settings.num_images // trainer.world_size),
            numbers=count(trainer.global_rank, trainer.world_size),
        )

    def _work(self, trainer: pl.Trainer, pl_module: pl.LightningModule, run: "_Run") -> None:
        """Find what there is to find in this process, once; collectives wait, since others may not be here yet."""
        if run.findings is not None:
            return
        started = time.perf_counter()
        kept = run.kept if run.source.size is None else None
        try:
            run.findings = watch(trainer, pl_module, self.settings, run.source, kept, check=run.check)
        except Exception as error:  # noqa: BLE001 - the one place where a fault of an explanation is stopped
            run.error = error
            is_configuration = isinstance(error, TypeError | ValueError) and not self._proven
            run.findings = Findings(fault=Fault(is_configuration, f"{type(error).__name__}: {error}"))
        run.findings.seconds = time.perf_counter() - started
        if run.check and run.findings.fault is not None:
            self._settle(run.findings.fault, run.error)

    def _report(self, trainer: pl.Trainer, pl_module: pl.LightningModule, run: "_Run") -> None:
        whole = gather(run.findings or Findings())
        if whole.fault is not None:
            self._settle(whole.fault, run.error)
            return
        self._proven = True
        # Every process has the same values; of Lightning's reductions only the maximum leaves them exact.
        pl_module.log_dict(scalars(whole, self.settings), sync_dist=True, reduce_fx="max")
        write_pictures(trainer, whole, self.settings)
        for key, message in complaints(whole, self.settings).items():
            self._warn(key, message)

    def _settle(self, fault: Fault, error: Exception | None) -> None:
        """Raise on every process, or warn and go on without this evaluation."""
        if fault.is_configuration or self.settings.on_error == "raise":
            raise error or RuntimeError(fault.description)
        self._warn(fault.description, f"This evaluation goes without explanations: {fault.description}")

    def _warn(self, key: str, message: str) -> None:
        if key not in self._said:
            self._said.add(key)
            rank_zero_warn(f"SaliencyMonitor {self.settings.name!r}: {message}")

    def _restore_loops(self) -> None:
        while self._loops:
            loop, inference_mode = self._loops.pop()
            loop.inference_mode = inference_mode


@dataclass
class _Run:
    """One evaluation of this process.

    Attributes:
        source: The loader watched.
        check: Whether this is the sanity run.
        kept: Images kept from a loader that cannot be read by index.
        collects: Whether such images still have to be collected.
        num_wanted: How many.
        numbers: Their numbers, which stand in for indices.
        findings: What was found, once the work is done.
        error: What was raised instead.
    """

    source: Source
    check: bool
    kept: list[LabelledImages]
    collects: bool
    num_wanted: int
    numbers: Iterator[int]
    findings: Findings | None = None
    error: Exception | None = None

    @property
    def num_missing(self) -> int:
        """How many images are still to be collected."""
        return self.num_wanted - sum(len(part.indices) for part in self.kept)


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set at run time
    return callbacks


def _loop(trainer: pl.Trainer) -> Any:
    loops = {"validate": trainer.validate_loop, "test": trainer.test_loop}
    return loops.get(str(trainer.state.fn and trainer.state.fn.value), trainer.fit_loop.epoch_loop.val_loop)
