"""Pictures for TensorBoard."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

# Bytes that are left for the scalars of others.
RESERVE: Final = 2**20


def write_to_tensorboard(logger: TensorBoardLogger, tag: str, picture: Tensor, step: int) -> None:
    """Add a picture (3, H, W) uint8 to the images of its tag.

    Raises:
        OSError: If the disk has no room for it.
    """
    logger.experiment.flush()
    _check_room(Path(logger.log_dir), picture.numel() + RESERVE)
    logger.experiment.add_image(tag, picture, step)


def _check_room(folder: Path, num_bytes: int) -> None:
    """Meet a full disk here: it would end the thread that writes events, and with it the training."""
    if not folder.is_dir():  # it is not on this machine
        return
    # Only writing shows quotas, too.
    with TemporaryFile(dir=folder, buffering=0) as file:
        zeros = bytes(min(num_bytes, RESERVE))
        for start in range(0, num_bytes, len(zeros)):
            file.write(zeros[: num_bytes - start])
