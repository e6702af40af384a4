"""One adapter per logger: pictures on their way to a front-end."""

from lightning_saliency.loggers._pictures import write_picture

__all__ = ["write_picture"]
