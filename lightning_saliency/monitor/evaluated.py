"""The results of one process, with the images that may be drawn."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from lightning_saliency.following import Alarm
from lightning_saliency.monitor.evaluation import Evaluation
from lightning_saliency.monitor.preflight import Preflight
from lightning_saliency.monitor.transplants import Example


class Thumbnail(NamedTuple):
    """An image as it is shown, (3, H, W) uint8, or a volume (3, D, H, W), with lines of text."""

    image: Tensor
    caption: list[str]


class Shown(NamedTuple):
    """The images that are drawn.

    Attributes:
        thumbnails: Watched images by index.
        examples: Transplants by name of the cue.
    """

    thumbnails: dict[int, Thumbnail]
    examples: dict[str, Example]


@dataclass(frozen=True)
class Evaluated:
    """The results of one process.

    Attributes:
        evaluation: Results, to be merged with those of other processes.
        thumbnails: The images as they can be drawn, by index; only those that are drawn are sent anywhere.
        panels: Indices of the images that are always drawn.
        examples: An image of each cue, by name of the cue; only what is drawn is sent anywhere.
        preflight: The subject and the cost, if they were asked for.
        notes: Messages for the user, by a key that lets each be said once.
    """

    evaluation: Evaluation = field(default_factory=Evaluation)
    thumbnails: dict[int, Thumbnail] = field(default_factory=dict)
    panels: list[int] = field(default_factory=list)
    examples: dict[str, Example] = field(default_factory=dict)
    preflight: Preflight | None = None
    notes: dict[str, str] = field(default_factory=dict)

    def shown(self, indices: Collection[int], decision: Alarm | None) -> Shown:
        """Pick what is drawn: some images, and the cue of an alarm, where the donor is that hosts follow most."""
        cue, strongest_donors = ("", ()) if decision is None else (decision.cue, decision.donors[:1])
        following = self.evaluation.followings.get(cue)
        has_donor = following is not None and any(index in following.indices for index in strongest_donors)
        return Shown(
            {index: thumbnail for index, thumbnail in self.thumbnails.items() if index in indices},
            {name: example for name, example in self.examples.items() if has_donor and name == cue},
        )
