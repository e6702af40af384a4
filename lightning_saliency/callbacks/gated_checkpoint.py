"""A checkpoint that is saved only while explanation scores keep their bounds."""

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_saliency.callbacks._gate import Decision, parse_gates


class GatedCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that writes nothing unless every gate passed in the validation at hand.

    A gate passes on a value that was computed in this validation and keeps its bound; a value left from
    an earlier one does not count. The decision is the same on all processes. For recovery after a crash
    put a plain `ModelCheckpoint(save_last=True)` beside it.

    Args:
        dirpath: As in `ModelCheckpoint`.
        filename: As in `ModelCheckpoint`.
        gates: Bounds by the names of logged values, each `">= x"` or `"<= x"`.
        kwargs: All other arguments of `ModelCheckpoint`, but for triggers that precede the validation:
            `every_n_train_steps`, `train_time_interval`, `save_on_exception`.

    Attributes:
        decisions: What was decided after each validation and why, oldest first.

    Raises:
        TypeError: If a gate is not a text.
        ValueError: If a gate has another form, or a trigger precedes the validation.

    Example:
        >>> checkpoint = GatedCheckpoint(
        ...     gates={"saliency/guided_absolute_grad/rcap": ">= 0.25"}, monitor="val_accuracy", mode="max"
        ... )
        >>> checkpoint.gates[0].passes(0.3)
        True
    """

    def __init__(
        self, dirpath: str | None = None, filename: str | None = None, *, gates: Mapping[str, str], **kwargs: Any
    ) -> None:
        self.gates = parse_gates(gates)
        for trigger in ("every_n_train_steps", "train_time_interval", "save_on_exception"):
            # A time interval of zero is falsy and still a trigger.
            if kwargs.get(trigger) not in (None, False, 0):
                raise ValueError(
                    f"Expected no `{trigger}`, which saves before the validation that the gates judge, "
                    f"but got {kwargs[trigger]!r}: use `every_n_epochs`, or a plain ModelCheckpoint beside this one."
                )
        super().__init__(dirpath, filename, **{"auto_insert_metric_name": False, **kwargs})
        self.decisions: list[Decision] = []
        self._before: dict[str, Tensor] = {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember the values there are, to tell those that this validation computes."""
        super().on_validation_start(trainer, pl_module)
        self._before = dict(trainer.callback_metrics)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge, and save if the gates passed."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._judge(trainer)
        if self._passed_now(trainer):
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if the gates passed at this step."""
        if self._passed_now(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if the gates passed at this step."""
        if self._passed_now(trainer):
            super().on_train_end(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save nothing: no gate has judged these weights."""

    def _judge(self, trainer: pl.Trainer) -> None:
        verdicts, reasons = [], []
        for gate in self.gates:
            value = trainer.callback_metrics.get(gate.metric)
            fresh = value is not None and value is not self._before.get(gate.metric)
            passed = value is not None and fresh and gate.passes(value.item())
            verdicts.append(passed)
            seen = f"{value.item():.4g}" if value is not None and fresh else "not computed in this validation"
            reasons.append(f"{gate.metric} is {seen}, wanted {gate}")
        passed = trainer.strategy.reduce_boolean_decision(all(verdicts))
        self.decisions.append(Decision(trainer.current_epoch, trainer.global_step, passed, tuple(reasons)))
        outcome = "passed" if passed else "refused"
        rank_zero_info(f"GatedCheckpoint: epoch {trainer.current_epoch} {outcome}: {'; '.join(reasons)}.")

    def _passed_now(self, trainer: pl.Trainer) -> bool:
        last = self.decisions[-1] if self.decisions else None
        return last is not None and last.passed and last.step == trainer.global_step
