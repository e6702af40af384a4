"""The papers' procedures with the passes that their authors' code makes, where these are more than need be.

Positive and active maps call `backward`, which finds the parameters' gradients too, and active maps ask three times
more for the prediction; recovery predicts the intact image as well; insertion and deletion predict four images at a
time. So read in github.com/youyinnn/Guided-AbsoluteGrad (`cv_exp/eval`) and in the code of 2309.12913. Everything
else is as in `naive.py`, so that results are equal.
"""

import naive
import torch
from naive import Explainer, Scorer
from torch import Tensor, nn
from workloads import Workload

TOGETHER = 4


def gradient_at(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Run forward and backward once, all the way to the parameters."""
    inputs = images.clone().requires_grad_()
    network(inputs).gather(1, targets[:, None]).sum().backward()
    network.zero_grad()
    if inputs.grad is None:
        raise ValueError("Expected a differentiable path from the images to the logits, but there is none.")
    return inputs.grad


def positive_gradient(work: Workload) -> Tensor:
    """Positive part of the gradient."""
    return gradient_at(work.network, work.images, work.targets).clamp(min=0).amax(dim=1)


def active_gradient(work: Workload) -> Tensor:
    """Zero the target's gradient wherever another class's, looked at one after another, is as large."""
    kept = gradient_at(work.network, work.images, work.targets)
    with torch.no_grad():
        num_classes = work.network(work.images).shape[1]
        work.network(work.images)  # asked again for the prediction
    for rival in range(num_classes):
        of_rival = gradient_at(work.network, work.images, torch.full_like(work.targets, rival))
        kept[(work.targets != rival)[:, None, None, None] & (kept <= of_rival)] = 0
    return kept.abs().amax(dim=1)


def rcap(work: Workload, maps: Tensor) -> Tensor:
    """Recover, and predict the intact image too."""
    naive.probability(work, work.images)
    return naive.rcap(work, maps)


def insertion(work: Workload, maps: Tensor) -> Tensor:
    """Insert, four images at a time."""
    return naive.insertion(work, maps, TOGETHER)


def deletion(work: Workload, maps: Tensor) -> Tensor:
    """Delete, four images at a time."""
    return naive.deletion(work, maps, TOGETHER)


METHODS: dict[str, Explainer] = {"positive_gradient": positive_gradient}
OWN_METRICS: dict[str, Scorer] = {"rcap": rcap, "insertion": insertion, "deletion": deletion}
METRICS: dict[str, Scorer] = {**naive.METRICS, **OWN_METRICS}
