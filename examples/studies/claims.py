"""Do the papers' claims hold? Paired differences between methods on a trained network, written as a table.

On CIFAR-10 images that a trained ResNet-20 classifies with more than 90 % confidence. Each row compares one score of
two methods on the same images: the mean difference, its standard error, and their ratio. `LIGHTNING_SALIENCY_DATA`
names the folder with images and weights. With `--quick` everything runs on a few random images and an untrained
network, which shows that the study runs and nothing else.
"""

import argparse
import csv
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

# Studies import modules of the folder above.
sys.path.append(str(Path(__file__).parents[1]))

from cifar_resnet import MEAN, STD, ResNet20, load_network, sure_images

from lightning_saliency import __version__, explain, score
from lightning_saliency.methods import (
    LRP,
    ActiveGradient,
    EigenCAM,
    ExpectedGradCAM,
    FullGrad,
    GradCAM,
    Gradient,
    GuidedAbsoluteGrad,
    GuidedBackprop,
    InputXGradient,
    Method,
    PositiveGradient,
    RandomMap,
    RectGrad,
    SmoothGrad,
    VarGrad,
)
from lightning_saliency.metrics import (
    RCAP,
    ClassSensitivity,
    Deletion,
    ExplanationMetric,
    Insertion,
    ParameterRandomization,
)

PERCENTILES: Final = (0, 0.15, 0.35, 0.5, 0.65, 0.75, 0.85, 0.95)


class Data(NamedTuple):
    """A network, images with their targets, and other images as references."""

    network: nn.Module
    images: Tensor
    targets: Tensor
    references: Tensor

    def first(self, count: int) -> "Data":
        """Return the first images only."""
        return self._replace(images=self.images[:count], targets=self.targets[:count])


class Row(NamedTuple):
    """One comparison; a claim holds where `difference` is well above zero."""

    claim: str
    score: str
    higher: str
    lower: str
    higher_mean: float
    lower_mean: float
    difference: float
    stderr: float
    images: int

    @property
    def ratio(self) -> float:
        """The difference in units of its standard error."""
        return self.difference / self.stderr if self.stderr else float("nan")


def compare(claim: str, score: str, higher: tuple[str, Tensor], lower: tuple[str, Tensor]) -> Row:
    """Compare the scores of two methods on the same images."""
    gaps = (higher[1] - lower[1]).double()
    stderr = gaps.std() / len(gaps) ** 0.5
    first, second = (values.double().mean().item() for _, values in (higher, lower))
    return Row(claim, score, higher[0], lower[0], first, second, gaps.mean().item(), stderr.item(), len(gaps))


def scores_of(data: Data, methods: Mapping[str, Method], metric: ExplanationMetric) -> dict[str, Tensor]:
    """Score several methods by one metric."""
    maps = explain(data.network, data.images, data.targets, methods)
    scores = score(data.network, data.images, maps, data.targets, {"score": metric}, methods=methods)
    return {name: row["score"] for name, row in scores.items()}


def class_sensitivity(data: Data) -> Iterator[Row]:
    """Compare maps of two classes: methods that keep only positive gradients draw nearly the same map for both."""
    methods = {
        "grad_cam": GradCAM("layer2"),
        "grad_cam, positive": GradCAM("layer2", "positive"),
        "grad_cam, absolute": GradCAM("layer2", "absolute"),
        "guided_backprop": GuidedBackprop(),
        "rect_grad": RectGrad(),
        "gradient": Gradient(),
        "full_grad, absolute": FullGrad(),
        "full_grad, signed": FullGrad("signed"),
        "lrp, z_plus": LRP("z_plus"),
        "input_x_gradient": InputXGradient(signed=True),
        "eigen_cam": EigenCAM("layer2"),
    }
    pairs = [
        ("grad_cam, positive", "grad_cam"),
        ("grad_cam, absolute", "grad_cam, positive"),
        ("guided_backprop", "gradient"),
        ("rect_grad", "gradient"),
        ("full_grad, absolute", "full_grad, signed"),
        ("lrp, z_plus", "input_x_gradient"),
        ("eigen_cam", "grad_cam"),
    ]
    scores = scores_of(data, methods, ClassSensitivity())
    for higher, lower in pairs:
        yield compare("positive maps ignore the class", "class_sensitivity", *_both(scores, higher, lower))


def randomization(data: Data) -> Iterator[Row]:
    """Compare maps of the trained and of a randomized network: methods that ignore parameters draw the same map."""
    methods = {
        "grad_cam": GradCAM("layer2"),
        "grad_cam, absolute": GradCAM("layer2", "absolute"),
        "guided_backprop": GuidedBackprop(),
        "gradient": Gradient(),
        "lrp, z_plus": LRP("z_plus"),
        "input_x_gradient": InputXGradient(signed=True),
    }
    pairs = [
        ("grad_cam, absolute", "grad_cam"),
        ("guided_backprop", "gradient"),
        ("lrp, z_plus", "input_x_gradient"),
    ]
    scores = scores_of(data, methods, ParameterRandomization(num_stages=3, num_images=len(data.images)))
    for higher, lower in pairs:
        both = _both(scores, higher, lower)
        yield compare("positive maps ignore the parameters", "parameter_randomization", *both)


