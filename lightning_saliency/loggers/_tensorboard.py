"""Pictures for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from lightning_saliency.loggers._images import as_png

# Bytes that are left for the scalars of others.
RESERVE: Final = 2**20


def write_to_tensorboard(logger: TensorBoardLogger, tag: str, picture: Tensor, step: int) -> None:
    """Add a picture (3, H, W) uint8 to the images of its tag.

    Raises:
        OSError: If the disk has no room for it.
    """
    write_all_to_tensorboard(logger, {tag: picture}, step)


def write_all_to_tensorboard(logger: TensorBoardLogger, pictures: Mapping[str, Tensor], step: int) -> None:
    """Add pictures (3, H, W) uint8 to the images of their tags, all or none.

    Raises:
        OSError: If the disk has no room for them.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary

    # `SummaryWriter` has no method for a picture that is encoded already, and its own encoding takes twice the time.
    contents = {tag: as_png(picture) for tag, picture in pictures.items()}
    logger.experiment.flush()
    _check_room(Path(logger.log_dir), sum(map(len, contents.values())) + RESERVE)
    for tag, content in contents.items():
        channels, height, width = pictures[tag].shape
        image = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=content)
        logger.experiment._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def _check_room(folder: Path, num_bytes: int) -> None:
    """Meet a full disk here: it would end the thread that writes events, and with it the training."""
    if not folder.is_dir():  # it is not on this machine
        return
    # Only writing shows quotas, too.
    with TemporaryFile(dir=folder, buffering=0) as file:
        zeros = bytes(min(num_bytes, RESERVE))
        for start in range(0, num_bytes, len(zeros)):
            file.write(zeros[: num_bytes - start])
