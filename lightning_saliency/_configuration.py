"""From a configuration of LightningCLI to a module, its data and its monitor."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lightning_saliency._name_spaces import twins
from lightning_saliency.callbacks import SaliencyMonitor

PARTS = {"model": twins(pl.LightningModule), "data": twins(pl.LightningDataModule), "monitor": (SaliencyMonitor,)}


def build_from(config: Path) -> tuple[Any, ...]:
    """Make the module, the data module, and the monitor if there is one among the callbacks.

    Raises:
        ImportError: If jsonargparse is not installed.
        ValueError: If the file has no module or data module by class path, or one that cannot be made.
    """
    import yaml
    from jsonargparse import ArgumentError, ArgumentParser

    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeError) as error:
        raise ValueError(f"'{config}' cannot be read as YAML: {error}") from error
    parts = {name: _checked(config, content, name) for name in ("model", "data")}
    trainer = content.get("trainer") or {}
    monitor = next(filter(_is_monitor, trainer.get("callbacks") or []), None)
    if monitor is not None:
        parts["monitor"] = monitor
    parser = ArgumentParser(exit_on_error=False)
    for name in parts:
        parser.add_subclass_arguments(PARTS[name], name)
    try:
        made = parser.instantiate_classes(parser.parse_object(parts))
    except ArgumentError as error:
        raise ValueError(f"'{config}' cannot be built: {error}") from error
    return tuple(made[name] for name in parts)


def _checked(config: Path, content: Any, name: str) -> Any:
    part = content.get(name) if isinstance(content, dict) else None
    if not (isinstance(part, dict) and "class_path" in part):
        raise ValueError(
            f"'{config}' must have `{name}` with a `class_path`, but got {part!r}.  "
            "Pass a function that makes the LightningCLI with `run=False`."
        )
    return part


def _is_monitor(callback: Any) -> bool:
    return isinstance(callback, dict) and str(callback.get("class_path", "")).split(".")[-1] == SaliencyMonitor.__name__
