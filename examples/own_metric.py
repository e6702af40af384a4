"""A metric of the user's: a change of images with a parameter, and the score that their logits become."""

import torch
from torch import Tensor, nn

from lightning_saliency import explain, score
from lightning_saliency.extend import Change, ExplanationMetric, Intact, Measured, Trial
from lightning_saliency.methods import Gradient, RandomMap


class TenthShown(Change):
    """The most salient tenth of every image on a grey canvas."""

    grey: float

    def make(self, trial: Trial) -> Tensor:
        """Return the changed images."""
        shown = trial.most_salient(trial.num_positions // 10)
        return trial.covered(~shown, torch.full_like(trial.images, self.grey))


class Survival(ExplanationMetric):
    """Share of images whose prediction stays when the most salient tenth alone is shown; higher is better."""

    higher_is_better = True
    name = "survival"

    grey: float = 0.5

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        intact, shown = trial.logits([Intact(), TenthShown(self.grey)])
        return Measured((intact.argmax(dim=1) == shown.argmax(dim=1)).float())


def main() -> None:
    """Score a few images; in training it is `SaliencyMonitor(metrics=[Survival(), ...])`."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))
    images, targets = torch.rand(16, 3, 16, 16), torch.randint(5, (16,))
    maps = explain(network, images, targets, [Gradient(), RandomMap()])
    metrics = {"survival": Survival(), "survival_dark": Survival(grey=0.1)}
    for name, scores in score(network, images, maps, targets, metrics).items():
        print(f"{name}: survival {scores['survival'].mean():.3f}, on dark grey {scores['survival_dark'].mean():.3f}")


if __name__ == "__main__":
    main()
