"""Explanation metrics: averages of per-image scores that processes add up, and what is needed to write one."""

from lightning_saliency.metrics._allegiance import Allegiance
from lightning_saliency.metrics._average_drop import AverageDrop, AverageGain, AverageIncrease
from lightning_saliency.metrics._channel_share import ChannelShare
from lightning_saliency.metrics._class_sensitivity import ClassSensitivity
from lightning_saliency.metrics._completeness_gap import CompletenessGap
from lightning_saliency.metrics._complexity import Complexity, EffectiveComplexity, Sparseness
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.metrics._deletion import Deletion
from lightning_saliency.metrics._infidelity import Infidelity
from lightning_saliency.metrics._insertion import Insertion
from lightning_saliency.metrics._masks import masks_from_boxes
from lightning_saliency.metrics._max_sensitivity import MaxSensitivity
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.metrics._parameter_randomization import ParameterRandomization
from lightning_saliency.metrics._rcap import RCAP
from lightning_saliency.metrics._relevance import PointingGame, RelevanceMass, RelevanceRank
from lightning_saliency.metrics._road import ROAD
from lightning_saliency.metrics._segmentation import LogCoshDice, MapMAE, MaskIoU
from lightning_saliency.metrics._similarity import center_shift, spearman, ssim, top_k_iou
from lightning_saliency.metrics._srg import SRG
from lightning_saliency.passes.canvases import Paint
from lightning_saliency.passes.changes import (
    Covered,
    Imputed,
    Intact,
    Kept,
    LaidOver,
    Noised,
    Recovered,
    Removed,
    RemovedAbove,
)
from lightning_saliency.passes.normalization import Normalization
from lightning_saliency.passes.trials import Change, Measured, Shared, Trial

__all__ = [
    "RCAP",
    "ROAD",
    "SRG",
    "Allegiance",
    "AverageDrop",
    "AverageGain",
    "AverageIncrease",
    "Change",
    "ChannelShare",
    "ClassSensitivity",
    "CompletenessGap",
    "Complexity",
    "Covered",
    "CurveMetric",
    "Deletion",
    "EffectiveComplexity",
    "ExplanationMetric",
    "Imputed",
    "Infidelity",
    "Insertion",
    "Intact",
    "Kept",
    "LaidOver",
    "LogCoshDice",
    "MapMAE",
    "MaskIoU",
    "MaxSensitivity",
    "Measured",
    "Noised",
    "Normalization",
    "Paint",
    "ParameterRandomization",
    "PointingGame",
    "Recovered",
    "RelevanceMass",
    "RelevanceRank",
    "Removed",
    "RemovedAbove",
    "Shared",
    "Sparseness",
    "Trial",
    "center_shift",
    "masks_from_boxes",
    "spearman",
    "ssim",
    "top_k_iou",
]
