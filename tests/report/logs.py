"""Small logs as monitors, gates and Lightning write them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

METHODS = ("guided_absolute_grad", "grad_cam")
CARD = "# What the scores mean\n\n| score | better |\n| --- | --- |\n| rcap | higher |\n\nSubset: 22, 38, 141."
REASON = "**{}** in epoch {}\n\n- saliency/grad_cam/rcap is {}, required >= 0.2"
SINCE = ("", "_first", "_best")


def write(
    folder: Path, values: Mapping[str, Mapping[int, float]], texts: Mapping[str, Mapping[int, str]] | None = None
) -> None:
    """Write scalars and texts by tag and step."""
    with SummaryWriter(folder) as writer:
        for tag, by_step in values.items():
            for step, value in by_step.items():
                writer.add_scalar(tag, value, step)
        for tag, by_step in (texts or {}).items():
            for step, text in by_step.items():
                writer.add_text(tag, text, step)


def write_log(
    folder: Path,
    *,
    name: str = "saliency",
    methods: tuple[str, ...] = METHODS,
    metric: str = "rcap",
    place: str = "image_22",
    card: str = CARD,
    reason: str = REASON,
    settings: dict[str, object] | None = None,
    epochs: int = 3,
) -> None:
    """Write everything that one monitor and one gate log, with steps numbered as Lightning does."""
    with SummaryWriter(folder) as writer:
        for summary in hparams(settings or {}, {}) if settings else ():
            writer.file_writer.add_summary(summary)
        for epoch in range(epochs):
            _write_evaluation(writer, epoch, name, methods, metric)
            count = 10 * (epoch + 1)
            for method in methods:
                writer.add_image(f"{name}/{method}/{place}", _picture(epoch), count)
                writer.add_image(f"{name}/{method}/drifted_0", _picture(epoch), count)
            writer.add_image(f"{name}/curves/{metric}", _picture(epoch), count)
            writer.add_scalar("gate/passed", float(epoch > 0), count)
            writer.add_text("gate/decisions", reason.format("passed" if epoch else "refused", epoch, epoch), count)
        writer.add_text(f"{name}/card", card, 0)


def _write_evaluation(writer: SummaryWriter, epoch: int, name: str, methods: tuple[str, ...], metric: str) -> None:
    step = 10 * epoch + 9
    values = {"epoch": epoch, "val_loss": 1 / (1 + epoch), f"{name}/seconds": 2.5, f"{name}/fraction_of_epoch": 0.25}
    for place, method in enumerate(methods):
        values |= {f"{name}/{method}/invalid": 0, f"{name}/{method}/blank": 2 - epoch}
        values |= _with_error(f"{name}/{method}/{metric}", 0.2 + 0.1 * place + 0.05 * epoch, 0.02)
        margin = f"{name}/{method}/{metric}_vs_random"
        values |= _with_error(margin, 0.1 - 0.2 * place, 0.02)
        values |= {f"{margin}_low": 0.08 - 0.2 * place, f"{margin}_high": 0.12 - 0.2 * place}
        if epoch:
            for since in SINCE:
                values |= _with_error(f"{name}/{method}/drift_spearman{since}", 0.9 - 0.1 * place, 0.01)
    values |= _with_error(f"{name}/random/{metric}", 0.1, 0.01)
    for tag, value in values.items():
        writer.add_scalar(tag, value, step)


def _with_error(tag: str, value: float, error: float) -> dict[str, float]:
    return {tag: value, f"{tag}_stderr": error}


def _picture(epoch: int) -> torch.Tensor:
    picture = torch.full((3, 60, 240), 40 * epoch % 256, dtype=torch.uint8)
    picture[epoch % 3] = 200
    return picture
