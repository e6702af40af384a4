"""One line in Lightning's own progress bar while explanations are made."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar

from lightning_saliency._name_spaces import is_kind
from lightning_saliency.monitor._progress import Tell, say_nothing


@contextmanager
def showing_progress(trainer: pl.Trainer, total: int) -> Iterator[Tell]:
    """Show how many images are done, in whichever bar the trainer has; silent where it has none or it is off."""
    bar = trainer.progress_bar_callback
    if not getattr(bar, "is_enabled", False):
        yield say_nothing
    elif is_kind(bar, TQDMProgressBar):
        with _borrowed_description(bar.test_progress_bar if trainer.testing else bar.val_progress_bar, total) as tell:
            yield tell
    elif is_kind(bar, RichProgressBar) and bar.progress is not None:
        with _task_of_its_own(bar, total) as tell:
            yield tell
    else:
        yield say_nothing


@contextmanager
def _borrowed_description(line: Any, total: int) -> Iterator[Tell]:
    before = line.desc

    def tell(done: int) -> None:
        line.set_description(_text(done, total))

    try:
        tell(0)
        yield tell
    finally:
        line.set_description_str(before)


@contextmanager
def _task_of_its_own(bar: RichProgressBar, total: int) -> Iterator[Tell]:
    progress: Any = bar.progress
    task = progress.add_task(_text(0, total), total=total)

    def tell(done: int) -> None:
        progress.update(task, completed=done, description=_text(done, total))
        progress.refresh()

    try:
        tell(0)
        yield tell
    finally:
        # Not removed: Lightning finds its own tasks by their places in the list.
        progress.update(task, visible=False)
        progress.refresh()


def _text(done: int, total: int) -> str:
    return f"Explaining {done}/{total}"
