"""Send a text to a logger that keeps texts."""

from functools import singledispatch
from typing import Any

from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

from lightning_saliency._name_spaces import register
from lightning_saliency.loggers._drafts import draft_of
from lightning_saliency.loggers._files import Folder


@singledispatch
def write_text(logger: Any, tag: str, text: str, step: int) -> None:
    """Write a text in Markdown; loggers without an adapter ignore it.

    `write_text.register(YourLogger, your_function)` adds an adapter.

    Args:
        logger: A logger of the trainer.
        tag: Name of the text, with slashes between its parts.
        text: The text.
        step: Global step.

    Example:
        >>> write_text(None, "tag", "# Title", 0)
    """


def _to_tensorboard(logger: TensorBoardLogger, tag: str, text: str, step: int) -> None:
    logger.experiment.add_text(tag, text, step)


def _to_wandb(logger: WandbLogger, tag: str, text: str, step: int) -> None:
    logger.log_text(tag, columns=["text"], data=[[text]], step=step)


def _to_mlflow(logger: MLFlowLogger, tag: str, text: str, step: int) -> None:
    logger.experiment.log_text(logger.run_id, text, f"texts/{tag}/{step:09d}.md")


def _to_files(logger: CSVLogger | Folder, tag: str, text: str, step: int) -> None:
    with draft_of(f"{logger.log_dir}/texts/{tag}/{step:09d}.md") as draft:
        draft.write_text(text, encoding="utf-8")


register(write_text, TensorBoardLogger, _to_tensorboard)
register(write_text, WandbLogger, _to_wandb)
register(write_text, MLFlowLogger, _to_mlflow)
register(write_text, CSVLogger, _to_files)
register(write_text, Folder, _to_files)
