"""The callback that explains a fixed subset of validation images in every validation."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import lightning.pytorch as pl

from lightning_saliency._checks import checked_texts
from lightning_saliency.callbacks._finders import Finders
from lightning_saliency.callbacks._loading import refusing_damage
from lightning_saliency.callbacks._preflight import look_ahead
from lightning_saliency.cues import Cue
from lightning_saliency.drift import DriftMeasure
from lightning_saliency.following import Alarm
from lightning_saliency.monitor._display import Display
from lightning_saliency.monitor._short_names import MethodChoice, MetricChoice, methods_by_name, metrics_by_name
from lightning_saliency.monitor.batches import BatchReader
from lightning_saliency.monitor.config import Control, OnAlarm, OnError, Scale, Settings, chosen_cues, drift_measures
from lightning_saliency.monitor.discovery import NetworkChoice, OutputChoice, TargetChoice
from lightning_saliency.monitor.history import Record
from lightning_saliency.monitor.preflight import Preflight
from lightning_saliency.monitor.results import Evaluation
from lightning_saliency.passes.normalization import ChannelValues, Normalization
from lightning_saliency.passes.precision import ScoringPrecision

FIRST_BATCH_SIZE: Final = 64


class SaliencyMonitor(Finders):
    """Explains a fixed subset of validation images in every validation, scores the maps, and logs both.

    Works in `fit`, `validate` and `test`, on one device or many, and leaves training exactly as it would be
    without it. Scalars are `saliency/<method>/<metric>`, in `trainer.callback_metrics` in time for checkpoints, and
    `_vs_random` and `_vs_edges`, the margins over controls; `saliency/<method>/drift_<measure>` says how far maps have
    moved since the previous evaluation, with `_first` since the first. Standard errors (`_stderr`) and the controls'
    own scores are logged if a callback, gate or scheduler reads them, or with `log`. Pictures are
    `saliency/<method>/image_<index>`. `fast` and `thorough` return monitors with other counts. In the
    log folder every image's scores are rows of `saliency.csv`, and all values of every evaluation rows of
    `evaluations.csv`. The sanity run checks the set-up on two images and logs nothing. In a validation without an
    evaluation callbacks see the last values.

    Args:
        methods: Methods or their names, or a mapping from names; by default Guided AbsoluteGrad and Grad-CAM.
        metrics: Metrics or their names, or a mapping from names; by default RCAP.
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
            or scheduler monitors a value. Above 1 two halves of the donors confirm an alarm, as the evaluation before
            does.
        max_batch_size: Most images in one pass; `"auto"` starts at 64 and halves when memory runs out.
        max_seconds: Time that an evaluation may take: after the first one the number of images is cut to fit,
            once, since scores of other images could not be compared.
        max_fraction_of_epoch: Share of the time of a training epoch that its evaluations may take, such as 0.05. The
            time of the epoch is that without evaluations, from its start to the end of the first evaluation, which
            takes all images and decides as for `max_seconds`. An evaluation inside an epoch is compared with the part
            of the epoch before it. If an epoch is resumed in its middle, the next one decides. With
            `check_val_every_n_epoch=None` the time since the last evaluation counts. Of two limits the smaller holds.
        target: Class to explain: `"label"` (the default where batches have labels), `"predicted"` or a class; for
            other outputs one of `lightning_saliency.targets`, such as `Regression(0)`; or a function of (output,
            labels (B, ...) or `None`) that returns classes (B,), a target, or the values (B,) to explain themselves.
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
            Labels and masks may be `None`. Parts after the masks are further arguments of the network, tensors with a
            row for each image; images are then explained one by one.
        dataloader_idx: Which of several validation loaders to watch.
        display: Channels of an image that pictures show, such as `(3, 2, 1)`, or a function of an image (C, *S) that
            returns (3, *S) or (1, *S). `None` shows three channels as colours and the mean of others.
        scale: Range of a picture's colours: `"image"`, each map's own, or `"common"`, that of all maps of a
            method, present and remembered.
        seed: Seed of the subset, the noise and the controls.
        name: First part of all names, and key of the callback's state.
        on_error: What to do when an evaluation fails: `"warn"` skips the evaluation, `"raise"` stops. A wrong
            set-up always stops.
        scoring_precision: `"bf16"` predicts changed images for scores in bfloat16, as in `score`; maps stay exact.
        max_kept_bytes: Memory that the watched images may take on the CPU of a process. They are read once a run. More
            images of a data set with indices are read anew each time, and of a stream as many are kept as fit.
        cues: Cues that are put from the images into others, to find out which of them the network follows, or their
            names; by default `cues.DEFAULT`, and none with `()`. They need labels that are classes, and
            a network from images alone to their logits.
        allow: Names of cues that may decide, such as `"colour"`. They raise no alarm.
        on_alarm: What to do besides when an alarm is confirmed: `"warn"` only warns, `"stop"` ends training, and a
            function gets the `Alarm`, on every process.
        num_hosts: Into how many images each cue of an image is put.

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
        controls: Sequence[Control] = ("random", "edges"),
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
        max_fraction_of_epoch: float | None = None,
        target: TargetChoice = None,
        min_confidence: float = 0.0,
        mean: ChannelValues | None = None,
        std: ChannelValues | None = None,
        model: NetworkChoice = None,
        output: OutputChoice = None,
        batch: BatchReader = None,
        dataloader_idx: int = 0,
        scale: Scale = "image",
        display: Display = None,
        seed: int = 0,
        name: str = "saliency",
        on_error: OnError = "warn",
        scoring_precision: ScoringPrecision = "exact",
        max_kept_bytes: int = 2**30,
        cues: Sequence[str | Cue] | None = None,
        allow: Sequence[str] = (),
        on_alarm: OnAlarm = "warn",
        num_hosts: int = 4,
    ) -> None:
        is_automatic = isinstance(max_batch_size, str) and max_batch_size == "auto"
        first_size: Any = FIRST_BATCH_SIZE if is_automatic else max_batch_size
        settings = Settings(
            methods=methods_by_name(methods),
            metrics=metrics_by_name(metrics, target),
            methods_are_default=methods is None,
            metrics_are_default=metrics is None,
            controls=checked_texts("controls", controls, "names"),
            drift=drift_measures(drift),
            best=best,
            log=checked_texts("log", log, "names or patterns"),
            num_images=num_images,
            num_panels=num_panels,
            num_drifted=num_drifted,
            num_worst=num_worst,
            every_n_epochs=every_n_epochs,
            max_batch_size=first_size,
            halves_batches=is_automatic,
            max_seconds=max_seconds,
            max_fraction_of_epoch=max_fraction_of_epoch,
            target=target,
            min_confidence=min_confidence,
            normalization=Normalization.of(mean, std),
            model=model,
            output=output,
            batch=batch,
            dataloader_idx=dataloader_idx,
            scale=scale,
            display=display,
            seed=seed,
            name=name,
            on_error=on_error,
            scoring_precision=scoring_precision,
            max_kept_bytes=max_kept_bytes,
            cues=chosen_cues(cues, target),
            allow=checked_texts("allow", allow, "names of cues"),
            on_alarm=on_alarm,
            num_hosts=num_hosts,
        )
        self._reader, self._target = batch, target
        super().__init__(replace(settings, **self._overrides()))

    # Configuration files can name these by `class_path`, which reads no `Self`.
    @classmethod
    def fast(
        cls,
        methods: MethodChoice = None,
        metrics: MetricChoice = None,
        *,
        every_n_epochs: int = 4,
        **arguments: Any,
    ) -> "SaliencyMonitor":
        """Return a monitor that costs a quarter: an evaluation in every fourth epoch.

        Its scores, cues and gates are those of the default in the same epochs. Halves of the donors confirm an alarm,
        too. In 96 % of evaluations its state is that of the default, and in 93 % where nearly all trainings have a
        shortcut. `docs/certainty.md` has costs and decisions.

        Args:
            methods: As for `SaliencyMonitor`.
            metrics: As for `SaliencyMonitor`.
            every_n_epochs: As for `SaliencyMonitor`.
            **arguments: All others of `SaliencyMonitor`.

        Raises:
            TypeError: If an argument is not of the kind expected.
            ValueError: If an argument is out of its range.

        Example:
            >>> settings = SaliencyMonitor.fast(["grad_cam"], num_images=32).settings
            >>> settings.every_n_epochs, settings.num_images, settings.num_hosts
            (4, 32, 4)
        """
        return cls(methods, metrics, every_n_epochs=every_n_epochs, **arguments)

    @classmethod
    def thorough(
        cls,
        methods: MethodChoice = None,
        metrics: MetricChoice = None,
        *,
        num_images: int = 128,
        num_hosts: int = 8,
        **arguments: Any,
    ) -> "SaliencyMonitor":
        """Return a monitor with smaller standard errors: twice as many images, and twice as many hosts for each cue.

        Args:
            methods: As for `SaliencyMonitor`.
            metrics: As for `SaliencyMonitor`.
            num_images: As for `SaliencyMonitor`.
            num_hosts: As for `SaliencyMonitor`.
            **arguments: All others of `SaliencyMonitor`.

        Raises:
            TypeError: If an argument is not of the kind expected.
            ValueError: If an argument is out of its range.

        Example:
            >>> settings = SaliencyMonitor.thorough(seed=1).settings
            >>> settings.num_images, settings.num_hosts, settings.every_n_epochs
            (128, 8, 1)
        """
        return cls(methods, metrics, num_images=num_images, num_hosts=num_hosts, **arguments)

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

    @property
    def alarm(self) -> Alarm:
        """The decision of the last evaluation in training on the cues that predictions follow."""
        return self._state.watch.decision

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
        """Continue from a checkpoint.

        Raises:
            ValueError: If the state is damaged.
        """
        with refusing_damage(f"SaliencyMonitor {self.settings.name!r}"):
            self._state.load(state_dict)
