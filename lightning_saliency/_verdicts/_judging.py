"""The judgement of a gate on the last evaluation of a run."""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

from lightning_saliency._verdicts._run import Run
from lightning_saliency.monitor.directions import direction_by_name
from lightning_saliency.monitor.gates import Gate, Relative


@dataclass(frozen=True)
class Outcome:
    """The outcome of a gate on one run and its reason; `"unknown"` where a value that it needs is missing."""

    run: str
    word: Literal["passed", "failed", "unknown"]
    reason: str

    def __str__(self) -> str:
        return " ".join(f"{self.word} {self.run}: {self.reason}".split())


def judge(gate: Gate, run: Run) -> Outcome:
    """Judge the last evaluation; a relative gate compares it with the earlier ones."""
    missing = _missing(gate, run)
    if missing:
        return Outcome(run.name, "unknown", f"{missing}, required {gate}")
    *earlier, last = run.series(gate.metric)
    best = None
    if isinstance(gate, Relative):
        gate = replace(gate, higher_is_better=_direction(gate, run))
        values = [values[gate.metric] for values in earlier if isfinite(values.get(gate.metric, float("nan")))]
        best = (max if gate.higher_is_better else min)(values, default=None)
    verdict = gate.judge(last.get, best)
    return Outcome(run.name, "passed" if verdict.passed else "failed", verdict.reason)


def _missing(gate: Gate, run: Run) -> str:
    """Say what the gate needs and the run does not have; nothing if it has everything."""
    if run.fault:
        return f"{gate.metric} cannot be read ({run.fault})"
    series = run.series(gate.metric)
    if not series:
        return f"{gate.metric} has no evaluation in this stage"
    absent = [name for name in gate.names if name not in series[-1]]
    if absent:
        return f"{absent[0]} has no value in the last evaluation"
    if isinstance(gate, Relative) and _direction(gate, run) is None:
        return f"the better direction of {gate.metric} is not known by its name, so use '>= x' or '<= x'"
    return ""


def _direction(gate: Gate, run: Run) -> bool | None:
    monitor = run.monitor_of(gate.metric)
    return None if monitor is None else direction_by_name(gate.metric, monitor)
