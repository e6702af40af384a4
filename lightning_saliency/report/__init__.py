"""One self-contained HTML page from TensorBoard's event files, for readers without TensorBoard."""

from lightning_saliency.report._output import LogFileError
from lightning_saliency.report._reading import NoEventFilesError
from lightning_saliency.report._report import write_report

__all__ = ["LogFileError", "NoEventFilesError", "write_report"]
