"""Put cues of donors into hosts and read where predictions go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_classes, check_images, check_integer, check_maps
from lightning_saliency._model import explaining
from lightning_saliency._random import keyed_generator
from lightning_saliency._saliency_method import differentiable
from lightning_saliency._types import Images, Maps, Model, Targets
from lightning_saliency.cues import DEFAULT, Cue, select
from lightning_saliency.following._following import ABSENT, Following
from lightning_saliency.methods import IntegratedGradients
from lightning_saliency.passes.chunks import chunk_size
from lightning_saliency.passes.comparisons import comparing
from lightning_saliency.passes.precision import PRECISIONS, ScoringPrecision, in_precision
from lightning_saliency.passes.predictions import Predictor, predicted_classes
from lightning_saliency.targets import ClassLogit

EXPLAINER: Final = IntegratedGradients(10, baseline="blur", aggregation="absolute")
"""Explains donors. A blurred image has its colours, so that what differs from it is local."""
HOST_LABELS: Final = "labels of `hosts`"


def follow(
    model: Model,
    images: Images,
    labels: Targets,
    cues: Sequence[str | Cue] = DEFAULT,
    *,
    hosts: tuple[Images, Targets] | None = None,
    indices: Tensor | None = None,
    maps: Maps | None = None,
    predictions: Tensor | None = None,
    num_hosts: int = 4,
    seed: int = 0,
    max_batch_size: int = 64,
    scoring_precision: ScoringPrecision = "exact",
) -> dict[str, Following]:
    """Find out which cues predictions follow: how often an image becomes another's class when it gets a cue of it.

    A network that reads objects does not follow a frame, a brightness or a corner. One that reads a shortcut does, and
    the cue names it. The hosts of a donor depend on `seed` and its index only, so that parts from several processes
    merge into what one process has, if all have the same pool of hosts.

    Args:
        model: Model with one row of logits per image.
        images: Donors (N, C, *S) in the model's input space.
        labels: Their labels (N,), whether the model is right or not.
        cues: Names and instances of cues.
        hosts: Images (P, C, *S) and labels (P,) of the pool of hosts; `None` for the donors.
        indices: A number for each donor (N,), by which it is recognised; `None` counts them.
        maps: Maps (N, *S) of the donors, for cues that need them; `None` computes integrated gradients of their
            labels, of 10 steps from the blurred image, with absolute values, if a cue needs them.
        predictions: Predicted classes (N,) of the donors, -1 where there is none; `None` predicts them.
        num_hosts: How many hosts each donor has; a pool of fewer gives fewer.
        seed: Seed of the hosts.
        max_batch_size: Most images in one pass.
        scoring_precision: `"exact"`, or `"bf16"` to predict within `torch.autocast` to bfloat16, as for `score`.

    Returns:
        A record by name of each cue. Where a cue does not apply to the images its record is empty and says why.

    Raises:
        TypeError: If an argument is not of the kind expected, such as labels that are no classes.
        ValueError: If shapes disagree, a name is unknown, or a label is no class of the model.

    Example:
        >>> import torch
        >>> images = torch.rand(12, 1, 8, 8)
        >>> labels = torch.arange(12) % 2
        >>> images += labels.reshape(-1, 1, 1, 1)
        >>> def reads_the_level(images):
        ...     brightness = images.mean(dim=(1, 2, 3)) - 1
        ...     return torch.stack([-brightness, brightness], dim=1)
        >>> followings = follow(reads_the_level, images, labels, ["level", "wide_frame"])
        >>> followings["level"].effect.mean.value
        1.0
    """
    check_choice("scoring_precision", scoring_precision, PRECISIONS)
    check_integer("max_batch_size", max_batch_size, minimum=1)
    check_integer("num_hosts", num_hosts, minimum=1)
    chosen = select(cues)
    images = differentiable(images)
    labels = _classes("labels", labels, len(images)).to(images.device)
    numbers = _numbers("indices", torch.arange(len(images)) if indices is None else indices, len(images))
    reasons = {cue: cue.misfit(tuple(images.shape[1:])) for cue in chosen}
    usable = [cue for cue in chosen if not reasons[cue]]
    size = chunk_size(images, max_batch_size)
    with explaining(model):
        runner = _Runner(model, in_precision(model, images, scoring_precision), size)
        if predictions is None:
            predictions = runner.predictions(images, labels)
        else:
            predictions = _numbers("predictions", predictions, len(images))
        if hosts is None:
            order = numbers.argsort()
            pool = _Pool(images[order], labels[order].cpu(), predictions[order], numbers[order])
        else:
            if not isinstance(hosts, tuple | list) or len(hosts) != 2:
                raise TypeError(
                    f"`hosts` must be images and their labels, but got {type(hosts).__name__}.  Pass a tuple of both."
                )
            pool = runner.pool(images, *hosts)
        rows = torch.stack([numbers, labels.cpu(), predictions], dim=1)
        draws = _draws(rows, pool, num_hosts, seed)
        donor_maps = _checked(images, maps, usable) if draws.numel() else None
        if donor_maps is None and draws.numel():
            donor_maps = explain_donors(model, images, labels, usable, size)
        results = runner.results(images, labels, donor_maps, pool, draws, usable)
    records = {cue.name: _record(cue, rows, pool, draws, results[cue]) for cue in usable}
    empty = {
        cue.name: Following.without_donors(cue, draws.shape[1], reason) for cue, reason in reasons.items() if reason
    }
    return {cue.name: (records | empty)[cue.name] for cue in chosen}


@dataclass(frozen=True, eq=False)
class _Pool:
    """Hosts with their labels, predictions and indices among the donors, which are on the CPU."""

    images: Images
    labels: Tensor
    predictions: Tensor
    indices: Tensor


@dataclass(frozen=True, eq=False)
class _Runner:
    """Predicts classes, in passes of at most `size` images."""

    model: Model
    forward: Model
    size: int

    def classes(self, images: Images, labels: Tensor, changes: Mapping[Any, Any], name: str = "labels") -> list[Tensor]:
        """Return the classes (B,) of each change of a batch, whose labels have this name in errors."""
        # Any model of classes has class 0, so that an error names the labels and not a target.
        target = ClassLogit(torch.zeros_like(labels))
        predictor = Predictor(self.model, images, target, self.size, self.forward, reads_probabilities=False)
        outputs = predictor(changes)
        check_classes(labels, outputs[0].shape[1], name)
        return [predicted_classes(output) for output in outputs]

    def predictions(self, images: Images, labels: Tensor, name: str = "labels") -> Tensor:
        """Return the predicted classes of images (N,)."""
        parts = zip(images.split(self.size), labels.split(self.size), strict=True)
        return torch.cat([self.classes(part, targets, {"intact": part.clone}, name)[0] for part, targets in parts])

    def pool(self, images: Images, hosts: Images, labels: Tensor) -> _Pool:
        """Predict a pool that was handed in."""
        if not isinstance(hosts, Tensor) or hosts.shape[1:] != images.shape[1:] or hosts.dtype != images.dtype:
            got = f"{tuple(hosts.shape)} {hosts.dtype}" if isinstance(hosts, Tensor) else type(hosts).__name__
            raise ValueError(
                f"`hosts` must be images of shape (P, {', '.join(map(str, images.shape[1:]))}) and {images.dtype} with "
                f"their labels, but got {got}.  Prepare them like `images`."
            )
        labels = _classes(HOST_LABELS, labels, len(hosts)).to(images.device)
        hosts = hosts.detach().to(images.device)
        predictions = self.predictions(hosts, labels, HOST_LABELS) if len(hosts) else labels.cpu()
        return _Pool(hosts, labels.cpu(), predictions, torch.full((len(hosts),), ABSENT))

    def results(
        self, images: Images, labels: Tensor, maps: Maps | None, pool: _Pool, draws: Tensor, cues: Sequence[Cue]
    ) -> dict[Cue, Tensor]:
        """Return the classes of the hosts with each cue, (N, H) with the number of hosts that the cue is put into."""
        results: dict[Cue, Tensor] = {}
        for count, group in _by_hosts(cues, draws.shape[1]).items():
            results |= {cue: torch.full((len(images), count), ABSENT) for cue in group}
            pairs = torch.cartesian_prod(torch.arange(len(images)), torch.arange(count)).reshape(-1, 2)
            chunks = pairs.split(self.size) if len(pairs) else ()
            for rows, columns in (chunk.unbind(dim=1) for chunk in chunks):
                donors, hosts = images[rows], pool.images[draws[rows, columns]]
                donor_maps = None if maps is None else maps[rows]
                changes = {cue: partial(cue, hosts, donors, donor_maps) for cue in group}
                for cue, classes in zip(group, self.classes(donors, labels[rows], changes), strict=True):
                    results[cue][rows, columns] = classes
        return results


def _by_hosts(cues: Sequence[Cue], num_hosts: int) -> dict[int, list[Cue]]:
    """Group cues by how many hosts they are put into."""
    groups: dict[int, list[Cue]] = {}
    for cue in cues:
        groups.setdefault(num_hosts if cue.max_hosts is None else min(num_hosts, cue.max_hosts), []).append(cue)
    return groups


def _draws(rows: Tensor, pool: _Pool, num_hosts: int, seed: int) -> Tensor:
    """Draw the hosts of each donor (N, H): places in the pool, those first that can go over to the donor's label.

    Of two classes every other host is of the donor's class, because nothing else shows how often it leaves for the
    other class by itself. Too few hosts are filled up with some that do not count, so that the number of passes does
    not depend on predictions.
    """
    is_pair = len(pool.labels.unique()) == 2
    return torch.stack([_draw(pool, index, label, is_pair, seed)[:num_hosts] for index, label, _ in rows.tolist()])


def _draw(pool: _Pool, index: int, label: int, is_pair: bool, seed: int) -> Tensor:
    """Order the pool for one donor."""
    order = torch.randperm(len(pool.labels), generator=keyed_generator("hosts", seed, index))
    labels, predictions = pool.labels[order], pool.predictions[order]
    counts = (labels != label) & (predictions != label) & (predictions != ABSENT)
    if not is_pair:
        return torch.cat([order[counts], order[~counts]])
    # The cue of an image does not change the image itself.
    controls = (labels == label) & (predictions == label) & (pool.indices[order] != index)
    pairs = list(zip(order[counts].tolist(), order[controls].tolist(), strict=False))
    first = [place for pair in pairs for place in pair]
    return torch.tensor([*first, *(place for place in order.tolist() if place not in first)], dtype=torch.int64)


def _record(cue: Cue, rows: Tensor, pool: _Pool, draws: Tensor, after: Tensor) -> Following:
    draws = draws[:, : after.shape[1]]
    packed = torch.cat([rows, draws, pool.labels[draws], pool.predictions[draws], after], dim=1)
    return Following.merge([Following.unpack(cue, packed)])


def explain_donors(
    model: Model, images: Images, labels: Targets, cues: Sequence[Cue], max_batch_size: int = 64
) -> Maps | None:
    """Return the maps (N, *S) of donors that `follow` computes by itself; `None` if no cue needs them.

    Args:
        model: Model with one row of logits per image.
        images: Donors (N, C, *S) in the model's input space.
        labels: Their labels (N,).
        cues: The cues.
        max_batch_size: Most images in one pass.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If images have no positions, or a name of a cue is unknown.

    Example:
        >>> import torch
        >>> from lightning_saliency import cues
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> explain_donors(network, torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 0]), cues.DEFAULT).shape
        torch.Size([3, 4, 4])
        >>> explain_donors(network, torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 0]), [cues.Level()])
    """
    check_images(images)
    needed = any(cue.needs_maps and not cue.misfit(tuple(images.shape[1:])) for cue in select(cues))
    if not needed:
        return None
    with comparing():  # only the place with the largest sum is read
        return EXPLAINER.maps(model, images, ClassLogit(labels), max_batch_size).nan_to_num()


def _checked(images: Images, maps: Maps | None, cues: Sequence[Cue]) -> Maps | None:
    """Check maps that were handed in, if a cue needs them."""
    if maps is None or not any(cue.needs_maps for cue in cues):
        return None
    check_maps("donors", maps, images)
    return maps.to(images.device).nan_to_num()


def _classes(name: str, labels: object, count: int) -> Tensor:
    """Check that there is one class an image."""
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        kind = f"{labels.dtype} of shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(
            f"`{name}` must be one class index for each image, but got {kind}.  "
            "Cues need classes: leave them out for other targets."
        )
    if labels.shape != (count,):
        raise ValueError(
            f"`{name}` must be one class index for each of {count} images, but got shape {tuple(labels.shape)}.  "
            "Cues need one class an image: leave them out for several labels an image."
        )
    return labels.detach().to(torch.int64)


def _numbers(name: str, values: object, count: int) -> Tensor:
    """Check that there is one whole number an image, and put them on the CPU."""
    if not isinstance(values, Tensor) or values.shape != (count,) or values.is_floating_point():
        got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"`{name}` must be a whole number for each of {count} images, but got {got}.")
    return values.detach().to("cpu", torch.int64)
