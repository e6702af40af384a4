"""From a folder of logs to a page."""

from pathlib import Path

from tqdm import tqdm

from lightning_saliency.report._limits import MOST_RUNS
from lightning_saliency.report._output import check_output, page_file
from lightning_saliency.report._page import page
from lightning_saliency.report._reading import read_run, run_name, runs_in, size_of

# Seconds after which users want to know how much is left.
PATIENCE = 1.0


def write_report(log_dir: str | Path, output: str | Path = "report.html") -> list[str]:
    """Write one HTML page of everything that monitors and gates logged for TensorBoard.

    The page loads nothing and runs no script. Large event files are read with a bar on stderr, in a stream.

    Args:
        log_dir: Folder of one run or of many, the same that `tensorboard --logdir` takes.
        output: The page. An older one stays until the new one is complete. A pipe or device, such as `/dev/stdout`, is
            written to.

    Returns:
        Sentences on what could not be read or was left out. The page shows them, too.

    Raises:
        TypeError: If the folder is no path.
        NoEventFilesError: If the folder has no event files.
        LogFileError: If the page would replace an event file, a table or hyper-parameters.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from torch.utils.tensorboard import SummaryWriter
        >>> with TemporaryDirectory() as folder:
        ...     with SummaryWriter(folder) as writer:
        ...         writer.add_scalar("val_loss", 0.5, 1)
        ...     faults = write_report(folder, f"{folder}/report.html")
        ...     print(faults, Path(folder, "report.html").read_text()[:15])
        [] <!doctype html>
    """
    if not isinstance(log_dir, str | Path):
        raise TypeError(f"`log_dir` must be a path, but got {log_dir!r}.  Pass a folder.")
    log_dir, output = Path(log_dir), Path(output)
    check_output(output)
    folders = runs_in(log_dir)
    notes = []
    if len(folders) > MOST_RUNS:
        notes.append(f"The first {MOST_RUNS} of {len(folders):,} runs are shown. Pass a folder of fewer.")
        folders = folders[:MOST_RUNS]
    options = {"unit": "B", "unit_scale": True, "desc": "Reading", "delay": PATIENCE, "leave": False}
    with tqdm(total=size_of(folders), **options) as bar:
        runs = [read_run(folder, run_name(folder, log_dir), bar.update) for folder in folders]
    text, left_out = page(str(log_dir), runs, notes)
    with page_file(output) as file:
        file.write(text)
    return [*notes, *left_out, *(f"{run.name}: {note}" for run in runs for note in run.notes)]
