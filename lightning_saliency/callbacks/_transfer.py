"""Change training batches after they have been moved to the device."""

from collections.abc import Callable
from typing import Any, Final

import lightning.pytorch as pl

from lightning_saliency.callbacks._lightning import owner_of

HOOK: Final = "on_after_batch_transfer"


class TransferHook:
    """Takes the place of the hook `on_after_batch_transfer` of a module or data module, and calls it first.

    Lightning discards the results of a callback's hooks, so that a batch can only be replaced here.
    """

    def __init__(self, trainer: pl.Trainer, change: Callable[[Any], Any]) -> None:
        self._trainer = trainer
        self._change: Callable[[Any], Any] | None = change
        self._owner = owner_of(trainer, HOOK)
        self._before = vars(self._owner).get(HOOK)
        # The name by which Lightning finds out whether the hook is the user's.
        self.__wrapped__ = getattr(self._owner, HOOK)
        setattr(self._owner, HOOK, self)

    def __call__(self, batch: Any, dataloader_idx: int) -> Any:
        """Return the batch, changed if it is one to train on."""
        batch = self.__wrapped__(batch, dataloader_idx)
        return self._change(batch) if self._change is not None and self._trainer.training else batch

    def __reduce__(self) -> tuple[Any, ...]:
        """Let copies of the module have the hook that was there before."""
        return _same, (self.__wrapped__,)

    def restore(self) -> None:
        """Put back what was there; where something else has replaced it since, only stop changing batches."""
        self._change = None
        if vars(self._owner).get(HOOK) is not self:
            return
        if self._before is None:
            delattr(self._owner, HOOK)
        else:
            setattr(self._owner, HOOK, self._before)


def _same(hook: Any) -> Any:
    return hook
