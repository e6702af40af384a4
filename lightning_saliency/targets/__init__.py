"""Targets: the only place that picks the value of a network's output that is explained."""

from lightning_saliency.targets._choice import TargetLike as TargetLike
from lightning_saliency.targets._choice import as_target as as_target
from lightning_saliency.targets._class_logit import ClassLogit
from lightning_saliency.targets._class_logit import predicted_class as predicted_class
from lightning_saliency.targets._detection import Detection
from lightning_saliency.targets._multi_label import MultiLabel
from lightning_saliency.targets._outputs import WAY_OUT as WAY_OUT
from lightning_saliency.targets._outputs import class_logits as class_logits
from lightning_saliency.targets._region import Region
from lightning_saliency.targets._regression import Regression
from lightning_saliency.targets._similarity import Similarity
from lightning_saliency.targets._target import ACTIVATIONS as ACTIVATIONS
from lightning_saliency.targets._target import Activation as Activation
from lightning_saliency.targets._target import Offer as Offer
from lightning_saliency.targets._target import Target
from lightning_saliency.targets._value import Value

__all__ = ["ClassLogit", "Detection", "MultiLabel", "Region", "Regression", "Similarity", "Target", "Value"]
