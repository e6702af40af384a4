"""The papers' procedures with the additional passes of their authors' code.

Positive and active maps call `backward`, which computes the parameters' gradients too, and active maps predict three
more times. Recovery predicts the intact image as well. Insertion and deletion predict four images at a time. The
sources are github.com/youyinnn/Guided-AbsoluteGrad (`cv_exp/eval`) and the code of 2309.12913. Everything else is as
in `naive.py`, so the results are equal.
"""

import naive
import torch
from naive import Explainer, Scorer
from torch import Tensor, nn
from workloads import Workload

TOGETHER = 4


def gradient_at(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Run forward and backward once, to the images and the parameters."""
    inputs = images.clone().requires_grad_()
    network(inputs).gather(1, targets[:, None]).sum().backward()
    network.zero_grad()
    if inputs.grad is None:
        raise ValueError("The logits must depend on the images differentiably, but got no gradient.")
    return inputs.grad


def positive_gradient(work: Workload) -> Tensor:
    """Positive part of the gradient."""
    return gradient_at(work.network, work.images, work.targets).clamp(min=0).amax(dim=1)


def active_gradient(work: Workload) -> Tensor:
    """Zero the target's gradient wherever that of another class is as large, one class after another."""
    target = gradient_at(work.network, work.images, work.targets)
    with torch.no_grad():
        num_classes = work.network(work.images).shape[1]
        work.network(work.images)  # the prediction once more
    for rival in range(num_classes):
        of_rival = gradient_at(work.network, work.images, torch.full_like(work.targets, rival))
        target[(work.targets != rival)[:, None, None, None] & (target <= of_rival)] = 0
    return target.abs().amax(dim=1)


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
LONGER_METRICS: dict[str, Scorer] = {"rcap": rcap, "insertion": insertion, "deletion": deletion}
METRICS: dict[str, Scorer] = {**naive.METRICS, **LONGER_METRICS}
