"""Pictures as files, for loggers that cannot show them."""

from pathlib import Path

from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from lightning_saliency.loggers._drafts import draft_of
from lightning_saliency.loggers._images import as_image, file_name


def write_to_files(logger: CSVLogger, tag: str, picture: Tensor, step: int) -> None:
    """Write a picture (3, H, W) uint8 as PNG into `pictures/<tag>/` in the logger's folder."""
    with draft_of(Path(logger.log_dir) / "pictures" / tag / file_name(step)) as draft:
        as_image(picture).save(draft, format="png")
