"""The scores of the last evaluation, image by image, from the tables beside the event files."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from lightning_saliency.names import SCHEMA, SCORE_COLUMNS, LoggedName, table_file
from lightning_saliency.report._files import NoPlainFileError, rows_of
from lightning_saliency.report._limits import MOST_ROWS
from lightning_saliency.report._log import ImageScores, Score

Row = dict[str, str]


def last_scores(folder: Path, monitor: str, faults: list[str]) -> ImageScores:
    """Read the scores of the last evaluation of training, or else of the last one that there is.

    Args:
        folder: Log folder of the run.
        monitor: Name of the monitor that wrote the table.
        faults: Gets a sentence if the table cannot be read.

    Returns:
        The scores of every image; none if there is no table, or one of another form.
    """
    # A name in a log may be anything, also the path of another folder.
    name = table_file(monitor)
    try:
        rows = rows_of(folder / name, folder)
        if next(rows, None) != [*SCORE_COLUMNS]:
            return ImageScores()
        return _scores(dict(zip(SCORE_COLUMNS, row, strict=True)) for row in rows)
    except NoPlainFileError as error:
        faults.append(f"{error}.")
    except FileNotFoundError:
        pass
    except (OSError, ValueError):
        faults.append(f"`{name}` is damaged or has another form, so there are no scores by class.")
    return ImageScores()


def _scores(rows: Iterable[Row]) -> ImageScores:
    """Keep the last evaluation while reading, since tables of long trainings do not fit into memory."""
    last, scores, names = ("", "", ""), list[Score](), dict[int, str]()
    for row in rows:
        evaluation = row["stage"], row["run"], row["step"]
        if row["schema"] != str(SCHEMA) or (last[0] == "fit" != row["stage"]):
            continue
        if evaluation != last:
            last, scores, names = evaluation, [], {}
        if len(scores) >= MOST_ROWS:
            raise ValueError(f"an evaluation must have at most {MOST_ROWS:,} scores, but got more")
        # Targets that are no classes have texts, and no scores by class.
        if _is_score(row["method"], row["metric"]) and row["target"].isdecimal():
            target = int(row["target"])
            scores.append((target, row["method"], row["metric"], float(row["score"])))
            if row["class_name"]:
                names[target] = row["class_name"]
    return ImageScores(scores, names)


@lru_cache(1024)
def _is_score(method: str, metric: str) -> bool:
    """Tell scores from drift."""
    name = LoggedName.parse(f"-/{method}/{metric}", "-")
    return name is not None and name.kind == "score"
