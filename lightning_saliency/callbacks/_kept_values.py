"""Values of the last evaluation, for callbacks and schedulers that read some in every validation."""

import lightning.pytorch as pl
import torch

from lightning_saliency.callbacks._asked_names import asked_names
from lightning_saliency.callbacks._state import MonitorState
from lightning_saliency.monitor.history import last_values
from lightning_saliency.monitor.selection import logged_values


def keep_values(trainer: pl.Trainer, pl_module: pl.LightningModule, state: MonitorState) -> None:
    """Let callbacks and schedulers read the last values of training where a validation computes none.

    Lightning itself keeps values until training ends, and has none after it resumes. They are not logged, since loggers
    would get them and Lightning allows no other arguments for the same name. No gate takes them for new, since there
    is no new record.
    """
    metrics = trainer.callback_metrics
    for name, value in logged_values(last_values(state.history), state.settings, asked_names(trainer)).items():
        metrics.setdefault(name, torch.tensor(value, device=pl_module.device, dtype=torch.get_default_dtype()))