def curved_head(data: Data) -> Iterator[Row]:
    """Compare Expected Grad-CAM with Grad-CAM at a layer after which the network is not linear."""
    methods = {
        "grad_cam": GradCAM("layer2"),
        "expected_grad_cam": ExpectedGradCAM("layer2", data.references),
        "random_map": RandomMap(),
    }
    claim = "references help where the head is curved"
    insertion = scores_of(data, methods, Insertion(mean=MEAN, std=STD))
    yield compare(claim, "insertion", *_both(insertion, "expected_grad_cam", "grad_cam"))
    yield compare(claim, "insertion", *_both(insertion, "expected_grad_cam", "random_map"))
    deletion = scores_of(data, methods, Deletion(mean=MEAN, std=STD))
    yield compare(claim, "deletion", *_both(deletion, "grad_cam", "expected_grad_cam"))


def rcap(data: Data) -> Iterator[Row]:
    """Repeat Guided AbsoluteGrad's comparison and ablation by RCAP."""
    guided = {f"guided, {value}": GuidedAbsoluteGrad(percentile=value) for value in PERCENTILES}
    methods = {
        **guided,
        "guided, signed sum": GuidedAbsoluteGrad(magnitude=False),
        "gradient": Gradient(),
        "smooth_grad": SmoothGrad(),
        "var_grad": VarGrad(),
        "random_map": RandomMap(),
    }
    scores = scores_of(data, methods, RCAP(mean=MEAN, std=STD))
    order = [
        ("guided, 0.85", "var_grad"),
        ("var_grad", "gradient"),
        ("var_grad", "smooth_grad"),
        ("gradient", "random_map"),
        ("smooth_grad", "random_map"),
    ]
    parts = [
        ("guided, 0", "smooth_grad"),
        ("guided, signed sum", "smooth_grad"),
        ("guided, 0.85", "guided, 0"),
    ]
    rises = [(f"guided, {high}", f"guided, {low}") for low, high in itertools.pairwise(PERCENTILES)]
    claims = {
        "the paper's order": order,
        "magnitude and guide each help": parts,
        "a higher percentile helps": [*rises, ("guided, 0.95", "guided, 0.5")],
    }
    for claim, pairs in claims.items():
        for higher, lower in pairs:
            yield compare(claim, "rcap", *_both(scores, higher, lower))


def support(data: Data) -> Iterator[Row]:
    """Count the pixels of positive and active maps."""
    maps = explain(data.network, data.images, data.targets, [PositiveGradient(), ActiveGradient()])
    shares = {name: (values > 0).flatten(1).double().mean(dim=1) for name, values in maps.items()}
    both = _both(shares, "positive_gradient", "active_gradient")
    yield compare("active pixels are fewer than positive ones", "share of pixels", *both)


def study(data: Data, few: int) -> Iterator[Row]:
    """Run all comparisons; those that explain again use the first `few` images."""
    yield from class_sensitivity(data.first(few))
    yield from randomization(data.first(few))
    yield from curved_head(data.first(few))
    yield from rcap(data)
    yield from support(data)


def load(folder: Path, num_images: int) -> Data:
    """Read the network and the images."""
    network = load_network(folder)
    images, labels = sure_images(network, folder)
    return Data(network, images[:num_images], labels[:num_images], images[-20:])


def untrained() -> Data:
    """Make a network and images without meaning."""
    torch.manual_seed(0)
    images = torch.randn(4, 3, 8, 8)
    return Data(ResNet20().eval(), images[:3], torch.tensor([0, 1, 2]), images[3:])


def write(path: Path, rows: list[Row]) -> None:
    """Write the table as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*Row._fields, "ratio", "torch", "lightning_saliency"])
        writer.writerows([*map(_rounded, row), _rounded(row.ratio), torch.__version__, __version__] for row in rows)


def _rounded(cell: object) -> object:
    return round(cell, 5) if isinstance(cell, float) else cell


def _both(scores: dict[str, Tensor], higher: str, lower: str) -> tuple[tuple[str, Tensor], tuple[str, Tensor]]:
    return (higher, scores[higher]), (lower, scores[lower])


def main() -> None:
    """Read the options, compare, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    folder = os.environ.get("LIGHTNING_SALIENCY_DATA")
    parser.add_argument("--data-dir", type=Path, default=folder, help="images and weights")
    parser.add_argument("--num-images", type=int, default=150, help="images to explain")
    parser.add_argument("--few", type=int, default=32, help="images for the scores that explain again")
    parser.add_argument("--quick", action="store_true", help="a few random images and an untrained network")
    parser.add_argument("--output", type=Path, default=Path("claims.csv"), help="where the table is written")
    options = parser.parse_args()
    if options.data_dir is None and not options.quick:
        parser.error("`--data-dir` must name the folder with images and weights, but got none. Or pass `--quick`.")

    data = untrained() if options.quick else load(options.data_dir, options.num_images)
    rows = list(study(data, options.few))
    write(options.output, rows)
    for row in rows:
        print(f"{row.claim}: {row.score} of {row.higher} - {row.lower} = {row.difference:.4f} ± {row.stderr:.4f}")


if __name__ == "__main__":
    main()
