"""Which metrics tell explanations of a trained network from random maps? Paired differences, written as a table.

On CIFAR-10 images that a trained ResNet-20 classifies with more than 90 % confidence. Each row compares the scores of
two kinds of maps on the same images: the mean difference, its standard error, and their ratio.
`LIGHTNING_SALIENCY_DATA` names the folder with images and weights. With `--quick` everything runs on a few random
images and an untrained network, which shows that the study runs and nothing else.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Studies import modules of the folder above.
sys.path.append(str(Path(__file__).parents[1]))

from cifar_resnet import MEAN, STD
from claims import Data, Row, compare, load, untrained, write

from lightning_saliency import explain, normalize, score
from lightning_saliency.methods import (
    ActiveGradient,
    GradCAM,
    Gradient,
    GuidedAbsoluteGrad,
    InactiveGradient,
    Method,
    NegativeGradient,
    PositiveGradient,
    RandomMap,
    SmoothGrad,
)
from lightning_saliency.metrics import (
    RCAP,
    ROAD,
    Allegiance,
    AverageDrop,
    AverageGain,
    AverageIncrease,
    Deletion,
    ExplanationMetric,
    Infidelity,
    Insertion,
)

RAW: dict[str, Any] = {"mean": MEAN, "std": STD}


def study(data: Data) -> Iterator[Row]:
    """Compare what should be told apart."""
    yield from against_random(data)
    yield from attitudes(data)
    yield from swapped(data)
    yield from noisy(data)


def against_random(data: Data) -> Iterator[Row]:
    """Explanations score better than random maps."""
    metrics: list[ExplanationMetric] = [
        *(RCAP(canvas=canvas, **RAW) for canvas in ("black", "white", "mean", "blur")),
        *(Allegiance(canvas, **RAW) for canvas in ("black", "white")),
        *(Insertion(10, **RAW), Deletion(10, **RAW), Deletion(10, canvas="black", **RAW)),
        *(Infidelity(**RAW), AverageDrop(**RAW), AverageIncrease(**RAW), AverageGain(**RAW), ROAD()),
    ]
    methods: list[Method] = [Gradient(), SmoothGrad(), GuidedAbsoluteGrad(), GradCAM()]
    yield from better(data, "explanations beat random maps", metrics, methods, "random_map")


def attitudes(data: Data) -> Iterator[Row]:
    """Gradients by their sign win allegiance over the plain gradient on the paper's canvases; random maps do, too."""
    positive: list[Method] = [PositiveGradient(), ActiveGradient()]
    negative: list[Method] = [NegativeGradient(), InactiveGradient()]
    black, white = (Allegiance(canvas, **RAW) for canvas in ("black", "white"))
    others = [Allegiance(canvas, **RAW) for canvas in ("mean", "blur")]
    claim = "signed gradients win allegiance over the gradient"
    yield from better(data, claim, [black], positive, "gradient")
    yield from better(data, claim, [white], negative, "gradient")
    yield from better(data, f"{claim} on other canvases", others, positive, "gradient")
    yield from better(data, "random maps win allegiance over the gradient", [black, white], [RandomMap()], "gradient")


def swapped(data: Data) -> Iterator[Row]:
    """Maps score better than their opposites."""
    maps = explain(*data[:3], [GuidedAbsoluteGrad(), GradCAM()])
    opposite = {
        f"opposite {name}": values.flatten(1).amax(dim=1)[:, None, None] - values for name, values in maps.items()
    }
    metrics = [RCAP(canvas=canvas, **RAW) for canvas in ("black", "mean")]
    scores = score(data.network, data.images, maps | opposite, data.targets, metrics)
    for name in maps:
        for metric in metrics:
            pair = [(kind, scores[kind][metric.name]) for kind in (name, f"opposite {name}")]
            yield compare("maps beat their opposites", metric.name, *_best_first(metric, pair))


def noisy(data: Data) -> Iterator[Row]:
    """Scores fall with noise in the map."""
    clean = normalize(explain(*data[:3], [GradCAM()])["grad_cam"])
    noise = explain(*data[:3], [RandomMap()])["random_map"]
    maps = {f"{share:.0%} noise": (1 - share) * clean + share * noise for share in (0.0, 0.25, 0.5, 0.75, 1.0)}
    metrics: list[ExplanationMetric] = [RCAP(**RAW), Insertion(10, **RAW), Deletion(10, canvas="black", **RAW)]
    scores = score(data.network, data.images, maps, data.targets, metrics)
    for less, more in itertools.pairwise(maps):
        for metric in metrics:
            pair = [(kind, scores[kind][metric.name]) for kind in (less, more)]
            yield compare("scores fall with noise in the map", metric.name, *_best_first(metric, pair))


def better(
    data: Data, claim: str, metrics: Sequence[ExplanationMetric], methods: list[Method], than: str
) -> Iterator[Row]:
    """Compare every method with one of them, so that a positive difference is in favour of the method."""
    maps = explain(*data[:3], [*methods, RandomMap() if than == "random_map" else Gradient()])
    scores = score(data.network, data.images, maps, data.targets, metrics)
    for name in (each for each in maps if each != than):
        for metric in metrics:
            pair = [(kind, scores[kind][metric.name]) for kind in (name, than)]
            yield compare(claim, metric.name, *_best_first(metric, pair))


def _best_first(metric: ExplanationMetric, pair: list[Any]) -> list[Any]:
    """Put first what has the higher score if the claim holds."""
    return pair if metric.higher_is_better else pair[::-1]


def main() -> None:
    """Read the options, compare, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    folder = os.environ.get("LIGHTNING_SALIENCY_DATA")
    parser.add_argument("--data-dir", type=Path, default=folder, help="images and weights")
    parser.add_argument("--num-images", type=int, default=64, help="images to explain")
    parser.add_argument("--quick", action="store_true", help="a few random images and an untrained network")
    parser.add_argument("--output", type=Path, default=Path("discrimination.csv"), help="where the table is written")
    options = parser.parse_args()
    if options.data_dir is None and not options.quick:
        parser.error("`--data-dir` must name the folder with images and weights, but got none. Or pass `--quick`.")

    data = untrained() if options.quick else load(options.data_dir, options.num_images)
    rows = list(study(data))
    write(options.output, rows)
    for row in rows:
        print(f"{row.claim}: {row.score} of {row.higher} - {row.lower} = {row.difference:.4f} ± {row.stderr:.4f}")


if __name__ == "__main__":
    main()
