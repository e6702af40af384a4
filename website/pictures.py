"""Pictures of the members' pages: maps and scores of a small network that is trained on handwritten digits."""

from functools import cache
from io import BytesIO
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency import explain, methods, metrics, score
from lightning_saliency.visualization import displayable, overlay
from website.members import Member, members

NUM_SHOWN, NUM_SCORED = 4, 12
PIXEL, GAP = 5, 4
SCORED = ("GuidedAbsoluteGrad", "IntegratedGradients", "GradCAM", "EdgeMap", "RandomMap")


class Digits(NamedTuple):
    """A trained network, and digits that it has not seen in training."""

    network: nn.Module
    images: Tensor
    labels: Tensor


@cache
def digits() -> Digits:
    """Train a small network for a few seconds."""
    scans, labels = load_digits(return_X_y=True)
    images = torch.tensor(scans, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    images = functional.interpolate(images, size=(32, 32), mode="bilinear", align_corners=False)
    labels = torch.tensor(labels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            *_block(1, 16), nn.MaxPool2d(2), *_block(16, 32), nn.MaxPool2d(2), *_block(32, 32), *_head(32)
        )
        optimizer = torch.optim.Adam(network.parameters(), 3e-3)
        for rows in torch.randperm(1500).repeat(4).split(50):
            optimizer.zero_grad()
            functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()
    return Digits(network.eval(), images[1500:], labels[1500:])


def _block(channels: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()


def _head(channels: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 32), nn.ReLU(), nn.Linear(32, 10)


def picture_of(member: Member) -> bytes:
    """Return a PNG."""
    return _maps_of(member) if member.kind == "methods" else _scores_of(member)


def _method(title: str) -> Any:
    method = getattr(methods, title)()
    # References are drawn from the data by a monitor; here they are other digits.
    return method.with_references(references()) if method.missing_references else method


@cache
def references() -> Any:
    """Return digits other than those that are explained."""
    return methods.ExpectedGradients(digits().images[100:116]).references


@cache
def _maps() -> dict[str, Tensor]:
    """Explain with all methods at once, so that they share gradients."""
    network, images, labels = digits()
    explainers = {member.key: _method(member.title) for member in members("methods")}
    return explain(network, images[:NUM_SHOWN], labels[:NUM_SHOWN], explainers)


def _maps_of(member: Member) -> bytes:
    shown = [displayable(image) for image in digits().images[:NUM_SHOWN]]
    laid_over = [overlay(image, saliency) for image, saliency in zip(shown, _maps()[member.key], strict=True)]
    picture = torch.cat([torch.cat([_tile(image) for image in row], dim=2) for row in (shown, laid_over)], dim=1)
    buffer = BytesIO()
    Image.fromarray((255 * picture).round().byte().permute(1, 2, 0).numpy()).save(buffer, "png")
    return buffer.getvalue()


def _tile(image: Tensor) -> Tensor:
    """Enlarge an image, and surround it by a transparent gap, which suits light and dark pages."""
    large = image.expand(3, -1, -1).repeat_interleave(PIXEL, dim=1).repeat_interleave(PIXEL, dim=2)
    return functional.pad(torch.cat([large, torch.ones_like(large[:1])]), (GAP, GAP, GAP, GAP))


@cache
def _scored() -> dict[str, Any]:
    """Score five methods by all metrics at once, and keep their curves."""
    network, images, labels = digits()
    images, labels = images[:NUM_SCORED], labels[:NUM_SCORED]
    explainers = {title: _method(title) for title in SCORED}
    maps = explain(network, images, labels, explainers)
    judges = {each.key: getattr(metrics, each.title)() for each in members("metrics")}
    scores = score(network, images, maps, labels, judges, methods=explainers, masks=images[:, 0] > 0.5)
    return {name: {title: scores[title][name] for title in SCORED} for name in judges}


def _scores_of(member: Member) -> bytes:
    scores = {title: values[values.isfinite()] for title, values in _scored()[member.key].items()}
    means = [values.mean().item() if len(values) else 0.0 for values in scores.values()]
    errors = [values.std().item() / len(values) ** 0.5 if len(values) > 1 else 0.0 for values in scores.values()]
    figure = Figure(figsize=(6.4, 2.4))
    axes = figure.add_axes((0.25, 0.24, 0.72, 0.72))
    colours = ["tab:blue"] * 3 + ["tab:gray"] * 2
    axes.barh(list(scores), means, xerr=errors, color=colours, capsize=3)
    axes.invert_yaxis()
    better = "higher" if getattr(metrics, member.title).higher_is_better else "lower"
    axes.set_xlabel(f"{member.key}, {better} is better")
    buffer = BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    return buffer.getvalue()
