"""The monitor's arguments, checked where they are given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from lightning_saliency._checks import check_choice, check_integer, check_number
from lightning_saliency.cues import DEFAULT, Cue, select
from lightning_saliency.cues import names as cue_names
from lightning_saliency.drift import DRIFT_MEASURES, DriftMeasure
from lightning_saliency.methods import EdgeMap, Method, RandomMap
from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.monitor._display import Display, check_display
from lightning_saliency.monitor.batches import BatchReader
from lightning_saliency.monitor.discovery import NetworkChoice, OutputChoice, TargetChoice
from lightning_saliency.names import CUES, CURVES, EVALUATIONS, VERSUS, check_name, check_quantity
from lightning_saliency.passes.normalization import Normalization
from lightning_saliency.passes.precision import PRECISIONS, ScoringPrecision
from lightning_saliency.targets import Activation, Target

# Not described more closely, since configuration tools would refuse functions without equal annotations.
OnAlarm: TypeAlias = Literal["warn", "stop"] | Callable[..., Any]
OnError: TypeAlias = Literal["warn", "raise"]
Control: TypeAlias = Literal["random", "edges"]
Scale: TypeAlias = Literal["image", "common"]
# What `CSVLogger` calls its table.
METRICS: Final = "metrics"
CONTROLS: Final[dict[str, Method]] = {"random": RandomMap(), "edges": EdgeMap()}


def chosen_cues(choice: Sequence[str | Cue] | None, target: TargetChoice = None) -> tuple[Cue, ...]:
    """Replace names of cues by the cues; `None` is the default set, empty for a target that is no class.

    Raises:
        TypeError: If there is something else among them.
        ValueError: If there is no cue of a name, or one comes twice.
    """
    if choice is None:
        return () if isinstance(target, Target) else DEFAULT
    return select(choice)


def drift_measures(choice: Sequence[str | DriftMeasure]) -> tuple[DriftMeasure, ...]:
    """Replace names of measures by the measures.

    Raises:
        TypeError: If there is something else among them.
        ValueError: If there is no measure of a name.
    """
    if isinstance(choice, str) or not isinstance(choice, Sequence):
        raise TypeError(f"`drift` must be a sequence of names or measures, but got {choice!r}.  Put it in a list.")
    return tuple(_drift_measure(one) for one in choice)


def _drift_measure(choice: str | DriftMeasure) -> DriftMeasure:
    if isinstance(choice, str):
        check_choice("drift", choice, DRIFT_MEASURES)
        return DRIFT_MEASURES[choice]
    if not isinstance(choice, DriftMeasure):
        raise TypeError(f"`drift` must hold names or `DriftMeasure`s, but got {choice!r}.")
    return choice


def activation_of(metrics: Mapping[str, ExplanationMetric]) -> Activation:
    """Return how logits become probabilities: as in the metrics, if they agree on something unusual."""
    activations = {getattr(metric, "activation", None) for metric in metrics.values()} - {None}
    return "sigmoid" if activations == {"sigmoid"} else "softmax"


@dataclass(frozen=True, eq=False)
class Settings:
    """The arguments that `SaliencyMonitor` documents, with methods and metrics by name."""

    methods: Mapping[str, Method]
    metrics: Mapping[str, ExplanationMetric]
    methods_are_default: bool
    metrics_are_default: bool
    controls: tuple[str, ...]
    drift: tuple[DriftMeasure, ...]
    best: str | None
    log: tuple[str, ...]
    num_images: int
    num_panels: int
    num_drifted: int
    num_worst: int
    every_n_epochs: int
    max_batch_size: int
    halves_batches: bool
    max_seconds: float | None
    target: TargetChoice
    min_confidence: float
    normalization: Normalization | None
    model: NetworkChoice
    output: OutputChoice
    batch: BatchReader
    dataloader_idx: int
    scale: Scale
    display: Display
    seed: int
    name: str
    on_error: OnError
    scoring_precision: ScoringPrecision
    max_kept_bytes: int = 2**30
    cues: tuple[Cue, ...] = ()
    allow: tuple[str, ...] = ()
    on_alarm: OnAlarm = "warn"
    num_hosts: int = 4
    max_fraction_of_epoch: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work whatever the data are."""
        for argument in ("num_images", "every_n_epochs", "max_batch_size", "num_hosts"):
            check_integer(argument, getattr(self, argument), minimum=1)
        for argument in ("num_panels", "num_drifted", "num_worst", "dataloader_idx", "seed", "max_kept_bytes"):
            check_integer(argument, getattr(self, argument), minimum=0)
        self._check_controls()
        self._check_names()
        if self.best is not None:
            check_choice("best", self.best, [*self.directions])
        check_number("min_confidence", self.min_confidence, minimum=0, below=1)
        self._check_budgets()
        if not callable(self.on_alarm) and not (isinstance(self.on_alarm, str) and self.on_alarm in ("warn", "stop")):
            raise ValueError(
                f"`on_alarm` must be 'warn', 'stop' or a function of the alarm, but got {self.on_alarm!r}."
            )
        unknown = [name for name in self.allow if name not in {*cue_names(), *(cue.name for cue in self.cues)}]
        if unknown:
            raise ValueError(
                f"`allow` must hold names of cues such as {', '.join(cue_names()[:6])}, but got {unknown}."
            )
        check_choice("on_error", self.on_error, get_args(OnError))
        check_choice("scale", self.scale, get_args(Scale))
        check_display(self.display)
        check_choice("scoring_precision", self.scoring_precision, PRECISIONS)
        self._check_choices()
        check_name("name", self.name, parts=True)
        if self.name in (EVALUATIONS, METRICS):
            raise ValueError(
                f"`name` must not be that of a file of all evaluations or of Lightning, but got {self.name!r}.  Pass "
                "another one."
            )

    @property
    def all_methods(self) -> dict[str, Method]:
        """The methods, followed by the controls."""
        return {**self.methods, **{control: CONTROLS[control] for control in self.controls}}

    @property
    def has_budget(self) -> bool:
        """Whether the time of an evaluation is limited."""
        return self.max_seconds is not None or self.max_fraction_of_epoch is not None

    @property
    def directions(self) -> dict[str, bool]:
        """Scores and margins of the methods by name, without the monitor's, and whether higher is better."""
        scores = {
            f"{method}/{name}": metric.higher_is_better
            for method in self.methods
            for name, metric in self.metrics.items()
        }
        return scores | {f"{score}{VERSUS}{control}": True for score in scores for control in self.controls}

    @property
    def activation(self) -> Activation:
        """How logits become probabilities."""
        return activation_of(self.metrics)

    def _check_offers(self, target: Target) -> None:
        """Refuse what needs a probability or classes of a target that has none."""
        if self.min_confidence > 0:
            target.require("probability", "min_confidence")
        for name, metric in self.metrics.items():
            for offer in metric.reads:
                target.require(offer, name)
        for cue in self.cues:
            target.require("classes", cue.name)

    def _check_budgets(self) -> None:
        if self.max_seconds is not None:
            check_number("max_seconds", self.max_seconds)
            if self.max_seconds <= 0:
                raise ValueError(f"Expected `max_seconds` to be positive, but got {self.max_seconds}.")
        if self.max_fraction_of_epoch is not None:
            check_number("max_fraction_of_epoch", self.max_fraction_of_epoch)
            if not 0 < self.max_fraction_of_epoch <= 1:
                raise ValueError(
                    f"`max_fraction_of_epoch` must be above 0 and at most 1, but got {self.max_fraction_of_epoch}.  "
                    "Pass 0.05 for five percent."
                )

    def _check_names(self) -> None:
        for name in (CURVES, CUES):
            if name in self.methods:
                raise ValueError(f"`methods` must not be named like other values, but got {name!r}.  Rename it.")
        measures = [measure.name for measure in self.drift]
        for metric in self.metrics:
            check_quantity("metrics", metric)
        cues = [cue.name for cue in self.cues]
        for argument, names in {
            "methods": self.methods,
            "metrics": self.metrics,
            "drift": measures,
            "cues": cues,
        }.items():
            for name in names:
                check_name(argument, name)
        repeated = sorted({name for name in measures if measures.count(name) > 1})
        if repeated:
            raise ValueError(f"`drift` must have measures of distinct names, but got {repeated} more than once.")

    def _check_controls(self) -> None:
        for control in self.controls:
            check_choice("controls", control, CONTROLS)
            if control in self.methods:
                raise ValueError(f"Expected no method to be named like a control, but got {control!r}: rename it.")

    def _check_choices(self) -> None:
        if isinstance(self.target, type):
            raise TypeError(f"`target` must be a target, but got the class {self.target.__name__}.  Make an instance.")
        if isinstance(self.target, Target):
            self._check_offers(self.target)
        elif isinstance(self.target, str) or self.target is None:
            check_choice("target", self.target, ("label", "predicted", None))
        elif not callable(self.target):
            check_integer("target", self.target, minimum=0)
        if isinstance(self.batch, str) or not (callable(self.batch) or isinstance(self.batch, Sequence | None)):
            raise TypeError(f"Expected `batch` to be keys or a function, but got {self.batch!r}.")
        if isinstance(self.batch, Sequence) and len(self.batch) < 2:
            raise ValueError(
                "Expected `batch` to be two or three keys, of images, labels and masks, and perhaps more of further "
                f"arguments of the network, but got {self.batch!r}."
            )
