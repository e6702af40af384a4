"""Two methods of the user's: one that shares its passes with others, and one that is a plain function.

`GradientRange` states where gradients are taken and what is made of them; `explain` runs these passes once for it and
for `SmoothGrad`. Anything callable as `(model, images, targets) -> maps` is a method too. It gets the model in
evaluation mode with gradients enabled, and at most `max_batch_size` images at a time. The model is restored afterwards.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_saliency import explain, score
from lightning_saliency.extend import Mean, Noise, Reading, StreamMethod, Variance
from lightning_saliency.methods import SmoothGrad
from lightning_saliency.metrics import RCAP


@dataclass(frozen=True)
class GradientRange(StreamMethod):
    """Mean gradient around the image in units of its spread: small where the gradient's sign changes with the noise."""

    num_samples: int = 20
    name: str = "gradient_range"

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Mean and variance of the gradients in the noise that `SmoothGrad` takes too."""
        points = Noise(self.num_samples, 0.15, 0)
        return Reading(points, Mean()), Reading(points, Variance())

    def formula(self, images: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Return maps (B, H, W)."""
        return (mean.abs() / (variance.sqrt() + 1e-6)).amax(dim=1)


def lead_gradient(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Explain the lead of the target's logit over the highest other one: maps (B, H, W)."""
    inputs = images.clone().requires_grad_()
    logits = model(inputs)
    target = logits.gather(1, targets[:, None])[:, 0]
    others = logits.scatter(1, targets[:, None], -torch.inf).amax(dim=1)
    (gradient,) = torch.autograd.grad((target - others).sum(), inputs)
    return gradient.abs().amax(dim=1)


def main() -> None:
    """Explain and score a few images; in training it is `SaliencyMonitor([GradientRange(), lead_gradient, ...])`."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))
    images, targets = torch.rand(16, 3, 16, 16), torch.randint(5, (16,))
    passes: list[int] = []
    network.register_forward_hook(lambda module, inputs, output: passes.append(len(output)))
    maps = explain(network, images, targets, [GradientRange(), SmoothGrad(), lead_gradient])
    print(f"{sum(passes)} images were passed forward: 16 x 20 for the first two methods together, 16 for the third")
    for name, scores in score(network, images, maps, targets, [RCAP()]).items():
        print(f"{name}: RCAP {scores['rcap'].mean():.3f}")


if __name__ == "__main__":
    main()
