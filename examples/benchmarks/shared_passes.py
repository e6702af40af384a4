"""What explaining and scoring cost beside the passes that they cannot do without.

The floor is the number of images run forward times the time of a batched forward, plus the number of backwards
times the time of a batched input backward, all measured here and now; passes that methods or metrics share
count once. Rounds are interleaved, and medians are reported as ratios.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import timm
import torch
from torch import Tensor, nn

from lightning_saliency import explain, score
from lightning_saliency.methods import GradCAM, Gradient, GuidedAbsoluteGrad, PositiveGradient, SmoothGrad
from lightning_saliency.metrics import RCAP, Allegiance, Deletion, Infidelity, Insertion

METHODS = [Gradient(), PositiveGradient(), GradCAM(), SmoothGrad(), GuidedAbsoluteGrad()]
METRICS = [RCAP(), Allegiance(), Infidelity(), Insertion(), Deletion()]


@contextmanager
def counting(network: nn.Module) -> Iterator[dict[str, int]]:
    """Count the images that go forward, and those whose logits go backward."""
    counts = {"forward": 0, "backward": 0}

    def count(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts["forward"] += len(inputs[0])
        if output.requires_grad:
            output.register_hook(lambda gradient: counts.__setitem__("backward", counts["backward"] + len(gradient)))

    handle = network.register_forward_hook(count)
    try:
        yield counts
    finally:
        handle.remove()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time some work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def passes(network: nn.Module, images: Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return a batched forward, and a batched forward with its input backward."""

    def forward() -> None:
        with torch.no_grad():
            network(images)

    def both() -> None:
        inputs = images.clone().requires_grad_()
        torch.autograd.grad(network(inputs).amax(dim=1).sum(), inputs)

    return forward, both


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--network", default="resnet18", help="name of a timm network")
    parser.add_argument("--image-size", type=int, default=64, help="side of the images")
    parser.add_argument("--classes", type=int, default=10, help="number of classes")
    parser.add_argument("--num-images", type=int, default=32, help="images to explain, and images in one pass")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the median is taken")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()

    torch.manual_seed(0)
    device = torch.device(options.device)
    network = timm.create_model(options.network, num_classes=options.classes).to(device).eval().requires_grad_(False)
    images = torch.rand(options.num_images, 3, options.image_size, options.image_size, device=device)
    targets = torch.zeros(options.num_images, dtype=torch.int64, device=device)
    maps = explain(network, images, targets, METHODS)

    def explain_all() -> object:
        return explain(network, images, targets, METHODS)

    def score_all() -> object:
        return score(network, images, maps, targets, METRICS)

    counted = {}
    for name, work in (("explain", explain_all), ("score", score_all)):
        with counting(network) as counts:
            work()
        counted[name] = counts
    forward, both = passes(network, images)
    times: dict[str, list[float]] = {"forward": [], "both": [], "explain": [], "score": []}
    for _ in range(options.rounds):
        for name, work in (("forward", forward), ("both", both), ("explain", explain_all), ("score", score_all)):
            times[name].append(seconds(work, device))
    one = median(times["forward"]) / options.num_images
    back = median(times["both"]) / options.num_images - one
    print(f"{options.network}, {options.image_size} px, {options.num_images} images on {device}")
    print("| work | forwards per image | backwards per image | ms per image | floor | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, counts in counted.items():
        ahead, behind = counts["forward"] / options.num_images, counts["backward"] / options.num_images
        floor, took = ahead * one + behind * back, median(times[name]) / options.num_images
        print(f"| {name} | {ahead:.1f} | {behind:.1f} | {1000 * took:.1f} | {1000 * floor:.1f} | {took / floor:.2f} |")


if __name__ == "__main__":
    main()
