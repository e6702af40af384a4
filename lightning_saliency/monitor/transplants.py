"""Cues that are put from watched images into hosts, and one example of each to be shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_saliency._types import Images, Maps, Targets
from lightning_saliency.cues import Cell, Cue
from lightning_saliency.following import Following, explain_donors, follow
from lightning_saliency.monitor._compact import MapsByImage, compact
from lightning_saliency.passes.precision import ScoringPrecision
from lightning_saliency.passes.predictions import predicted_classes
from lightning_saliency.targets import Activation, ClassLogit, class_logits


@dataclass(frozen=True, eq=False)
class Hosts:
    """The pool of hosts, the same on every process.

    Attributes:
        images: Images (P, C, *S).
        labels: Their labels (P,).
    """

    images: Images
    labels: Targets

    def of_classes(self, num_classes: int) -> "Hosts":
        """Leave out hosts whose label is no class."""
        is_class = _are_classes(self.labels, num_classes)
        return Hosts(self.images[is_class], self.labels[is_class])


class Example(NamedTuple):
    """One transplant of a cue, as it is shown.

    Attributes:
        donor: Index of the donor.
        share: Share of its hosts that go over to its label.
        images: Donor, host, host with the cue and the mean of all hosts, (4, 3, H, W) uint8.
        captions: Their labels.
    """

    donor: int
    share: float
    images: Tensor
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Transplants:
    """Cues, and the hosts that they are put into.

    Attributes:
        cues: The cues.
        hosts: The pool of hosts.
        num_hosts: How many of them each donor has.
        seed: Seed of the hosts.
        activation: How logits become probabilities.
        max_batch_size: Most images in one pass.
        scoring_precision: How changed images are predicted.
        show: Makes pictures (B, 3, H, W) uint8 of images, or `None` where they are none.
        class_names: Names for captions.
        are_default: Whether cues that need maps are left out where there are none.
    """

    cues: tuple[Cue, ...]
    hosts: Hosts
    num_hosts: int
    seed: int
    activation: Activation
    max_batch_size: int
    scoring_precision: ScoringPrecision
    show: Callable[[Images], Tensor | None]
    class_names: Sequence[str] | None
    are_default: bool = False

    def without_maps(self) -> "Transplants":
        """Leave out cues that need maps of the donors."""
        return replace(self, cues=tuple(cue for cue in self.cues if not cue.needs_maps))

    def follow(
        self, network: nn.Module, indices: Sequence[int], images: Images, labels: Targets, logits: Tensor
    ) -> tuple[dict[str, Following], dict[str, Example], MapsByImage]:
        """Put the cues of some donors into hosts; returns records and examples by name of the cue, and small maps.

        Maps are returned where cells are followed, which is where places are looked for.

        Donors whose label is no class are followed all the same, since other processes may wait for the passes, and
        then left out. Their logits (B, K) say what the network predicts for them, unless changed images are predicted
        in another precision.
        """
        num_classes = logits.shape[1]
        if images.shape[1:] != self.hosts.images.shape[1:]:
            return {}, {}, {}
        usable = _are_classes(labels, num_classes).nonzero().flatten().cpu()
        hosts = self.hosts.of_classes(num_classes)
        labels = labels.clamp(0, num_classes - 1)
        maps = explain_donors(network, images, labels, self.cues, self.max_batch_size)
        followings = follow(
            network,
            images,
            labels,
            self.cues,
            hosts=(hosts.images, hosts.labels),
            indices=torch.tensor(indices),
            maps=maps,
            predictions=predicted_classes(logits) if self.scoring_precision == "exact" else None,
            num_hosts=self.num_hosts,
            seed=self.seed,
            max_batch_size=self.max_batch_size,
            scoring_precision=self.scoring_precision,
        )
        followings = {
            name: following.take(torch.isin(following.indices, torch.tensor(indices)[usable]).nonzero().flatten())
            for name, following in followings.items()
        }
        examples = self._examples(network, hosts, indices, images, labels, maps, followings)
        return followings, examples, self._small_maps(indices, maps, usable)

    def _small_maps(self, indices: Sequence[int], maps: Maps | None, usable: Tensor) -> MapsByImage:
        if maps is None or not len(usable) or not any(isinstance(cue, Cell) for cue in self.cues):
            return {}
        return dict(zip([indices[row] for row in usable.tolist()], compact(maps[usable]), strict=True))

    def _examples(
        self,
        network: nn.Module,
        pool: Hosts,
        indices: Sequence[int],
        images: Images,
        labels: Targets,
        maps: Maps | None,
        followings: Mapping[str, Following],
    ) -> dict[str, Example]:
        """Show for each cue the donor that most hosts follow, in a host that does.

        Cues without an example are predicted all the same, since other processes may wait for the passes.
        """
        cues = [cue for cue in self.cues if not followings[cue.name].misfit]
        if not (cues and len(pool.images)) or self.show(images[:1]) is None:
            return {}
        places = {cue.name: _place(followings[cue.name], indices) for cue in cues}
        rows, hosts = torch.tensor([places[cue.name] or (0, 0) for cue in cues]).unbind(dim=1)
        parts = _transplanted(cues, images[rows], pool.images[hosts], None if maps is None else maps[rows])
        texts = self._captions(network, torch.cat(parts))
        mean = pool.images.mean(dim=0)
        examples = {}
        for number, cue in enumerate(cues):
            pictures = self.show(torch.stack([*(part[number] for part in parts), mean]))
            if places[cue.name] is None or pictures is None:
                continue
            row, following = int(rows[number]), followings[cue.name]
            true = [self._name(int(labels[row])), self._name(int(pool.labels[hosts[number]]))]
            donor, host, changed = texts[number :: len(cues)]
            captions = (
                f"donor, true {true[0]}, {donor}",
                f"host, true {true[1]}, {host}",
                f"host with the donor's {cue.name}, {changed}",
            )
            share = float(following.shares[following.indices == indices[row]].nan_to_num().max())
            examples[cue.name] = Example(indices[row], share, pictures, captions)
        return examples

    @torch.no_grad()
    def _captions(self, network: nn.Module, images: Images) -> list[str]:
        parts = [class_logits(network(part.clone()), len(part)) for part in images.split(self.max_batch_size)]
        logits = torch.cat(parts)
        classes = logits.argmax(dim=1)
        probabilities = ClassLogit(classes).probability(logits, self.activation)
        return [
            f"predicted {self._name(label)} ({probability:.2f})"
            for label, probability in zip(classes.tolist(), probabilities.tolist(), strict=True)
        ]

    def _name(self, label: int) -> str:
        return self.class_names[label] if self.class_names and label < len(self.class_names) else str(label)


def _transplanted(
    cues: Sequence[Cue], donors: Images, hosts: Images, maps: Maps | None
) -> tuple[Images, Images, Images]:
    """Return donors, hosts, and hosts with one cue each."""
    changed = [
        cue(hosts[row : row + 1], donors[row : row + 1], None if maps is None else maps[row : row + 1])
        for row, cue in enumerate(cues)
    ]
    return donors, hosts, torch.cat(changed)


def _are_classes(labels: Targets, num_classes: int) -> Tensor:
    return (labels >= 0) & (labels < num_classes)


def strongest(parts: Sequence[Mapping[str, Example]]) -> dict[str, Example]:
    """Pick for each cue the example of the donor that most hosts follow, of equal ones the first by index."""
    examples: dict[str, Example] = {}
    for part in parts:
        for name, example in part.items():
            other = examples.get(name)
            if other is None or (-example.share, example.donor) < (-other.share, other.donor):
                examples[name] = example
    return examples


def _place(following: Following, indices: Sequence[int]) -> tuple[int, int] | None:
    """Return the row of the donor that most hosts follow, and the place of one of these hosts in the pool."""
    if not following.hosts.numel():
        return None
    row = int(following.shares.nan_to_num().argmax())
    goes_over = (following.after[row] == following.labels[row]) & (following.before[row] != following.labels[row])
    hosts = following.hosts[row]
    candidates = torch.cat([hosts[goes_over & (hosts >= 0)], hosts[hosts >= 0]])
    return (list(indices).index(int(following.indices[row])), int(candidates[0])) if len(candidates) else None
