"""The common part of explanation metrics: a mean over per-image scores, with its standard error."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final, Self

import torch
from torch import Tensor, nn

from lightning_saliency._exact import exact
from lightning_saliency._saliency_method import as_method
from lightning_saliency._statistics import Sums
from lightning_saliency._types import Images, Maps, Masks, Model, Scores, Targets
from lightning_saliency.metrics._scoring import measure
from lightning_saliency.metrics._specified import Specified
from lightning_saliency.passes.normalization import ChannelValues
from lightning_saliency.passes.trials import Measured, Trial
from lightning_saliency.targets import Activation, Offer, Target

SUMS: Final = ("count", "excluded", "total", "squares")


class ExplanationMetric(Specified, ABC):
    """Mean over images of a score of their maps, accumulated in float64 and exact across processes.

    A subclass says what it is called, which direction is better and how a batch of maps is scored. Its annotated
    fields are its hyper-parameters: the constructor takes them, and a frozen `spec` holds them. Two metrics that
    differ in any of them are different metrics, in `score` and in a `MetricCollection`.

    Args:
        name: Key in results and logs; the class has a usual one.
        kwargs: Passed on to `torchmetrics.Metric`.

    Attributes:
        needs: The arguments that `measure` needs besides images, maps and targets: `"methods"`, `"masks"`.
        reads: The ability that the target must have for `measure`: `"classes"`, `"probability"`, `"rivals"`.
        points: Where the curve of a score is taken; empty if there is no curve.

    Example:
        >>> import torch
        >>> from lightning_saliency.metrics import ExplanationMetric, Measured, Trial
        >>> class Bright(ExplanationMetric):
        ...     name = "bright"
        ...     higher_is_better = True
        ...     threshold: float = 0.5
        ...
        ...     def measure(self, trial: Trial) -> Measured:
        ...         return Measured((trial.normalized > self.threshold).float().flatten(1).mean(dim=1))
        >>> metric = Bright(threshold=0.2)
        >>> metric.spec
        Bright.Spec(threshold=0.2)
        >>> maps = torch.arange(5.0).reshape(1, 1, 5)
        >>> metric.scores(torch.nn.Flatten(), torch.rand(1, 2, 1, 5), maps, torch.tensor([0]))
        tensor([0.8000])
    """

    is_differentiable = False
    full_state_update = False
    if TYPE_CHECKING:  # what every constructor takes besides the hyper-parameters
        name: str = field(default="", kw_only=True)
        compute_on_cpu: bool = field(default=False, kw_only=True)
        dist_sync_on_step: bool = field(default=False, kw_only=True)
        process_group: Any = field(default=None, kw_only=True)
        dist_sync_fn: Any = field(default=None, kw_only=True)
        distributed_available_fn: Any = field(default=None, kw_only=True)
        sync_on_compute: bool = field(default=True, kw_only=True)
        compute_with_cache: bool = field(default=True, kw_only=True)

    def __init__(self, *args: Any, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, name=name, **kwargs)
        self.check()
        if name is not None and not isinstance(name, str):
            raise TypeError(f"`name` must be a text or None, but got {name!r}.  Pass a text.")
        self.name = name or self.usual_name
        for each in SUMS:
            self._add_sum(each, torch.zeros((), dtype=torch.float64))
        if self.points:
            self._add_sum("curve", torch.zeros(len(self.points), dtype=torch.float64))

    def check(self) -> None:
        """Refuse hyper-parameters out of range."""

    @property
    def usual_name(self) -> str:
        """The name of an instance that was given none."""
        return type(self).name

    @property
    def needs(self) -> tuple[str, ...]:
        """The arguments that `measure` needs besides images, maps and targets."""
        return ()

    @property
    def reads(self) -> tuple[Offer, ...]:
        """The ability that the target must have for `measure`."""
        return ()

    @property
    def points(self) -> tuple[float, ...]:
        """Where the curve of a score is taken."""
        return ()

    @property
    def lacks_normalization(self) -> bool:
        """Whether images that are not in [0, 1] need a `mean` and `std` that it was not given."""
        return False

    def with_normalization(self, mean: ChannelValues, std: ChannelValues) -> Self:
        """Return a metric that takes images normalised with `mean` and `std`."""
        return self

    def with_activation(self, activation: Activation) -> Self:
        """Return a metric that makes probabilities of logits in this way; the same one if it reads none."""
        return self._respecified(activation=activation) if hasattr(self.spec, "activation") else self

    @abstractmethod
    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps; a score that is not finite leaves its image out."""

    def scores(
        self,
        model: Model,
        images: Images,
        maps: Maps,
        targets: Targets | Target,
        *,
        masks: Masks | None = None,
        method: Callable[..., Maps] | None = None,
        max_batch_size: int = 64,
    ) -> Scores:
        """Score the map of every image; the metric stays as it was.

        Args:
            model: Model with one row of logits per image.
            images: Images (B, C, *S) in the model's input space.
            maps: Raw maps (B, *S).
            targets: Target classes (B,).
            masks: Where the object is, (B, *S) boolean, for metrics of localisation.
            method: The method that made the maps, for metrics that explain again.
            max_batch_size: Most images in one pass.

        Returns:
            Scores (B,).

        Raises:
            TypeError: If an argument is not of the kind expected.
            ValueError: If shapes disagree, maps are not finite, or masks or the method are needed and missing.
        """
        return self._measured(model, images, maps, targets, masks, method, max_batch_size).scores

    def update(
        self,
        model: Model,
        images: Images,
        maps: Maps,
        targets: Targets | Target,
        *,
        masks: Masks | None = None,
        method: Callable[..., Maps] | None = None,
        max_batch_size: int = 64,
    ) -> None:
        """Score maps (B, *S) of images (B, C, *S) and add the scores; the arguments are those of `scores`."""
        self.accumulate(*self._measured(model, images, maps, targets, masks, method, max_batch_size))

    def _measured(
        self,
        model: Model,
        images: Images,
        maps: Maps,
        targets: Targets | Target,
        masks: Masks | None,
        method: Callable[..., Maps] | None,
        max_batch_size: int,
    ) -> Measured:
        def explain_again(images: Images, target: Target) -> dict[str, Maps]:
            with torch.enable_grad():
                return {} if method is None else {"maps": as_method(method, "maps")(model, images, target)}

        if "methods" in self.needs and method is None:
            raise ValueError(f"Expected `method` for metric {self.name!r}, but got None: pass it.")
        rows = measure(
            model,
            images,
            {"maps": maps},
            targets,
            {self.name: self},
            methods=None if method is None else {"maps": method},
            explain_again=explain_again,
            masks=masks,
            max_batch_size=max_batch_size,
        )
        return rows["maps"][self.name]

    def accumulate(self, scores: Scores, curves: Tensor | None = None) -> None:
        """Add scores (B,) computed elsewhere, with their curves (B, P).

        Scores that are not finite are left out and counted.
        """
        self._computed = None
        self._update_count = max(self._update_count, 1)
        scores = scores.to(self.device)
        valid = torch.isfinite(scores)
        for each, amount in zip(("count", "total", "squares"), Sums.of(scores), strict=True):
            self._increase(each, amount)
        self._increase("excluded", (~valid).sum())
        if curves is not None:
            self._increase("curve", exact(curves.to(self.device))[valid].sum(dim=0))

    def merge_state(self, incoming_state: Any) -> None:
        """Add the scores of another metric with the same hyper-parameters, or its state."""
        super().merge_state(incoming_state)
        # Else torchmetrics returns the value from before, or warns that there were no scores.
        self._computed = None
        self._update_count = max(self._update_count, 1)

    def compute(self) -> Tensor:
        """Return the mean score.

        Raises:
            ValueError: If no image has been scored.
        """
        return self._sums().mean

    def standard_error(self) -> Tensor:
        """Return the standard error of the mean; infinite for a single image."""
        with self._synchronised():
            return self._sums().standard_error

    @property
    def num_scored(self) -> int:
        """How many images have been scored."""
        with self._synchronised():
            return int(self._sum("count"))

    @property
    def num_excluded(self) -> int:
        """How many images were left out because their score was not finite."""
        with self._synchronised():
            return int(self._sum("excluded"))

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw the score, or the values given.

        Args:
            val: One or several results of `compute`.
            ax: Matplotlib axes to draw on; `None` makes new ones.

        Returns:
            Figure and axes.
        """
        return self._plot(val, ax)

    def _mean_curve(self) -> Tensor:
        with self._synchronised():
            return self._sum("curve") / self._sums().number

    def _sums(self) -> Sums:
        sums = Sums(self._sum("count"), self._sum("total"), self._sum("squares"))
        if not sums.number:
            if self._is_synced:  # torchmetrics does not restore the local states after an exception
                self.unsync()
            raise ValueError(f"Expected at least one scored image in {type(self).__name__}, but got none: update it.")
        return sums

    @contextmanager
    def _synchronised(self) -> Iterator[None]:
        """Sync by hand, since torchmetrics wraps `compute` only."""
        borrowed = not self._is_synced
        if borrowed:
            self.sync(
                dist_sync_fn=self.dist_sync_fn,
                process_group=self.process_group,
                should_sync=self.sync_on_compute,
                distributed_available=self.distributed_available_fn,
            )
        try:
            yield
        finally:
            if borrowed and self._is_synced:
                self.unsync()

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> nn.Module:
        """Move the states, in single precision to a device that has no other."""

        def move(state: Tensor) -> Tensor:
            try:
                return fn(state)
            except TypeError:
                return fn(state.float())

        return super()._apply(move, *args, **kwargs)

    def _state(self, name: str) -> str:
        """Name a state after the spec: `MetricCollection` merges metrics whose states have equal names and values."""
        return f"{self.spec!r}: {name}"

    def _add_sum(self, name: str, zero: Tensor) -> None:
        self.add_state(self._state(name), zero, dist_reduce_fx="sum")

    def _sum(self, name: str) -> Tensor:
        value: Tensor = getattr(self, self._state(name))
        return value

    def _increase(self, name: str, amount: Tensor) -> None:
        """Add in the state's precision, which `set_dtype` may have changed."""
        value = self._sum(name)
        setattr(self, self._state(name), value + amount.to(value.dtype))
