"""Keep modules from logging while they are explained."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
from torch import nn

from lightning_saliency._name_spaces import is_kind


@contextmanager
def silenced(module: nn.Module) -> Iterator[None]:
    """Let `self.log` and `self.log_dict` do nothing, since a forward may call them and their means would change."""
    modules = [part for part in module.modules() if is_kind(part, pl.LightningModule)]
    originals = [vars(part).get("log") for part in modules]
    try:
        for part in modules:
            vars(part)["log"] = _ignore
        yield
    finally:
        for part, original in zip(modules, originals, strict=True):
            vars(part).pop("log", None)
            if original is not None:
                vars(part)["log"] = original


def _ignore(*_args: Any, **_options: Any) -> None:
    """Log nothing."""
