"""Public names are listed here, and each has an explanation."""

import importlib
import inspect
import pkgutil
from importlib import resources
from types import ModuleType

import pytest

import lightning_saliency

# Every public module with its `__all__`. A change of this table is a change for users.
PUBLIC = {
    "lightning_saliency": (
        "CueSwap Evaluation GatedCheckpoint SaliencyMonitor SwapCues __version__ alarm cues evaluate explain follow "
        "methods metrics normalize score"
    ),
    "lightning_saliency.callbacks": "CueSwap GatedCheckpoint SaliencyMonitor SwapCues",
    "lightning_saliency.cues": (
        "Band Cell CoarseShape Colour Contrast Cue DEFAULT FURTHER FineDetail Frame Layout Level Moved Rest Sharpness "
        "Shift Spectrum Surroundings Texture WideFrame Window Zoom names select"
    ),
    "lightning_saliency.drift": "DRIFT_MEASURES DriftMeasure",
    "lightning_saliency.checkpoints": "evaluate_checkpoints",
    "lightning_saliency.evaluation": "",
    "lightning_saliency.extend": (
        "Change ClassLogit Clean Cue DriftMeasure ExplanationMetric Intact Mean MeanSquare Measured Noise Portion "
        "Reading References RelevanceRule SaliencyMethod StreamMethod Target Trial Variance write_picture write_text"
    ),
    "lightning_saliency.loggers": (
        "Chart Folder shows_pictures write_hyperparameters write_layout write_picture write_pictures write_text"
    ),
    "lightning_saliency.following": (
        "Alarm Effect Estimate Following alarm explain_donors follow largest_excess place_map refine"
    ),
    "lightning_saliency.methods": (
        "AblationCAM ActiveGradient BlurIntegratedGradients Deconvolution EdgeMap EigenCAM ExpectedGradCAM "
        "ExpectedGradients FullGrad GradCAM GradCAMPlusPlus Gradient GuidedAbsoluteGrad GuidedBackprop "
        "GuidedIntegratedGradients HiResCAM IDGI InactiveGradient InputXGradient IntegratedGradCAM "
        "IntegratedGradients LRP LayerCAM Method NegativeGradient PositiveGradient RandomMap RectGrad "
        "SaliencyMethod ScoreCAM SmoothGrad SmoothGradCAMPlusPlus SquareGrad VarGrad XGradCAM"
    ),
    "lightning_saliency.metrics": (
        "Allegiance AverageDrop AverageGain AverageIncrease Change ChannelShare ClassSensitivity CompletenessGap "
        "Complexity Covered CurveMetric Deletion EffectiveComplexity ExplanationMetric Imputed Infidelity "
        "Insertion Intact Kept LaidOver LogCoshDice MapMAE MaskIoU MaxSensitivity Measured Noised "
        "Normalization Paint ParameterRandomization PointingGame RCAP ROAD Recovered RelevanceMass "
        "RelevanceRank Removed RemovedAbove SRG Shared Sparseness Trial center_shift masks_from_boxes spearman "
        "ssim top_k_iou"
    ),
    "lightning_saliency.monitor": "",
    "lightning_saliency.names": "",
    "lightning_saliency.passes": "LAST_SPATIAL normalize",
    "lightning_saliency.report": "LogFileError NoEventFilesError write_report",
    "lightning_saliency.swapping": "SwapCues",
    "lightning_saliency.targets": "ClassLogit Detection MultiLabel Region Regression Similarity Target Value",
    "lightning_saliency.visualization": (
        "Curve change_overlay displayable draw_curves draw_strip draw_transplant overlay"
    ),
}


def public() -> dict[str, object]:
    """List the objects that users can import, each once, without modules and constants."""
    members: dict[str, object] = {}
    for module in map(importlib.import_module, PUBLIC):
        for name in getattr(module, "__all__", ()):
            member = getattr(module, name)
            if not isinstance(member, ModuleType | tuple | str | dict) and member not in members.values():
                members[f"{module.__name__}.{name}"] = member
    return members


def is_error(member: object) -> bool:
    return inspect.isclass(member) and issubclass(member, Exception)


def arguments(member: object) -> list[str]:
    """List the arguments that differ between members."""
    if is_error(member):
        return []
    if inspect.isclass(member) and (inspect.isabstract(member) or getattr(member, "_is_protocol", False)):
        return []
    return [name for name in inspect.signature(member).parameters if name not in ("self", "args", "kwargs")]


def test_these_modules_are_public() -> None:
    modules = [module.name for module in pkgutil.iter_modules(lightning_saliency.__path__, "lightning_saliency.")]
    assert {"lightning_saliency", *(name for name in modules if "._" not in name)} == set(PUBLIC)


@pytest.mark.parametrize("module", PUBLIC)
def test_these_names_are_public_and_can_be_imported(module: str) -> None:
    imported = importlib.import_module(module)
    names = getattr(imported, "__all__", [])
    assert sorted(names) == PUBLIC[module].split()
    assert [name for name in names if not hasattr(imported, name)] == []


@pytest.mark.parametrize("name", public())
def test_every_public_object_is_explained_with_an_example(name: str) -> None:
    member = public()[name]
    text = inspect.getdoc(member) or ""
    first = text.splitlines()[0]
    assert first.endswith((".", "?"))
    assert len(first) < 120
    if inspect.isabstract(member) or is_error(member):
        return
    assert "Example:" in text
    assert ">>>" in text
    if arguments(member):
        # Descriptions, whose fields are their arguments, explain them as attributes.
        assert "Args:" in text or "Attributes:" in text


@pytest.mark.parametrize("name", public())
def test_every_argument_is_explained(name: str) -> None:
    member = public()[name]
    text = inspect.getdoc(member) or ""
    missing = [argument for argument in arguments(member) if f" {argument}: " not in text]
    assert not missing


@pytest.mark.parametrize("name", public())
def test_refusals_are_documented(name: str) -> None:
    member = public()[name]
    checks = getattr(member, "__post_init__", None) or (None if inspect.isclass(member) else member)
    if checks is not None and "check_" in inspect.getsource(checks):
        assert "Raises:" in (inspect.getdoc(member) or "")


def test_types_are_for_users_too() -> None:
    assert resources.files("lightning_saliency").joinpath("py.typed").is_file()
