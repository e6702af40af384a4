"""Draw the result of `shortcut.py`: accuracy, the cues that predictions follow, and what the network saw."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from strips import last_picture, last_strips

CUES = "saliency/cues/"
FRAME = f"{CUES}wide_frame"
ACCURACIES = {
    "val_accuracy": "validation",
    "test_accuracy": "test, random marks",
    "unmarked_accuracy": "test, no marks",
}


class Run(NamedTuple):
    """The result of one training.

    Attributes:
        title: Kind of marks.
        rows: Values that each validation logged.
        passed: Whether the gate passed after each.
        log_dir: Folder of TensorBoard's files.
    """

    title: str
    rows: list[dict[str, float]]
    passed: list[bool]
    log_dir: str


def save_picture(runs: Sequence[Run], path: Path) -> None:
    """Draw a row per run: accuracy, cues with the gate's decisions, and the transplant of an alarm or a strip."""
    figure = Figure(figsize=(13, 3.1 * len(runs)), layout="constrained")
    axes = figure.subplots(len(runs), 3, squeeze=False, width_ratios=(1, 1.1, 2.6))
    for run, (accuracy, followed, picture) in zip(runs, axes, strict=True):
        _draw_accuracy(run, accuracy)
        _draw_cues(run, followed)
        transplant = last_picture(run.log_dir, FRAME) if run.rows[-1]["saliency/alarm"] else None
        picture.imshow(last_strips(run.log_dir)["guided_absolute_grad"] if transplant is None else transplant)
        picture.axis("off")
        picture.set_title(
            f"{run.title}: {'explained' if transplant is None else 'the wide frame of one image in another'}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _draw_accuracy(run: Run, axes: Axes) -> None:
    for (name, label), style in zip(ACCURACIES.items(), ("-", "--", ":"), strict=True):
        axes.plot([row[name] for row in run.rows], style, color="tab:blue", label=label)
    _draw_swap(run, axes)
    axes.set(title="accuracy", xlabel="epoch", ylim=(0, 1.05), xticks=range(len(run.rows)))
    axes.legend(loc="best", fontsize="small")


def _draw_swap(run: Run, axes: Axes) -> None:
    """Mark the evaluation that confirmed the alarm, if cues were swapped after it."""
    if any(name.startswith("cue_swap/") for name in run.rows[-1]):
        confirmed = [row["saliency/alarm"] for row in run.rows].index(2)
        axes.axvline(confirmed, color="0.3", linewidth=1, label="swapped from here on")


def _draw_cues(run: Run, axes: Axes) -> None:
    names = [name for name in run.rows[-1] if name.startswith(CUES) and not name.endswith("_stderr")]
    for name in names:
        values = [row[name] for row in run.rows]
        if name == FRAME:
            errors = [row[f"{name}_stderr"] for row in run.rows]
            axes.errorbar(range(len(values)), values, errors, color="tab:red", capsize=3, label="wide frame", zorder=3)
        else:
            axes.plot(values, color="0.75", label="other cues" if name == names[-1] else None)
    for passed, marker, outcome in ((False, "x", "refused"), (True, "o", "kept")):
        epochs = [epoch for epoch, was_kept in enumerate(run.passed) if was_kept is passed]
        if epochs:
            values = [run.rows[epoch][FRAME] for epoch in epochs]
            axes.plot(epochs, values, marker, color="tab:red", label=f"checkpoint {outcome}", zorder=4)
    _draw_swap(run, axes)
    axes.set(title="cues that predictions follow", xlabel="epoch", ylim=(-0.15, 1.05), xticks=range(len(run.rows)))
    axes.legend(loc="best", fontsize="small")
