"""The pictures of an evaluation: strips of single images, and curves of all methods."""

from torch import Tensor

from lightning_saliency._statistics import Sums
from lightning_saliency.callbacks._compact import SmallMap
from lightning_saliency.callbacks._drift import Memory
from lightning_saliency.callbacks._evaluation import Evaluated
from lightning_saliency.callbacks._findings import Findings, in_order
from lightning_saliency.callbacks._scalars import ByImage
from lightning_saliency.callbacks._settings import Settings
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.passes.trials import Measured
from lightning_saliency.visualization import Curve, draw_curves, draw_strip

Tiles = dict[str, SmallMap]


def draw_strips(
    own: Evaluated, findings: Findings, settings: Settings, memory: Memory, drift: ByImage
) -> dict[str, Tensor]:
    """Draw those of this process's images that are panels, or that moved most: pictures by tag."""
    pictures = {}
    for method, maps in findings.maps.items():
        places = {f"image_{index}": index for index in own.panels}
        places |= {f"drifted_{place}": index for place, index in enumerate(_most_drifted(method, settings, drift))}
        drawn = {index: _tiles(method, index, maps, memory) for index in places.values() if index in maps}
        limits = _common_limits(method, findings, memory) if settings.scale == "common" else None
        for name, index in places.items():
            if index in own.portraits and index in drawn:
                portrait = own.portraits[index]
                tiles = {role: tile.raw() for role, tile in drawn[index].items()}
                pictures[f"{settings.name}/{method}/{name}"] = draw_strip(
                    portrait.image / 255,
                    tiles,
                    [", ".join(portrait.caption), *_score_lines(findings, method, index)],
                    change=(tiles["previous"], tiles["now"]) if "previous" in tiles else None,
                    limits=limits,
                )
    return pictures


def draw_curve_figures(findings: Findings, settings: Settings) -> dict[str, Tensor]:
    """Draw for each metric with a curve those of all methods and controls: figures by tag."""
    figures = {}
    for metric, specification in settings.metrics.items():
        if isinstance(specification, CurveMetric):
            found = {method: findings.scores.get((method, metric), {}) for method in settings.all_methods}
            curves = {method: _curve(by_image, method in settings.controls) for method, by_image in found.items()}
            known = {method: curve for method, curve in curves.items() if curve is not None}
            if known:
                figures[f"{settings.name}/curves/{metric}"] = draw_curves(
                    metric, specification.curve_axes, specification.points, known
                )
    return figures


def _curve(by_image: dict[int, Measured], is_control: bool) -> Curve | None:
    curves = in_order(by_image).curves if by_image else None
    if curves is None:
        return None
    curves = curves[curves.isfinite().all(dim=1)].double()
    if not len(curves):
        return None
    sums = Sums.of(curves)
    return Curve(sums.mean, sums.standard_error.nan_to_num(posinf=0.0), is_control)


def _tiles(method: str, index: int, maps: dict[int, SmallMap], memory: Memory) -> Tiles:
    """Line up the maps of an image, the oldest first."""
    earlier = {role: memory.maps.get(role, {}).get(method, {}).get(index) for role in ("first", "best", "previous")}
    return {role: found for role, found in earlier.items() if found is not None} | {"now": maps[index]}


def _common_limits(method: str, findings: Findings, memory: Memory) -> tuple[float, float] | None:
    """Span all images of a method, of which every process knows, and not only those that it draws."""
    everything = (findings.maps, *memory.maps.values())
    maps = [small for found in everything for small in found.get(method, {}).values()]
    return (min(small.low for small in maps), max(small.high for small in maps)) if maps else None


def _most_drifted(method: str, settings: Settings, drift: ByImage) -> list[int]:
    correlation = drift.get((method, "drift_spearman"), {})
    return sorted(correlation, key=lambda index: (correlation[index], index))[: settings.num_drifted]


def _score_lines(findings: Findings, method: str, index: int) -> list[str]:
    scores = {
        metric: found[index].scores.item()
        for (name, metric), found in findings.scores.items()
        if name == method and index in found
    }
    return [", ".join(f"{metric} {value:.3f}" for metric, value in scores.items())] if scores else []
