"""Pictures for Weights & Biases."""

from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from lightning_saliency.loggers._images import as_image


def write_to_wandb(logger: WandbLogger, tag: str, picture: Tensor, step: int) -> None:
    """Log a picture (3, H, W) uint8 under its tag; its step is `trainer/global_step`."""
    logger.log_image(tag, [as_image(picture)], step)
