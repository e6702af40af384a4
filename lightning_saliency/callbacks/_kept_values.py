"""Values of the last evaluation, for callbacks and schedulers that read them before there is a new one."""

import lightning.pytorch as pl
import torch

from lightning_saliency.callbacks._asked_names import asked_names
from lightning_saliency.callbacks._state import MonitorState
from lightning_saliency.monitor._scalars import named_values
from lightning_saliency.monitor.history import last_values


def keep_values(trainer: pl.Trainer, pl_module: pl.LightningModule, state: MonitorState) -> None:
    """Let callbacks and schedulers read the last values of a training that goes on, until there are new ones.

    Lightning keeps values from one validation to the next, but forgets them when it resumes. They are not logged, since
    loggers would get them, and no gate takes them for new, since there is no new record.
    """
    values = named_values(last_values(state.history), state.settings.name)
    metrics = trainer.callback_metrics
    for name in asked_names(trainer) & values.keys():
        metrics[name] = torch.tensor(values[name], device=pl_module.device, dtype=torch.get_default_dtype())
