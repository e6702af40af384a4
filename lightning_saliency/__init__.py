"""Watch, score and gate the explanations of a vision model while PyTorch Lightning trains it."""

from lightning_saliency import cues, methods, metrics
from lightning_saliency._version import __version__
from lightning_saliency.callbacks import CueSwap, GatedCheckpoint, SaliencyMonitor
from lightning_saliency.evaluation import explain, score
from lightning_saliency.following import alarm, follow
from lightning_saliency.monitor.results import Evaluation
from lightning_saliency.monitor.without_trainer import evaluate
from lightning_saliency.passes import normalize
from lightning_saliency.swapping import SwapCues

__all__ = [
    "CueSwap",
    "Evaluation",
    "GatedCheckpoint",
    "SaliencyMonitor",
    "SwapCues",
    "__version__",
    "alarm",
    "cues",
    "evaluate",
    "explain",
    "follow",
    "methods",
    "metrics",
    "normalize",
    "score",
]
