"""Send a picture to a logger, if it shows pictures."""

from functools import singledispatch
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor


@singledispatch
def write_picture(logger: Any, tag: str, picture: Tensor, step: int) -> None:
    """Write a picture (3, H, W) uint8; loggers without an adapter show none.

    Args:
        logger: A logger of the trainer.
        tag: Name of the picture.
        picture: The picture.
        step: Global step.

    Example:
        >>> import torch
        >>> write_picture(None, "tag", torch.zeros(3, 2, 2, dtype=torch.uint8), 0)
    """


@write_picture.register
def _(logger: TensorBoardLogger, tag: str, picture: Tensor, step: int) -> None:
    logger.experiment.add_image(tag, picture, step)
