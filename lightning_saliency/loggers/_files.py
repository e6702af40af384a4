"""Pictures as files, for loggers that cannot show them."""

from typing import NamedTuple

from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from lightning_saliency.loggers._drafts import draft_of
from lightning_saliency.loggers._images import as_png, file_name


class Folder(NamedTuple):
    """A folder that takes the place of a logger.

    Attributes:
        log_dir: Its path, or its address that fsspec knows.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import torch
        >>> from lightning_saliency.loggers import write_picture
        >>> with TemporaryDirectory() as path:
        ...     write_picture(Folder(path), "map", torch.zeros(3, 4, 4, dtype=torch.uint8), 0)
    """

    log_dir: str


def write_to_files(logger: CSVLogger | Folder, tag: str, picture: Tensor, step: int) -> None:
    """Write a picture (3, H, W) uint8 as PNG into `pictures/<tag>/` in the logger's folder."""
    with draft_of(f"{logger.log_dir}/pictures/{tag}/{file_name(step)}") as draft:
        draft.write_bytes(as_png(picture))
