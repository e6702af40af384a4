"""A rule of relevance of the user's: LRP-gamma, which favours positive contributions by a factor."""

import torch
from torch import nn

from lightning_saliency import explain
from lightning_saliency.extend import Portion, RelevanceRule
from lightning_saliency.methods import LRP


def gamma_rule(gamma: float) -> RelevanceRule:
    """Count positive contributions of convolutions 1 + gamma times; linear layers have the epsilon rule."""
    favoured = Portion(positive=1 + gamma, negative=1.0, biases=True, epsilon=1e-6)
    return RelevanceRule((favoured,), dense=(Portion(biases=True, epsilon=1e-6),))


def main() -> None:
    """Explain a few images; in training it is `SaliencyMonitor([LRP(gamma_rule(0.25), name="lrp_gamma")])`."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))
    images, targets = torch.rand(16, 3, 16, 16), torch.randint(5, (16,))
    rules = {f"gamma {gamma:g}": LRP(gamma_rule(gamma)) for gamma in (0.0, 0.25, 4.0)}
    zero, *_ = maps = explain(network, images, targets, {**rules, "epsilon": LRP("epsilon")}).values()
    print(f"gamma 0 and the epsilon rule differ by {(zero - list(maps)[-1]).abs().max():.0e}")
    for name, method in rules.items():
        relevance = method.attribute(network, images, targets)
        share = relevance.clamp(max=0).abs().sum() / relevance.abs().sum()
        print(f"{name}: {share:.0%} of the relevance is negative")


if __name__ == "__main__":
    main()
