"""One self-contained HTML page from TensorBoard's event files, for readers without TensorBoard."""

from lightning_saliency.report._output import is_replaced
from lightning_saliency.report._reading import NoEventFilesError
from lightning_saliency.report._report import write_report

__all__ = ["NoEventFilesError", "is_replaced", "write_report"]
