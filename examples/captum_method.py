"""Any captum attribution, watched as a method: here GradientShap, and LIME on a grid of patches."""

from collections.abc import Callable
from typing import Any

import torch
from captum.attr import GradientShap, Lime
from torch import Tensor, nn

from lightning_saliency import explain, score
from lightning_saliency.metrics import RCAP


def captum_method(attribution: Any, **options: Any) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """Wrap a captum class; attributions (B, C, H, W) become maps by their summed magnitudes."""

    def maps(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        attributions: Tensor = attribution(model).attribute(images, target=targets, **options)
        return attributions.detach().abs().sum(dim=1)

    return maps


def main() -> None:
    """Explain and score a few images; in training it is `SaliencyMonitor({"lime": ..., ...})`."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))
    images, targets = torch.rand(4, 3, 16, 16), torch.randint(5, (4,))
    patches = torch.arange(16).reshape(4, 4).repeat_interleave(4, 0).repeat_interleave(4, 1).expand(1, 3, 16, 16)
    shap = captum_method(GradientShap, baselines=torch.zeros(1, 3, 16, 16), n_samples=10)
    lime = captum_method(Lime, feature_mask=patches, n_samples=60)
    maps = explain(network, images, targets, {"gradient_shap": shap, "lime": lime}, max_batch_size=1)
    for name, scores in score(network, images, maps, targets, [RCAP()]).items():
        print(f"{name}: RCAP {scores['rcap'].mean():.3f}")


if __name__ == "__main__":
    main()
