"""What the gate decided, and why."""

from collections.abc import Sequence
from typing import Final

from lightning_saliency.report._chart import Mark
from lightning_saliency.report._clock import Clock
from lightning_saliency.report._html import Markup, element
from lightning_saliency.report._log import Log
from lightning_saliency.report._markdown import markdown

USUAL: Final = "gate"


def gates_of(log: Log) -> list[str]:
    """Name the gates that decided: the usual one, and others that gave their reasons."""
    named = [tag.removesuffix("/passed") for tag in log.scalars if tag.endswith("/passed")]
    return [name for name in named if name == USUAL or f"{name}/decisions" in log.texts]


def marks_of(log: Log, gate: str, clock: Clock) -> list[Mark]:
    """Return the decisions at the steps of the scalars they go with."""
    passed = log.scalars[f"{gate}/passed"]
    counted = clock.counted(passed)
    return [Mark(counted[step], value == 1, gate) for step, value in passed.items()]


def in_short(gate: str, marks: Sequence[Mark]) -> str:
    """Count the decisions."""
    return f"{gate} passed in {sum(mark.passed for mark in marks)} of {len(marks)} validations"


def gate_table(log: Log, gate: str, clock: Clock) -> Markup:
    """List decisions with their reasons, the last first."""
    passed, reasons = log.scalars[f"{gate}/passed"], log.texts.get(f"{gate}/decisions", {})
    steps = sorted(passed.keys() | reasons.keys(), reverse=True)
    counted = clock.counted(steps)
    columns = ["epoch", "step", "decision", *(["reasons"] if reasons else [])]
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    rows = [_row(step, clock.epochs.get(counted[step]), passed.get(step), reasons.get(step)) for step in steps]
    table = element("table", element("thead", head), element("tbody", *rows), class_="gate")
    return element("div", table, class_="wide tall")


def _row(step: int, epoch: int | None, passed: float | None, reason: str | None) -> Markup:
    outcome = "unknown" if passed is None else "passed" if passed == 1 else "refused"
    return element(
        "tr",
        element("td", "-" if epoch is None else str(epoch)),
        element("td", str(step)),
        element("td", element("span", outcome, class_=f"outcome {outcome}")),
        *([element("td", markdown(_why(reason, outcome)), class_="reasons")] if reason is not None else []),
    )


def _why(reason: str, outcome: str) -> str:
    """Leave out a first paragraph that repeats the decision."""
    first, _, rest = reason.partition("\n\n")
    return rest if rest and first.startswith(f"**{outcome}**") else reason
