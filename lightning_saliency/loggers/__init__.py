"""Pictures, texts and charts for every logger: one adapter each."""

from lightning_saliency.loggers._dashboard import Chart, write_hyperparameters, write_layout
from lightning_saliency.loggers._files import Folder
from lightning_saliency.loggers._pictures import shows_pictures, write_picture, write_pictures
from lightning_saliency.loggers._texts import write_text

__all__ = [
    "Chart",
    "Folder",
    "shows_pictures",
    "write_hyperparameters",
    "write_layout",
    "write_picture",
    "write_pictures",
    "write_text",
]
