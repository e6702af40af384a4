"""Decisions of a gate in loggers and beside the checkpoints."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from lightning_saliency.callbacks._table import write_whole
from lightning_saliency.loggers import write_text
from lightning_saliency.monitor._markup import escaped
from lightning_saliency.monitor.gates import Decision
from lightning_saliency.names import decisions_file, decisions_name, passed_name


def write_decisions(folder: str, gate: str, decisions: Sequence[Decision]) -> None:
    """Write all decisions into a folder, a path or an address that fsspec knows."""
    name = decisions_file(gate)
    try:
        write_whole(f"{folder}/{name}", json.dumps([asdict(decision) for decision in decisions], indent=1))
    except Exception as error:  # noqa: BLE001 - the checkpoint itself is there, and the decisions are in it
        rank_zero_warn(f"GatedCheckpoint cannot write {name}: {type(error).__name__}: {error}")


def announce(trainer: pl.Trainer, gate: str, decision: Decision, *, saves: bool) -> None:
    """Tell the user and all loggers.

    Args:
        trainer: The trainer.
        gate: Name of the gate.
        decision: The decision, with its reasons.
        saves: Whether a checkpoint is saved, whatever was decided.
    """
    message = f"GatedCheckpoint: epoch {decision.epoch} {_outcome(decision)}: {'; '.join(decision.reasons)}."
    if saves and not decision.passed:
        rank_zero_warn(f"{message} It is saved all the same.")
    else:
        rank_zero_info(message)
    for logger in trainer.loggers:
        _tell(logger, gate, decision, with_reasons=trainer.is_global_zero)


def mention_interrupted(gate: str, validation: tuple[int, int] | None) -> None:
    """Say which decision was lost, if one was.

    Args:
        gate: Name of the gate.
        validation: Epoch and step of a validation that did not end.
    """
    if validation is not None:
        rank_zero_warn(
            f"GatedCheckpoint {gate!r}: The validation of epoch {validation[0]} at step {validation[1]} was "
            "interrupted, so its gates were not judged and it has no checkpoint here."
        )


def _tell(logger: Logger, gate: str, decision: Decision, *, with_reasons: bool) -> None:
    try:
        logger.log_metrics({passed_name(gate): float(decision.passed)}, step=decision.step)
        if with_reasons:
            write_text(logger, decisions_name(gate), _described(decision), decision.step)
    except Exception as error:  # noqa: BLE001 - a full disk or a logger's fault must not stop training
        rank_zero_warn(f"GatedCheckpoint cannot log its reasons: {type(error).__name__}: {error}")


def _described(decision: Decision) -> str:
    reasons = "\n".join(f"- {escaped(reason)}" for reason in decision.reasons)
    return f"**{_outcome(decision)}** in epoch {decision.epoch}, at step {decision.step}\n\n{reasons}"


def _outcome(decision: Decision) -> str:
    return "passed" if decision.passed else "refused"
