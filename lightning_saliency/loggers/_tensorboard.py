"""Pictures for TensorBoard."""

from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor


def write_to_tensorboard(logger: TensorBoardLogger, tag: str, picture: Tensor, step: int) -> None:
    """Add a picture (3, H, W) uint8 to the images of its tag."""
    logger.experiment.add_image(tag, picture, step)
