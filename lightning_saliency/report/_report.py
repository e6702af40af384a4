"""From a folder of logs to a page."""

from pathlib import Path

from lightning_saliency.loggers._drafts import draft_of
from lightning_saliency.report._page import page
from lightning_saliency.report._reading import read_runs


def write_report(log_dir: str | Path, output: str | Path = "report.html") -> None:
    """Write one HTML page of everything that monitors and gates logged for TensorBoard.

    The page loads nothing and runs no script.

    Args:
        log_dir: Folder of one run or of many, the same that `tensorboard --logdir` takes.
        output: The page. An older one stays until the new one is complete.

    Raises:
        NoEventFilesError: If the folder has no event files.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from torch.utils.tensorboard import SummaryWriter
        >>> with TemporaryDirectory() as folder:
        ...     with SummaryWriter(folder) as writer:
        ...         writer.add_scalar("val_loss", 0.5, 1)
        ...     write_report(folder, f"{folder}/report.html")
        ...     print(Path(folder, "report.html").read_text()[:15])
        <!doctype html>
    """
    text = page(str(log_dir), read_runs(Path(log_dir)))
    with draft_of(Path(output)) as draft:
        # File names may hold bytes that are not valid text.
        draft.write_text(text, encoding="utf-8", errors="replace")
