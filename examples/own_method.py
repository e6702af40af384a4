"""A user's saliency method: the gradient of the target's lead over the next best class.

Anything callable as `(model, images, targets) -> maps` is a method. It gets the model in evaluation mode
with gradients enabled, and at most `max_batch_size` images at a time. The model is restored afterwards.
"""

import torch
from torch import Tensor, nn

from lightning_saliency import explain, score
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP


def lead_gradient(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Explain the lead of the target's logit over the highest other one: maps (B, H, W)."""
    inputs = images.clone().requires_grad_()
    logits = model(inputs)
    target = logits.gather(1, targets[:, None])[:, 0]
    others = logits.scatter(1, targets[:, None], -torch.inf).amax(dim=1)
    (gradient,) = torch.autograd.grad((target - others).sum(), inputs)
    return gradient.abs().amax(dim=1)


def main() -> None:
    """Explain and score a few images; in training it is `SaliencyMonitor([lead_gradient, ...])`."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))
    images, targets = torch.rand(16, 3, 16, 16), torch.randint(5, (16,))
    maps = explain(network, images, targets, [lead_gradient, Gradient()])
    for name, scores in score(network, images, maps, targets, [RCAP()]).items():
        print(f"{name}: RCAP {scores['rcap'].mean():.3f}")


if __name__ == "__main__":
    main()
