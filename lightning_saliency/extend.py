"""The public door for extensions: everything that is needed to write a member of any kind outside of this package.

* A **method** that shares passes is a frozen dataclass derived from `StreamMethod`: its `readings` name points and
  statistics, its `formula` makes maps of them. Any other callable `(model, images, targets) -> maps` is a method, too.
* A **metric** derives from `ExplanationMetric` and states its changes, each a `Change`; see `examples/own_metric.py`.
* A **cue** is a frozen dataclass derived from `Cue`, listed in `follow(..., cues=[...])`.
* A **drift measure** is a `DriftMeasure`, listed in `SaliencyMonitor(drift=...)`.
* A **rule of relevance** is a `RelevanceRule` made of `Portion`s, for `LRP(rule=...)`.
* A **target** derives from `Target`.
* A **logger** is a function registered by `write_picture.register(YourLogger, function)`, and likewise `write_text`.
"""

from lightning_saliency.cues import Cue
from lightning_saliency.drift import DriftMeasure
from lightning_saliency.loggers import write_picture, write_text
from lightning_saliency.methods import SaliencyMethod
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.metrics import Change, ExplanationMetric, Intact, Measured, Trial
from lightning_saliency.passes.points import Clean, Noise
from lightning_saliency.passes.references import References
from lightning_saliency.passes.relevance_rules import Portion, RelevanceRule
from lightning_saliency.passes.statistics import Mean, MeanSquare, Variance
from lightning_saliency.passes.stream import Reading
from lightning_saliency.targets import ClassLogit, Target

__all__ = [
    "Change",
    "ClassLogit",
    "Clean",
    "Cue",
    "DriftMeasure",
    "ExplanationMetric",
    "Intact",
    "Mean",
    "MeanSquare",
    "Measured",
    "Noise",
    "Portion",
    "Reading",
    "References",
    "RelevanceRule",
    "SaliencyMethod",
    "StreamMethod",
    "Target",
    "Trial",
    "Variance",
    "write_picture",
    "write_text",
]
