"""The papers' procedures, one after another and without shared passes.

Definitions, noise and squares are those of the package, so the results must be equal.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from workloads import Workload

from lightning_saliency.metrics import Allegiance
from lightning_saliency.passes.blur import gaussian_blur
from lightning_saliency.passes.perturbations import draw_squares
from lightning_saliency.passes.points import Noise
from lightning_saliency.passes.ranking import descending_order, ranks_of

FRACTIONS = Allegiance().points

Explainer = Callable[[Workload], Tensor]
Scorer = Callable[[Workload, Tensor], Tensor]


def gradient_at(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Run forward and backward once, without the parameters' gradients, which are not needed."""
    inputs = images.clone().requires_grad_()
    logits = network(inputs)
    return torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), inputs)[0]


def gradient(work: Workload) -> Tensor:
    """Magnitude of the gradient."""
    return gradient_at(work.network, work.images, work.targets).abs().amax(dim=1)


def positive_gradient(work: Workload) -> Tensor:
    """Positive part of the gradient."""
    return gradient_at(work.network, work.images, work.targets).clamp(min=0).amax(dim=1)


def active_gradient(work: Workload) -> Tensor:
    """One forward and one backward for each class; all gradients stay in memory."""
    with torch.no_grad():
        num_classes = work.network(work.images).shape[1]
    every = torch.stack(
        [gradient_at(work.network, work.images, torch.full_like(work.targets, k)) for k in range(num_classes)]
    )
    rows = torch.arange(len(work.images), device=work.images.device)
    target = every[work.targets, rows]
    every[work.targets, rows] = -torch.inf
    return torch.where(target > every.amax(dim=0), target.abs(), 0.0).amax(dim=1)


def grad_cam(work: Workload) -> Tensor:
    """Record a layer's output and gradient by hooks."""
    record: dict[str, Tensor] = {}

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        record["output"] = output
        output.register_hook(lambda gradient: record.__setitem__("gradient", gradient))

    handle = work.network.get_submodule(work.layer).register_forward_hook(keep)
    gradient_at(work.network, work.images, work.targets)  # to the images, as `backward` does
    handle.remove()
    output, slopes = record["output"].detach(), record["gradient"]
    if output.ndim == 3:  # tokens: the class token is dropped, patches form a square
        side = int((output.shape[1] - 1) ** 0.5)
        output, slopes = (tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side)) for tokens in (output, slopes))
    cam = (slopes.mean(dim=(2, 3), keepdim=True) * output).sum(dim=1, keepdim=True).relu()
    return functional.interpolate(cam, size=work.size, mode="bilinear", align_corners=False)[:, 0]


def noisy_gradients(work: Workload, num_samples: int) -> Tensor:
    """One noisy copy after another; all gradients stay in memory."""
    noise = Noise(num_samples, 0.15, 0)
    copies = (noise.sample(work.images, step).inputs for step in range(num_samples))
    return torch.stack([gradient_at(work.network, copy, work.targets) for copy in copies])


def smooth_grad(work: Workload, num_samples: int = 20) -> Tensor:
    """Magnitude of the mean gradient."""
    return noisy_gradients(work, num_samples).mean(dim=0).abs().sum(dim=1)


def var_grad(work: Workload, num_samples: int = 20) -> Tensor:
    """Variance of the gradients."""
    return noisy_gradients(work, num_samples).var(dim=0).sum(dim=1)


def guided_absolute_grad(work: Workload, num_samples: int = 20) -> Tensor:
    """Sum of magnitudes, where gradients vary most."""
    gradients = noisy_gradients(work, num_samples)
    variance = gradients.var(dim=0)
    threshold = variance.flatten(2).quantile(0.85, dim=2)[..., None, None]
    guide = torch.where(variance > threshold, 1.0, variance)
    return (gradients.abs().sum(dim=0) * guide).sum(dim=1)


