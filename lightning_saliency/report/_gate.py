"""The gates' decisions and their reasons."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from lightning_saliency.names import decisions_name, gates_in, passed_name
from lightning_saliency.report._chart import Mark
from lightning_saliency.report._clock import Clock
from lightning_saliency.report._limits import MOST_DECISIONS
from lightning_saliency.report._log import Log
from lightning_saliency.report._markdown import markdown

USUAL: Final = "gate"


@dataclass(frozen=True)
class Decision:
    """A row of a gate's table; epoch and reason are `None` where the log has none."""

    epoch: int | None
    step: int
    outcome: str
    reason: Markup | None


@dataclass(frozen=True)
class GateTable:
    """A gate's decisions, the last first."""

    name: str
    has_reasons: bool
    decisions: Sequence[Decision]


def gates_of(log: Log) -> list[str]:
    """Name the gates that decided: the usual one, and others that gave their reasons."""
    return [name for name in gates_in(log.scalars) if name == USUAL or decisions_name(name) in log.texts]


def marks_of(log: Log, gate: str, clock: Clock) -> list[Mark]:
    """Return the decisions at the steps of the scalars they go with."""
    passed = log.scalars[passed_name(gate)]
    counted = clock.counted(passed)
    return [Mark(counted[step], value == 1, gate) for step, value in passed.items()]


def in_short(gate: str, marks: Sequence[Mark]) -> str:
    """Count the decisions."""
    return f"{gate} passed in {sum(mark.passed for mark in marks)} of {len(marks)} validations"


def gate_table(log: Log, gate: str, clock: Clock) -> GateTable:
    """List decisions with their reasons."""
    passed, reasons = log.scalars[passed_name(gate)], log.texts.get(decisions_name(gate), {})
    steps = sorted(passed.keys() | reasons.keys(), reverse=True)[:MOST_DECISIONS]
    counted = clock.counted(steps)
    decisions = [
        _decision(step, clock.epochs.get(counted[step]), passed.get(step), reasons.get(step)) for step in steps
    ]
    return GateTable(gate, bool(reasons), decisions)


def _decision(step: int, epoch: int | None, passed: float | None, reason: str | None) -> Decision:
    outcome = "unknown" if passed is None else "passed" if passed == 1 else "refused"
    return Decision(epoch, step, outcome, None if reason is None else markdown(_why(reason, outcome)))


def _why(reason: str, outcome: str) -> str:
    """Leave out a first paragraph that repeats the decision."""
    first, _, rest = reason.partition("\n\n")
    return rest if rest and first.startswith(f"**{outcome}**") else reason
