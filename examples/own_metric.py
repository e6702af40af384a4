"""A metric of one's own, which says what changed images it wants and what score becomes of their logits."""

import torch
from torch import nn

from lightning_saliency import explain, score
from lightning_saliency.methods import Gradient, RandomMap
from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.passes.trials import Measured, Trial


class Survival(ExplanationMetric):
    """Share of images whose prediction stands on the most salient tenth alone, on grey; higher is better."""

    higher_is_better = True
    name = "survival"

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        shown = trial.most_salient(trial.num_positions // 10)
        change = trial.change("tenth on grey", make=lambda: trial.covered(~shown, 0.5 * torch.ones_like(trial.images)))
        intact, tenth = trial.predict([trial.predict.intact, change])
        return Measured((intact.argmax(dim=1) == tenth.argmax(dim=1)).float())


def main() -> None:
    """Score a few images; in training it is `SaliencyMonitor(metrics=[Survival(), ...])`."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))
    images, targets = torch.rand(16, 3, 16, 16), torch.randint(5, (16,))
    maps = explain(network, images, targets, [Gradient(), RandomMap()])
    for name, scores in score(network, images, maps, targets, [Survival()]).items():
        print(f"{name}: survival {scores['survival'].mean():.3f}")


if __name__ == "__main__":
    main()