def normalized(maps: Tensor) -> Tensor:
    """Scale each map to [0, 1]."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1.0)


@torch.no_grad()
def probability(work: Workload, images: Tensor, together: int | None = None) -> Tensor:
    """Probability of the targets, with `together` images in a pass."""
    logits = torch.cat([work.network(part) for part in images.split(together or len(images))])
    return logits.softmax(dim=1).gather(1, work.targets[:, None])[:, 0]


def rcap(work: Workload, maps: Tensor) -> Tensor:
    """Recover the most salient tenths on black."""
    maps = normalized(maps)
    ascending = maps.flatten(1).sort(dim=1).values
    stages = []
    for quantile in (0.9, 0.8, 0.7, 0.6, 0.5):
        threshold = ascending[:, max(int(ascending.shape[1] * quantile) - 1, 0)]
        mask = maps > torch.where(threshold == 1, 0.0, threshold)[:, None, None]
        total = maps.sum(dim=(1, 2))
        share = (maps * mask).sum(dim=(1, 2)) / torch.where(total == 0, 1.0, total)
        stages.append(share * probability(work, work.images * mask[:, None]))
    return torch.stack(stages).mean(dim=0)


@torch.no_grad()
def allegiance(work: Workload, maps: Tensor) -> Tensor:
    """Delete ever more of the most salient pixels and compare the predictions with the first one."""
    maps = normalized(maps)
    descending = maps.flatten(1).sort(dim=1, descending=True).values
    first = work.network(work.images).argmax(dim=1)
    stands = []
    for fraction in FRACTIONS:
        rank = round(fraction * descending.shape[1])
        deleted = maps > descending[:, rank, None, None] if rank else torch.zeros_like(maps, dtype=torch.bool)
        stands.append((work.network(work.images * ~deleted[:, None]).argmax(dim=1) == first).float())
    return torch.trapezoid(torch.stack(stands), torch.tensor(FRACTIONS, device=maps.device), dim=0)


@torch.no_grad()
def infidelity(work: Workload, maps: Tensor, num_samples: int = 10) -> Tensor:
    """Cover squares and compare the changes of the logit with those predicted by the map."""
    squares = draw_squares(num_samples, work.size, 0).to(maps.device)
    rows = torch.arange(len(maps), device=maps.device)
    before = work.network(work.images)[rows, work.targets]
    measured = torch.stack([before - work.network(work.images * ~square)[rows, work.targets] for square in squares])
    predicted = torch.stack([(maps * square).sum(dim=(1, 2)) for square in squares])
    measured, predicted = measured.double(), predicted.double()
    power = predicted.square().sum(dim=0)
    factor = torch.where(power > 0, (predicted * measured).sum(dim=0) / power, 0.0)
    return (measured - factor * predicted).square().mean(dim=0) / measured.square().mean(dim=0)


def _walk(
    work: Workload, maps: Tensor, canvas: Tensor, together: int | None, *, inserts: bool, steps: int = 10
) -> Tensor:
    ranks = ranks_of(descending_order(maps), maps)[:, None]
    curve = []
    for step in range(steps + 1):
        salient = ranks < round(step / steps * maps[0].numel())
        changed = torch.where(salient, work.images, canvas) if inserts else torch.where(salient, canvas, work.images)
        curve.append(probability(work, changed, together))
    return torch.trapezoid(torch.stack(curve), dx=1 / steps, dim=0)


def insertion(work: Workload, maps: Tensor, together: int | None = None) -> Tensor:
    """Put the most salient pixels back into the blurred image."""
    return _walk(work, maps, gaussian_blur(work.images, 5.0, radius=5), together, inserts=True)


def deletion(work: Workload, maps: Tensor, together: int | None = None) -> Tensor:
    """Paint the most salient pixels black."""
    return _walk(work, maps, torch.zeros_like(work.images), together, inserts=False)


METHODS: dict[str, Explainer] = {
    "gradient": gradient,
    "positive_gradient": positive_gradient,
    "grad_cam": grad_cam,
    "smooth_grad": smooth_grad,
    "guided_absolute_grad": guided_absolute_grad,
}
METRICS: dict[str, Scorer] = {
    "rcap": rcap,
    "allegiance": allegiance,
    "infidelity": infidelity,
    "insertion": insertion,
    "deletion": deletion,
}
