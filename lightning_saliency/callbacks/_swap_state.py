"""The lessons of a training with swaps: what `CueSwap` keeps in checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lightning_saliency.monitor.cure import Cure
from lightning_saliency.swapping.swapped import Swapped


@dataclass
class Tally:
    """The batches of one epoch since the first that was changed.

    Attributes:
        epoch: The epoch.
        num_batches: Number of batches.
        num_images: Number of their images.
        num_left: Number of batches without a donor for any image.
        counts: Number of images that got a cue of each name.
    """

    epoch: int = 0
    num_batches: int = 0
    num_images: int = 0
    num_left: int | Tensor = 0
    counts: dict[str, int | Tensor] = field(default_factory=dict)

    def add(self, swapped: Swapped) -> None:
        """Add a batch. Tensors stay on their device, so that nothing waits for it."""
        self.num_batches += 1
        self.num_images += len(swapped.images)
        self.num_left = self.num_left + ~swapped.is_mixed
        for name, count in swapped.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def shares(self) -> dict[str, float]:
        """Return the share of the images that got a cue of each name."""
        return {name: int(count) / self.num_images for name, count in self.counts.items()}

    def contents(self) -> dict[str, Any]:
        """Return numbers and texts only."""
        counts = {name: int(count) for name, count in self.counts.items()}
        return {**vars(self), "num_left": int(self.num_left), "counts": counts}


@dataclass
class SwapState:
    """The cues that are swapped, and the batches so far.

    Attributes:
        cure: The cues that alarms have named.
        num_batches: Number of batches trained on, on which draws depend.
        num_left: Number of batches that were left as they are.
        tally: The batches of this epoch.
        pending: The batch that is being trained on, if it was changed.
    """

    cure: Cure = field(default_factory=Cure)
    num_batches: int = 0
    num_left: int | Tensor = 0
    tally: Tally = field(default_factory=Tally)
    pending: Swapped | None = None

    def complete_batch(self, epoch: int) -> None:
        """Count the batch that was trained on."""
        self.num_batches += 1
        swapped, self.pending = self.pending, None
        if self.tally.epoch != epoch:
            self.tally = Tally(epoch)
        if swapped is not None:
            self.tally.add(swapped)
            self.num_left = self.num_left + ~swapped.is_mixed

    def contents(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {
            "cure": self.cure.state(),
            "num_batches": self.num_batches,
            "num_left": int(self.num_left),
            "tally": self.tally.contents(),
        }

    @classmethod
    def of_contents(cls, contents: Mapping[str, Any]) -> "SwapState":
        """Do the reverse of `contents`."""
        cure, tally = Cure.of_state(contents["cure"]), Tally(**contents["tally"])
        return cls(cure, int(contents["num_batches"]), int(contents["num_left"]), tally)
