"""Which comparisons `papers.py` makes, in which direction, and on which images: written before any result.

Images are those of the class's probability above 0.9, in two halves by name. Where a paper states a direction, it is
the claim. Where none does, the first half gives the direction, by a rule that leaves no choice, and the second half
tests it. Nothing else is tested: a direction that somebody chooses later is called exploratory.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Literal, NamedTuple

LITE0: Final = "EfficientNet-Lite0"
RESNET: Final = "ResNet-20"
FIRST: Final = "first"
SECOND: Final = "second"
Source = Literal["paper", "control", "first half"]

CONFIDENCE: Final = 0.9
"""Least probability of an image's class, as in 2404.15564."""
ENOUGH: Final = 3.0
"""A claim holds if its difference exceeds this many standard errors, and is refuted if it is as far below zero."""
BLOCK: Final = 10
"""Images that are explained together. Their classes differ on ImageNet."""
REFERENCES: Final = 20
"""Images of the first half that serve as references only."""
EARLIER: Final = {LITE0: "blocks.4", RESNET: "layer2"}
"""The last layer with twice as many positions a side as the default layer: the network after it is not linear."""
COUNTS: Final[dict[tuple[str, str], dict[str, int]]] = {
    (LITE0, SECOND): {"order": 50, "watermark": 50, "layers": 50, "allegiance": 50, "allegiance, 1,000 classes": 20},
    (LITE0, FIRST): {"order": 20, "watermark": 20, "layers": 20, "allegiance": 20},
    (RESNET, SECOND): {"order": 60, "layers": 60, "allegiance": 60},
}
"""Most images by network, half and question; taken from the beginning, ten for every question in turn, until the time
is over. No image of ResNet-20 is among the 500 of `cam_study.py` and `claims.py`."""
ALREADY_STUDIED: Final = 500
PERCENTILES: Final = (0.0, 0.15, 0.35, 0.55, 0.75, 0.85, 0.95)
PUBLISHED_PERCENTILES: Final = {0.0: 0.309, 0.15: 0.309, 0.35: 0.338, 0.55: 0.381, 0.75: 0.423, 0.85: 0.438}
"""RCAP of Guided AbsoluteGrad by percentile, on ImageNet-S with ResNet-50."""
PUBLISHED_RCAP: Final = {
    "guided 0.85": 0.438,
    "var_grad": 0.381,
    "guided_backprop": 0.172,
    "smooth_grad": 0.107,
    "integrated_gradients": 0.045,
    "gradient": 0.034,
}
"""RCAP by method on ImageNet-S with ResNet-50, from the best to the worst."""


class Claim(NamedTuple):
    """The first map has the better score than the second one. `published` has the paper's scores of both."""

    question: str
    score: str
    better: str
    worse: str
    source: Source
    published: tuple[float, float] | None = None


def claims() -> list[Claim]:
    """List all comparisons."""
    return [*_order(), *_percentiles(), *_allegiance(), *_layers(), *_watermark()]


def _order() -> Iterator[Claim]:
    for better, worse in pairwise(PUBLISHED_RCAP):
        yield Claim("order", "rcap", better, worse, "paper", (PUBLISHED_RCAP[better], PUBLISHED_RCAP[worse]))
    yield Claim("order", "rcap", "guided 0.85", "grad_cam", "paper", (0.438, 0.406))
    for name in (*PUBLISHED_RCAP, "grad_cam", "grad_cam_plus_plus"):
        yield Claim("order", "rcap", name, "random", "control")
    for name in ("guided 0.85", "var_grad", "guided_backprop", "grad_cam", "grad_cam_plus_plus"):
        yield Claim("order", "rcap", name, "edges", "first half")
    yield Claim("order", "rcap", "guided 0.85", "grad_cam_plus_plus", "first half")


def _percentiles() -> Iterator[Claim]:
    published = PUBLISHED_PERCENTILES
    for low, high in ((0.15, 0.35), (0.35, 0.55), (0.55, 0.75), (0.75, 0.85), (0.0, 0.85)):
        both = (published[high], published[low])
        yield Claim("percentiles", "rcap", f"guided {high}", f"guided {low}", "paper", both)
    for low, high in ((0.0, 0.15), (0.85, 0.95)):
        yield Claim("percentiles", "rcap", f"guided {high}", f"guided {low}", "first half")


def _allegiance() -> Iterator[Claim]:
    """Compare as 2309.12913 does; its scores are those of Imagenette with a pretrained ResNet-18."""
    published = {"positive": (0.21, 0.28), "active": (0.24, 0.28), "negative": (0.20, 0.26), "inactive": (0.23, 0.26)}
    for score, names in (("allegiance", ("positive", "active")), ("allegiance_white", ("negative", "inactive"))):
        for name in names:
            yield Claim("allegiance", score, name, "original", "paper", published[name])
        for name in ("original", *names):
            yield Claim("allegiance", score, name, "random", "first half")
            yield Claim("allegiance", score, name, "edges", "first half")
        yield Claim("allegiance, 1,000 classes", score, names[0], "original", "paper", published[names[0]])


def _layers() -> Iterator[Claim]:
    """Compare as 2406.01274 does; its protocol is not known to us, so that its scores cannot be compared."""
    for score in ("insertion", "deletion"):
        for rival in ("grad_cam", "grad_cam_plus_plus", "integrated_grad_cam"):
            yield Claim("layers", score, "expected_grad_cam, earlier", f"{rival}, earlier", "paper")
        yield Claim("layers", score, "expected_grad_cam, earlier", "random", "control")
        yield Claim("layers", score, "expected_grad_cam, earlier", "edges", "first half")
        yield Claim("layers", score, "expected_grad_cam, earlier", "expected_grad_cam", "first half")
        yield Claim("layers", score, "expected_grad_cam", "grad_cam", "first half")


def _watermark() -> Iterator[Claim]:
    """Expect relevance for class 478 on the mark, more than on edges, for the label, or at the place without it."""
    yield Claim("watermark", "logit of 478", "marked", "unmarked", "paper")
    mass, rise = "relevance in the box", "rise by the mark"
    for name in ("gradient", "integrated_gradients"):
        yield Claim("watermark", mass, name, f"{name}, unmarked", "control")
        yield Claim("watermark", mass, name, f"{name}, label", "control")
    for name in ("gradient", "integrated_gradients", "guided 0.85", "expected_gradients"):
        yield Claim("watermark", mass, name, "edges", "control")
    for name in ("gradient", "integrated_gradients"):
        yield Claim("watermark", rise, name, "edges", "control")
    yield Claim("watermark", mass, "expected_gradients", "expected_gradients, marked references", "control")
