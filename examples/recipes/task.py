"""The training that all recipes share: a network, a loss, and random data of the right form."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

Loss = Callable[[nn.Module, Any], Tensor]


class Task(pl.LightningModule):
    """Trains a network by a loss; its forward is that of the network.

    Args:
        network: The network.
        loss: A function of network and batch.
    """

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, *inputs: Any) -> Any:
        """Return what the network returns."""
        return self.network(*inputs)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss."""
        return self.loss(self.network, batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing but the monitor looks at the validation data."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), 1e-4)


def fit(task: Task, items: Dataset[Any], monitor: pl.Callback, **options: Any) -> pl.Trainer:
    """Train for an epoch on items of which the monitor watches some.

    Args:
        task: The task.
        items: Training and validation data.
        monitor: The monitor.
        options: Arguments of the data loaders.
    """
    trainer = pl.Trainer(max_epochs=1, callbacks=[monitor])
    trainer.fit(task, DataLoader(items, 2, **options), DataLoader(items, 2, **options))
    return trainer
