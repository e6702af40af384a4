"""The monitor's arguments, checked where they are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from lightning_saliency._checks import check_choice, check_integer, check_number
from lightning_saliency.callbacks._batches import BatchReader
from lightning_saliency.callbacks._colours import Colours
from lightning_saliency.callbacks._evaluation import TargetChoice
from lightning_saliency.callbacks._network import NetworkChoice, OutputChoice
from lightning_saliency.methods import Method
from lightning_saliency.metrics import ExplanationMetric

OnError: TypeAlias = Literal["warn", "raise"]


@dataclass(frozen=True, eq=False)
class Settings:
    """What `SaliencyMonitor` documents, with methods and metrics by name."""

    methods: Mapping[str, Method]
    metrics: Mapping[str, ExplanationMetric]
    metrics_are_default: bool
    num_images: int
    num_panels: int
    every_n_epochs: int
    max_batch_size: int
    target: TargetChoice
    min_confidence: float
    colours: Colours | None
    model: NetworkChoice
    output: OutputChoice
    batch: BatchReader
    dataloader_idx: int
    seed: int
    name: str
    on_error: OnError

    def __post_init__(self) -> None:
        """Refuse what cannot work whatever the data are."""
        for argument in ("num_images", "every_n_epochs", "max_batch_size"):
            check_integer(argument, getattr(self, argument), minimum=1)
        for argument in ("num_panels", "dataloader_idx", "seed"):
            check_integer(argument, getattr(self, argument), minimum=0)
        check_number("min_confidence", self.min_confidence, minimum=0, below=1)
        check_choice("on_error", self.on_error, get_args(OnError))
        if isinstance(self.target, str) or self.target is None:
            check_choice("target", self.target, ("label", "predicted", None))
        elif not callable(self.target):
            check_integer("target", self.target, minimum=0)
        if not isinstance(self.batch, tuple | list | None) and not callable(self.batch):
            raise TypeError(f"Expected `batch` to be a pair of keys or a function, but got {self.batch!r}.")
        if isinstance(self.batch, tuple | list) and len(self.batch) != 2:
            raise ValueError(f"Expected `batch` to be a pair of keys, for images and labels, but got {self.batch!r}.")
        if not self.name or not isinstance(self.name, str):
            raise ValueError(f"Expected `name` to be a text that is not empty, but got {self.name!r}.")
