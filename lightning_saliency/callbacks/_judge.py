"""The decisions of a gated checkpoint: each validation is judged once."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from math import isfinite
from operator import attrgetter
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_warn

from lightning_saliency.callbacks._absence import refuse_absent
from lightning_saliency.callbacks._decisions import mention_interrupted
from lightning_saliency.callbacks._freshness import ValuesBefore
from lightning_saliency.callbacks._gate_names import direction_of, refuse_unknown
from lightning_saliency.callbacks._results import ResultsFile
from lightning_saliency.monitor.gates import Decision, Gate, Relative


class Judge:
    """Judges gates on the values of a validation, with the decisions and best values so far.

    Args:
        name: Name of the checkpoint, for warnings.
        gates: The rules to judge by.
    """

    def __init__(self, name: str, gates: Sequence[Gate]) -> None:
        self.name = name
        self.gates = tuple(gates)
        self._results = ResultsFile()
        self.forget()

    def forget(self) -> None:
        """Begin anew: nothing that an earlier training decided counts."""
        self._results.read()
        self._decisions: list[Decision] = []
        self._best: dict[str, float] = {}
        self._before = ValuesBefore()
        self._unmet: frozenset[str] = frozenset()
        self._validating: tuple[int, int] | None = None
        self._interrupted: tuple[int, int] | None = None

    @property
    def decisions(self) -> list[Decision]:
        """All decisions, oldest first; after a launcher those of its first process."""
        results = self._results.read()
        if results is not None:
            self._decisions = [Decision.of_state(decision) for decision in results]
        return self._decisions

    @property
    def passed_none(self) -> bool:
        """Whether there are decisions, and all refuse."""
        return bool(self._decisions) and not any(each.passed for each in self._decisions)

    def decision_at(self, step: int) -> Decision | None:
        """Return the last decision if it was made at this step."""
        last = self._decisions[-1] if self._decisions else None
        return last if last is not None and last.step == step else None

    def contents(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {
            "decisions": [asdict(decision) for decision in self.decisions],
            "best_values": dict(self._best),
            "interrupted": None if self._validating is None else list(self._validating),
        }

    def load(self, contents: dict[str, Any]) -> None:
        """Continue from what a checkpoint kept."""
        self._decisions = [Decision.of_state(decision) for decision in contents["decisions"]]
        self._best = {name: float(value) for name, value in contents["best_values"].items()}
        interrupted = contents["interrupted"]
        self._interrupted = None if interrupted is None else (int(interrupted[0]), int(interrupted[1]))

    def prepare(self, trainer: pl.Trainer) -> None:
        """Refuse gates on what will not be logged, and learn the directions of relative ones."""
        for gate in self.gates:
            refuse_unknown(trainer, gate.metric)
        self.gates = tuple(_directed(trainer, gate) for gate in self.gates)
        self._unmet = frozenset(gate.metric for gate in self.gates)

    def enter(self, trainer: pl.Trainer) -> None:
        """Remember the values there are, to tell those that this validation computes."""
        self._before = ValuesBefore.of(trainer)
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._validating = trainer.current_epoch, trainer.global_step
            if self._interrupted != self._validating:  # else it is run again
                mention_interrupted(self.name, self._interrupted)
            self._interrupted = None

    def leave(self) -> None:
        """Say, if a validation was cut off, that its decision is lost."""
        mention_interrupted(self.name, self._validating)
        self._validating = None

    def judge(self, trainer: pl.Trainer) -> Decision | None:
        """Return the decision on this validation, or `None` if it has been judged.

        Raises:
            ValueError: If a gate is on a value that nothing computes.
        """
        if self._validating is None:
            return None
        self._validating = None
        if self._unmet:
            self._unmet = refuse_absent(trainer, self._unmet, self._before)
        return self._decide(trainer)

    def _decide(self, trainer: pl.Trainer) -> Decision:
        fresh = partial(self._before.fresh, trainer)
        verdicts = [gate.judge(fresh, self._best.get(gate.metric)) for gate in self.gates]
        passed = all(verdict.passed for verdict in verdicts)
        if trainer.world_size > 1:
            passed = trainer.strategy.reduce_boolean_decision(passed)
        reasons = tuple(verdict.reason for verdict in sorted(verdicts, key=attrgetter("passed")))
        decision = Decision(trainer.current_epoch, trainer.global_step, passed, reasons)
        self._decisions = [*self.decisions, decision]
        if trainer.is_global_zero:
            self._tell_launcher()
        for gate in self.gates:
            self._keep_best(gate, fresh(gate.metric))
        return decision

    def _keep_best(self, gate: Gate, value: float | None) -> None:
        if not isinstance(gate, Relative) or value is None or not isfinite(value):
            return
        best = self._best.get(gate.metric, value)
        self._best[gate.metric] = max(best, value) if gate.higher_is_better else min(best, value)

    def _tell_launcher(self) -> None:
        try:
            self._results.write([asdict(decision) for decision in self._decisions])
        except OSError as error:
            rank_zero_warn(f"GatedCheckpoint {self.name!r} cannot tell the process that started it: {error}")


def _directed(trainer: pl.Trainer, gate: Gate) -> Gate:
    return replace(gate, higher_is_better=direction_of(trainer, gate.metric)) if isinstance(gate, Relative) else gate
