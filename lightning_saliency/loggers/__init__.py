"""One adapter per logger: pictures, texts and charts on their way to a front-end."""

from lightning_saliency.loggers._dashboard import Chart, write_hyperparameters, write_layout
from lightning_saliency.loggers._pictures import write_picture
from lightning_saliency.loggers._texts import write_text

__all__ = ["Chart", "write_hyperparameters", "write_layout", "write_picture", "write_text"]
