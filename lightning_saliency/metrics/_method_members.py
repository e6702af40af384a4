"""Questions of a metric to the method: signed attributions, and the baselines that they are complete against."""

from typing import Any

import torch
from torch import Tensor

from lightning_saliency._saliency_method import SaliencyMethod
from lightning_saliency._types import Images
from lightning_saliency.passes.trials import Trial


def attribution_of(trial: Trial, **options: Any) -> Tensor | None:
    """Return the signed attributions of the trial's method, `None` if it has none."""
    method: SaliencyMethod = trial.method
    if not method.has_attribution:
        return None
    with torch.enable_grad():
        return method.attribute(trial.model, trial.images.clone(), trial.target, **options).detach()


def baselines_of(trial: Trial) -> tuple[Images, ...] | None:
    """Return the baselines of the trial's method, `None` if it promises no completeness."""
    method: SaliencyMethod = trial.method
    return method.baselines(trial.images)
