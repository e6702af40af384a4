"""The scores of the last evaluation, image by image, from the tables beside the event files."""

import csv
from collections.abc import Sequence
from pathlib import Path

from lightning_saliency.names import SCHEMA, SCORE_COLUMNS, LoggedName, table_file
from lightning_saliency.report._log import ImageScores


def last_scores(folder: Path, monitor: str) -> ImageScores:
    """Read the scores of the last evaluation of training, or else of the last one that there is.

    Args:
        folder: Log folder of the run.
        monitor: Name of the monitor that wrote the table.

    Returns:
        The scores of every image; none if there is no table, or one of another form.
    """
    path = folder / table_file(monitor)
    try:
        # A name in a log may be anything, also the path of another folder.
        if not (path.is_file() and path.resolve().is_relative_to(folder.resolve())):
            return ImageScores()
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        return _scores([dict(zip(SCORE_COLUMNS, row, strict=True)) for row in rows[1:] if rows[0] == [*SCORE_COLUMNS]])
    except (OSError, ValueError, csv.Error):
        return ImageScores()


def _scores(rows: Sequence[dict[str, str]]) -> ImageScores:
    rows = [row for row in rows if row["schema"] == str(SCHEMA)]
    trained = [row for row in rows if row["stage"] == "fit"]
    last = (trained or rows)[-1:]
    rows = [row for row in rows if last and _evaluation(row) == _evaluation(last[0]) and _is_score(row)]
    # Targets that are no classes have texts, and no scores by class.
    rows = [row for row in rows if row["target"].isdecimal()]
    return ImageScores(
        [(int(row["target"]), row["method"], row["metric"], float(row["score"])) for row in rows],
        {int(row["target"]): row["class_name"] for row in rows if row["class_name"]},
    )


def _evaluation(row: dict[str, str]) -> tuple[str, ...]:
    return row["stage"], row["run"], row["step"]


def _is_score(row: dict[str, str]) -> bool:
    """Tell scores from drift."""
    name = LoggedName.parse(f"-/{row['method']}/{row['metric']}", "-")
    return name is not None and name.kind == "score"
