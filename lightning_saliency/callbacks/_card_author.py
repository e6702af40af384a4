"""Callbacks that have something to say in the card of a monitor."""

from abc import ABC, abstractmethod

import lightning.pytorch as pl


class CardAuthor(ABC):
    """A callback with sentences for cards."""

    @property
    @abstractmethod
    def remarks(self) -> dict[str, str]:
        """A sentence by the name of the monitor whose card has it; empty where there is nothing to say."""


def remark_in(trainer: pl.Trainer, monitor: str) -> str:
    """Return the sentence for the card of a monitor, which changes when an alarm has an effect."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set at run time
    authors = [callback for callback in callbacks if isinstance(callback, CardAuthor)]
    return next((author.remarks[monitor] for author in authors if monitor in author.remarks), "")
