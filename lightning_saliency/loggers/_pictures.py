"""Send a picture to a logger that shows pictures."""

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from torch import Tensor

from lightning_saliency._name_spaces import register
from lightning_saliency.loggers._files import Folder, write_to_files
from lightning_saliency.loggers._mlflow import write_to_mlflow
from lightning_saliency.loggers._tensorboard import write_all_to_tensorboard, write_to_tensorboard
from lightning_saliency.loggers._wandb import write_to_wandb


@singledispatch
def write_picture(logger: Any, tag: str, picture: Tensor, step: int) -> None:
    """Write a picture (3, H, W) uint8; loggers without an adapter ignore it.

    `write_picture.register(YourLogger, your_function)` adds an adapter.

    Args:
        logger: A logger of the trainer.
        tag: Name of the picture, with slashes between its parts.
        picture: The picture.
        step: Global step.

    Example:
        >>> import torch
        >>> write_picture(None, "tag", torch.zeros(3, 2, 2, dtype=torch.uint8), 0)
    """


# Lightning's classes import their libraries only when a logger is constructed.
register(write_picture, TensorBoardLogger, write_to_tensorboard)
register(write_picture, WandbLogger, write_to_wandb)
register(write_picture, MLFlowLogger, write_to_mlflow)
register(write_picture, CSVLogger, write_to_files)
register(write_picture, Folder, write_to_files)


def write_pictures(logger: Any, pictures: Mapping[str, Tensor], step: int) -> None:
    """Write pictures by tag, as `write_picture` does each of them; TensorBoard gets all or none.

    Args:
        logger: A logger of the trainer.
        pictures: Pictures (3, H, W) uint8 by name.
        step: Global step.

    Example:
        >>> import torch
        >>> write_pictures(None, {"tag": torch.zeros(3, 2, 2, dtype=torch.uint8)}, 0)
    """
    if write_picture.dispatch(type(logger)) is write_to_tensorboard:
        write_all_to_tensorboard(logger, pictures, step)
        return
    for tag, picture in pictures.items():
        write_picture(logger, tag, picture, step)


def shows_pictures(logger: Any) -> bool:
    """Return whether there is an adapter for a logger.

    Args:
        logger: A logger of the trainer.

    Example:
        >>> shows_pictures(object())
        False
    """
    return write_picture.dispatch(type(logger)) is not write_picture.dispatch(object)
