"""Draw the result of `shortcut.py`: accuracy, the share of relevance on the mark, and a strip."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from strips import last_strips

MASS = "saliency/guided_absolute_grad/relevance_mass"


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


def save_picture(runs: Sequence[Run], bound: float, path: Path) -> None:
    """Draw a row per run: accuracy, relevance on the mark with the gate's bound, and the last strip of an image."""
    figure = Figure(figsize=(12, 2.9 * len(runs)), layout="constrained")
    axes = figure.subplots(len(runs), 3, squeeze=False, width_ratios=(1, 1, 2.6))
    highest = max(bound, *(row[MASS] for run in runs for row in run.rows))
    for run, (accuracy, relevance, picture) in zip(runs, axes, strict=True):
        _draw_accuracy(run, accuracy)
        _draw_relevance(run, relevance, bound, highest)
        picture.imshow(last_strips(run.log_dir)["guided_absolute_grad"])
        picture.axis("off")
        picture.set_title(f"{run.title}: Guided AbsoluteGrad")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _draw_accuracy(run: Run, axes: Axes) -> None:
    for name, style in (("val_accuracy", "-"), ("test_accuracy", "--")):
        axes.plot([row[name] for row in run.rows], style, color="tab:blue", label=name.replace("_", " "))
    axes.set(title="accuracy", xlabel="epoch", ylim=(0, 1.05))
    axes.legend(loc="center right", fontsize="small")


def _draw_relevance(run: Run, axes: Axes, bound: float, highest: float) -> None:
    means, errors = ([row[name] for row in run.rows] for name in (MASS, f"{MASS}_stderr"))
    axes.errorbar(range(len(means)), means, errors, color="tab:red", capsize=3, label="relevance on the mark")
    for passed, marker, outcome in ((False, "x", "refused"), (True, "o", "kept")):
        epochs = [epoch for epoch, was_kept in enumerate(run.passed) if was_kept is passed]
        if epochs:
            axes.plot(epochs, [means[epoch] for epoch in epochs], marker, color="tab:red", label=outcome)
    axes.axhline(bound, color="0.4", linestyle=":", label="the gate's bound")
    axes.set(title="explanations", xlabel="epoch", ylim=(-0.03 * highest, 1.1 * highest))
    axes.legend(loc="center right", fontsize="small")
