"""From a folder of logs to a page."""

from pathlib import Path

from lightning_saliency.loggers._drafts import draft_of
from lightning_saliency.report._page import page
from lightning_saliency.report._reading import read_runs


def write_report(log_dir: str | Path, output: str | Path = "report.html") -> None:
    """Write what monitors and gates logged for TensorBoard as one HTML page, which loads nothing and runs no script.

    Args:
        log_dir: Folder of one run or of many, as `tensorboard --logdir` takes it.
        output: The page; it is replaced only by a whole one.

    Raises:
        NoEventFilesError: If there is no log in the folder.

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
        # Names of files may hold bytes that are no text.
        draft.write_text(text, encoding="utf-8", errors="replace")
