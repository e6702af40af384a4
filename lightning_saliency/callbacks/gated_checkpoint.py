"""A checkpoint that is saved only while explanation scores keep their bounds."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, Final, Literal, get_args

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only, rank_zero_warn

from lightning_saliency._checks import check_choice
from lightning_saliency._name_spaces import ModelCheckpoint
from lightning_saliency._signals import signals_held
from lightning_saliency.callbacks._decisions import announce, closing_sentence, write_decisions
from lightning_saliency.callbacks._judge import Judge
from lightning_saliency.callbacks._lightning import (
    evaluates_in,
    is_fresh,
    move_back,
    move_before_checkpoints,
    refuse_namesakes,
    validates_at_epoch_end,
)
from lightning_saliency.callbacks._loading import refusing_damage
from lightning_saliency.monitor.gates import Decision, Gate, parse_gates
from lightning_saliency.names import check_name

# The name that `ModelCheckpoint` gives by default, which it writes by inserting names.
DEFAULT_FILENAME: Final = "epoch={epoch}-step={step}"
OnFail = Literal["skip", "warn", "stop"]

# What `ModelCheckpoint` learns while it saves.
LEARNT: Final = (
    "best_k_models",
    "best_model_path",
    "best_model_score",
    "dirpath",
    "current_score",
    "kth_best_model_path",
    "kth_value",
    "last_model_path",
    "_last_checkpoint_saved",
    "_last_global_step_saved",
    "_last_time_checked",
)


class GatedCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that writes nothing unless every gate passed in the current validation.

    A gate uses only values from the current validation: of a monitor those of its record, and of the module those that
    were logged in it. The decision is the same on all processes, is logged as
    `gate/passed`, is kept in the callback's state, and lies beside the checkpoints as `gate_decisions.json` once there
    is one. For recovery after a crash put a plain `ModelCheckpoint(save_last=True)` beside it. Several gated
    checkpoints of one run need names. A fit that starts anew forgets the decisions and checkpoints of an earlier one.
    Training moves gated checkpoints before other ones, so that whatever is saved has the decision of its validation,
    and back when it ends.
    With `save_on_train_epoch_end=True` a checkpoint is saved at the end of an epoch if it was validated there,
    and else at the validation.

    Args:
        dirpath: As in `ModelCheckpoint`.
        filename: As in `ModelCheckpoint`.
        gates: Rules by the names of logged values: `">= x"` or `"<= x"`; append `"by k stderr"` to require a margin of
            `k` standard errors. `"worsens <= x%"` compares with the best value so far, and the first value passes.
            Drift has no value before the second evaluation.
        on_fail: What to do when a gate does not pass: `"skip"` saves nothing, `"warn"` saves and warns,
            `"stop"` saves nothing and ends training after this validation.
        name: First part of what is logged, and of the name of the file with the decisions.
        auto_insert_metric_name: As in `ModelCheckpoint`, but off, since names with slashes would make folders.
        kwargs: All other arguments of `ModelCheckpoint`, except triggers that precede the validation:
            `every_n_train_steps`, `train_time_interval`, `save_on_exception`.

    Raises:
        TypeError: If a gate is not a text.
        ValueError: If a gate or the name has another form, or a trigger precedes the validation; in `setup`,
            if a gate is on a name that no monitor will log, or is relative on a value whose direction is
            unknown, or if another gated checkpoint of the run has the same name; after the first validation, if
            it did not compute the value of a gate.

    Example:
        >>> checkpoint = GatedCheckpoint(
        ...     gates={"saliency/alarm": "<= 0", "saliency/cues/wide_frame": "<= 0.1 by 2 stderr"},
        ...     monitor="val_accuracy",
        ...     mode="max",
        ... )
        >>> [str(gate) for gate in checkpoint.gates]
        ['<= 0', '<= 0.1 by 2 stderr']
    """

    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str | None = None,
        *,
        gates: Mapping[str, str],
        on_fail: OnFail = "skip",
        name: str = "gate",
        auto_insert_metric_name: bool = False,
        **kwargs: Any,
    ) -> None:
        self._judge = Judge(name, parse_gates(gates))
        check_choice("on_fail", on_fail, get_args(OnFail))
        check_name("name", name)
        for trigger in ("every_n_train_steps", "train_time_interval", "save_on_exception"):
            # A time interval of zero is falsy and still a trigger.
            if kwargs.get(trigger) not in (None, False, 0):
                raise ValueError(
                    f"Expected no `{trigger}`, which saves before the validation that the gates judge, "
                    f"but got {kwargs[trigger]!r}: use `every_n_epochs`, or a plain ModelCheckpoint beside this one."
                )
        named = filename is not None or auto_insert_metric_name
        filename = filename if named else DEFAULT_FILENAME
        super().__init__(dirpath, filename, auto_insert_metric_name=auto_insert_metric_name, **kwargs)
        self.on_fail = on_fail
        self.name = name
        self._order: list[pl.Callback] = []
        self._initial = {name: copy(getattr(self, name)) for name in LEARNT if hasattr(self, name)}

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The parsed gates."""
        return self._judge.gates

    @gates.setter
    def gates(self, gates: tuple[Gate, ...]) -> None:
        self._judge.gates = gates

    @property
    def decisions(self) -> list[Decision]:
        """The decision after each validation with its reasons, oldest first.

        After a launcher such as that of `ddp_spawn` they are those of its first process.
        """
        return self._judge.decisions

    @property
    def state_key(self) -> str:
        """Distinguishes checkpoints of different gates."""
        return f"{super().state_key}{self.name}{[f'{gate.metric} {gate}' for gate in self.gates]}"

    def state_dict(self) -> dict[str, Any]:
        """Return the state of `ModelCheckpoint` with decisions and best values."""
        return {**super().state_dict(), **self._judge.contents()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint.

        Raises:
            ValueError: If the state is damaged.
        """
        with refusing_damage(f"GatedCheckpoint {self.name!r}"):
            super().load_state_dict(state_dict)
            self._judge.load(state_dict)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse gates on what will not be logged, and learn the directions of relative ones."""
        if stage == "fit" and is_fresh(trainer):
            self._begin_anew()
        super().setup(trainer, pl_module, stage)
        if stage != "fit":
            return
        refuse_namesakes("GatedCheckpoint", [gated.name for gated in _gated(trainer)], self.name)
        if not evaluates_in(trainer, stage):
            rank_zero_warn(
                f"GatedCheckpoint {self.name!r}: There is no validation, so no gate is judged and nothing is saved."
            )
            return
        self._judge.prepare(trainer)
        order = move_before_checkpoints(trainer, _gated(trainer))
        if self is _gated(trainer)[0]:
            self._order = order

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the trainer's callbacks as they were, whose first one that saves has the `"best"` checkpoint."""
        super().teardown(trainer, pl_module, stage)
        self._move_back(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember the values there are, to tell those that this validation computes."""
        super().on_validation_start(trainer, pl_module)
        self._judge.enter(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge, and save if the gates passed.

        Raises:
            ValueError: If a gate is on a value that nothing computes.
        """
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        with signals_held():
            # A checkpoint has the state of all gates.
            for gated in _gated(trainer):
                gated._decide(trainer)
            if self._saves(trainer):
                super().on_validation_end(trainer, pl_module)
                self._write_record()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if the gates passed at this step."""
        if self._saves(trainer):
            super().on_train_epoch_end(trainer, pl_module)
            self._write_record()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if the gates passed at this step."""
        if self._saves(trainer):
            super().on_train_end(trainer, pl_module)
        if self._saved_nothing:
            rank_zero_info(closing_sentence(self.name, self.decisions))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save nothing, because no gate has judged these weights, and say whether a decision is lost."""
        if self._saved_nothing and 'ckpt_path="best"' in str(exception):
            exception.add_note(closing_sentence(self.name, self.decisions))
        self._judge.leave()
        self._move_back(trainer)

    @property
    def _saved_nothing(self) -> bool:
        return self.on_fail != "warn" and self._judge.passed_none

    def _should_save_on_train_epoch_end(self, trainer: pl.Trainer) -> bool:
        """Return whether `ModelCheckpoint` saves then: not if these weights will not have been judged."""
        return super()._should_save_on_train_epoch_end(trainer) and validates_at_epoch_end(trainer)

    def _move_back(self, trainer: pl.Trainer) -> None:
        move_back(trainer, self._order)
        self._order = []

    def _begin_anew(self) -> None:
        """Forget what an earlier training decided and saved."""
        self._judge.forget()
        for name, value in self._initial.items():
            setattr(self, name, copy(value))

    def _decide(self, trainer: pl.Trainer) -> None:
        decision = self._judge.judge(trainer)
        if decision is None:
            return
        announce(trainer, self.name, decision, saves=decision.passed or self.on_fail == "warn")
        if not decision.passed and self.on_fail == "stop":
            trainer.should_stop = True

    def _saves(self, trainer: pl.Trainer) -> bool:
        decision = self._judge.decision_at(trainer.global_step)
        return decision is not None and (decision.passed or self.on_fail == "warn")

    @rank_zero_only
    def _write_record(self) -> None:
        """Write the decisions where checkpoints are; where there is none yet, nothing."""
        if self.dirpath is not None and (self.best_k_models or self.last_model_path or self.best_model_path):
            write_decisions(str(self.dirpath), self.name, self.decisions)


def _gated(trainer: pl.Trainer) -> list[GatedCheckpoint]:
    return [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, GatedCheckpoint)]
