"""Explanation metrics: pure functions with one score per image, and the torchmetrics that average them."""

from lightning_saliency.metrics._allegiance import Allegiance, allegiance
from lightning_saliency.metrics._average_drop import (
    AverageDrop,
    AverageGain,
    AverageIncrease,
    average_drop,
    average_gain,
    average_increase,
)
from lightning_saliency.metrics._class_sensitivity import ClassSensitivity, class_sensitivity
from lightning_saliency.metrics._completeness_gap import CompletenessGap, completeness_gap
from lightning_saliency.metrics._complexity import (
    Complexity,
    EffectiveComplexity,
    Sparseness,
    complexity,
    effective_complexity,
    sparseness,
)
from lightning_saliency.metrics._deletion import Deletion, deletion
from lightning_saliency.metrics._infidelity import Infidelity, infidelity
from lightning_saliency.metrics._insertion import Insertion, insertion
from lightning_saliency.metrics._masks import masks_from_boxes
from lightning_saliency.metrics._max_sensitivity import MaxSensitivity, max_sensitivity
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.metrics._parameter_randomization import ParameterRandomization, parameter_randomization
from lightning_saliency.metrics._rcap import RCAP, rcap
from lightning_saliency.metrics._relevance import (
    PointingGame,
    RelevanceMass,
    RelevanceRank,
    pointing_game,
    relevance_mass,
    relevance_rank,
)
from lightning_saliency.metrics._road import ROAD, road
from lightning_saliency.metrics._segmentation import LogCoshDice, MapMAE, MaskIoU, log_cosh_dice, map_mae, mask_iou
from lightning_saliency.metrics._similarity import center_shift, spearman, ssim, top_k_iou

__all__ = [
    "RCAP",
    "ROAD",
    "Allegiance",
    "AverageDrop",
    "AverageGain",
    "AverageIncrease",
    "ClassSensitivity",
    "CompletenessGap",
    "Complexity",
    "Deletion",
    "EffectiveComplexity",
    "ExplanationMetric",
    "Infidelity",
    "Insertion",
    "LogCoshDice",
    "MapMAE",
    "MaskIoU",
    "MaxSensitivity",
    "ParameterRandomization",
    "PointingGame",
    "RelevanceMass",
    "RelevanceRank",
    "Sparseness",
    "allegiance",
    "average_drop",
    "average_gain",
    "average_increase",
    "center_shift",
    "class_sensitivity",
    "completeness_gap",
    "complexity",
    "deletion",
    "effective_complexity",
    "infidelity",
    "insertion",
    "log_cosh_dice",
    "map_mae",
    "mask_iou",
    "masks_from_boxes",
    "max_sensitivity",
    "parameter_randomization",
    "pointing_game",
    "rcap",
    "relevance_mass",
    "relevance_rank",
    "road",
    "sparseness",
    "spearman",
    "ssim",
    "top_k_iou",
]
