"""How a monitor finds the network, the parts of a batch, and the targets: methods that users override."""

from typing import Any

import lightning.pytorch as pl
from torch import Tensor, nn

from lightning_saliency.callbacks._evaluation_hooks import EvaluationHooks
from lightning_saliency.callbacks._lightning import network_in
from lightning_saliency.monitor.batches import BatchReader, read_batch
from lightning_saliency.monitor.discovery import TargetChoice, choose_targets
from lightning_saliency.targets import Target


class Finders(EvaluationHooks):
    """The part of a monitor that subclasses replace where arguments are not enough."""

    _reader: BatchReader
    _target: TargetChoice

    def find_network(self, pl_module: pl.LightningModule) -> nn.Module:
        """Return the module from images (B, C, *S) to logits (B, K); override it where `model` is not enough.

        Args:
            pl_module: The module that trains.
        """
        return network_in(pl_module, self.settings)

    def read_batch(self, batch: Any) -> tuple[Any, ...]:
        """Return images (B, C, *S), labels, masks and further arguments; override it where `batch` is not enough.

        Args:
            batch: A batch as it comes out of `on_after_batch_transfer`.
        """
        labelled = read_batch(batch, self._reader)
        return labelled.images, labelled.labels, labelled.masks, *labelled.extras

    def choose_targets(self, logits: Any, labels: Tensor | None) -> Tensor | Target:
        """Return the classes (B,) or the target to explain; override it where `target` is not enough.

        Args:
            logits: Logits (B, K), or what else the network returns.
            labels: The labels of the batch, if it has any.
        """
        return choose_targets(self._target, logits, labels)

    def _overrides(self) -> dict[str, Any]:
        """Let methods that a subclass has of its own take the place of arguments."""
        methods = {"batch": "read_batch", "target": "choose_targets"}
        return {
            argument: getattr(self, method)
            for argument, method in methods.items()
            if getattr(type(self), method) is not getattr(Finders, method)
        }
