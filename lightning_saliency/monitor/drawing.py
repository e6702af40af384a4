"""The pictures of an evaluation: strips of single images, and curves of all methods."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from lightning_saliency._statistics import Sums
from lightning_saliency.cues import select
from lightning_saliency.following import Alarm, place_map
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.monitor._compact import SmallMap
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.evaluated import Thumbnail
from lightning_saliency.monitor.evaluation import Evaluation
from lightning_saliency.monitor.memory import Memory
from lightning_saliency.monitor.transplants import Example
from lightning_saliency.names import cue_name, curves_name, image_name, moved_name, worst_name
from lightning_saliency.visualization import Curve, draw_curves, draw_strip, draw_transplant
from lightning_saliency.visualization._overlay import limits_of
from lightning_saliency.visualization._strip import FONTS_PER_WIDTH, SMALLEST_FONT
from lightning_saliency.visualization._text import text_image

Tiles = dict[str, SmallMap]
NUM_CELLS: Final = len(select(["cell"]))
SLICES: Final = 3


def drawn_images(evaluation: Evaluation, panels: Sequence[int], settings: Settings) -> list[int]:
    """List the images that are panels, whose maps moved most or whose scores are worst, and have a finite map."""
    return sorted(
        {
            index
            for method, maps in evaluation.maps.items()
            for index in _places(evaluation, method, panels, settings).values()
            if index in maps
        }
    )


def draw_strips(
    evaluation: Evaluation,
    thumbnails: Mapping[int, Thumbnail],
    panels: Sequence[int],
    settings: Settings,
    memory: Memory,
    start: str,
) -> dict[str, Tensor]:
    """Draw the images that are panels, whose maps moved most or whose scores are worst: pictures by tag."""
    pictures = {}
    for method, maps in evaluation.maps.items():
        limits = _common_limits(method, evaluation, memory) if settings.scale == "common" else None
        # An image may be a panel and one of those whose maps moved most.
        strips: dict[int, Tensor] = {}
        for name, index in _places(evaluation, method, panels, settings, start).items():
            if index in thumbnails and index in maps:
                if index not in strips:
                    thumbnail = thumbnails[index]
                    tiles = {role: tile.raw() for role, tile in _tiles(method, index, maps, memory).items()}
                    lines = [", ".join(thumbnail.caption), *_score_lines(evaluation, method, index)]
                    strips[index] = _draw(thumbnail.image / 255, tiles, lines, limits)
                pictures[name] = strips[index]
    return pictures


def _draw(image: Tensor, tiles: Mapping[str, Tensor], lines: list[str], limits: tuple[float, float] | None) -> Tensor:
    """Draw the strip of an image, or of a volume those of the slices with most relevance, one below the other."""
    if image.ndim == 4:
        slices = [(_at(image, tiles, place), share) for place, share in most_relevant(tiles["now"])]
        strips = [
            _draw(
                picture, parts, [f"slice or frame {number} of {image.shape[1]}, {share:.0%} of the relevance"], limits
            )
            for ((picture, parts, number), share) in slices
        ]
        size = max(SMALLEST_FONT, strips[0].shape[2] // FONTS_PER_WIDTH)
        return torch.cat([*strips, text_image(lines, strips[0].shape[2], size)], dim=1)
    change = (tiles["previous"], tiles["now"]) if "previous" in tiles else None
    return draw_strip(image, tiles, lines, change=change, limits=limits)


def most_relevant(saliency: Tensor) -> list[tuple[int, float]]:
    """Return the slices of a map (D, H, W) with the greatest sums of magnitudes, in their order, and their shares."""
    sums = saliency.abs().flatten(1).sum(dim=1)
    places = sorted(sums.topk(min(SLICES, len(sums))).indices.tolist())
    total = sums.sum().item()
    return [(place, sums[place].item() / total if total else 1 / len(sums)) for place in places]


def _at(image: Tensor, tiles: Mapping[str, Tensor], place: int) -> tuple[Tensor, dict[str, Tensor], int]:
    """Take a slice of the maps, the slice of the volume at its middle, and the number of that, from 1."""
    depth = len(tiles["now"])
    middle = int((place + 0.5) * image.shape[1] / depth)
    slices = {role: tile[min(place * len(tile) // depth, len(tile) - 1)] for role, tile in tiles.items()}
    return image[:, middle], slices, middle + 1


def draw_curve_figures(evaluation: Evaluation, settings: Settings, start: str) -> dict[str, Tensor]:
    """Draw for each metric with a curve those of all methods and controls: figures by tag."""
    figures = {}
    for metric, specification in settings.metrics.items():
        if isinstance(specification, CurveMetric):
            columns = {method: evaluation.curves.get((method, metric)) for method in settings.all_methods}
            candidates = {method: _curve(column, method in settings.controls) for method, column in columns.items()}
            curves = {method: curve for method, curve in candidates.items() if curve is not None}
            if curves:
                figures[curves_name(start, metric)] = draw_curves(
                    metric, specification.curve_axes, specification.points, curves
                )
    return figures


def draw_transplants(
    evaluation: Evaluation, examples: Mapping[str, Example], decision: Alarm, start: str
) -> dict[str, Tensor]:
    """Draw what happens to a host that gets the cue of an alarm, with the map of places where that was measured."""
    pictures = {}
    for name, example in examples.items():
        places = _place_map(evaluation, decision)
        pictures[cue_name(start, name)] = draw_transplant(example.images / 255, example.captions, places)
    return pictures


def _place_map(evaluation: Evaluation, decision: Alarm) -> Tensor | None:
    cells = {name for name in evaluation.followings if name.startswith("cell_")}
    if len(cells) < NUM_CELLS:
        return None
    return place_map(evaluation.followings, decision.target_class if decision.by_class else None)


def _curve(curves: Tensor | None, is_control: bool) -> Curve | None:
    if curves is None:
        return None
    curves = curves[curves.isfinite().all(dim=1)].double()
    if not len(curves):
        return None
    sums = Sums.of(curves)
    return Curve(sums.mean, sums.standard_error.nan_to_num(posinf=0.0), is_control)


def _places(
    evaluation: Evaluation, method: str, panels: Sequence[int], settings: Settings, start: str = ""
) -> dict[str, int]:
    """Name the pictures of a method and say which image each shows."""
    places = {image_name(start, method, index): index for index in panels}
    moved, worst = _most_drifted(evaluation, method, settings), _worst(evaluation, method, settings)
    places |= {moved_name(start, method, place): index for place, index in enumerate(moved)}
    return places | {worst_name(start, method, place): index for place, index in enumerate(worst)}


def _tiles(method: str, index: int, maps: dict[int, SmallMap], memory: Memory) -> Tiles:
    """Line up the maps of an image, the oldest first."""
    earlier = {role: memory.maps.get(role, {}).get(method, {}).get(index) for role in ("first", "best", "previous")}
    return {role: small for role, small in earlier.items() if small is not None} | {"now": maps[index]}


def _common_limits(method: str, evaluation: Evaluation, memory: Memory) -> tuple[float, float] | None:
    """Span the scales of the maps of all images of a method, and not only of those that are drawn."""
    everything = (evaluation.maps, *memory.maps.values())
    maps = [small for by_method in everything for small in by_method.get(method, {}).values()]
    signed = any(small.low < 0 for small in maps)
    limits = [limits_of(small.raw(), signed=signed) for small in maps]
    return (min(low for low, _ in limits), max(high for _, high in limits)) if limits else None


def _most_drifted(evaluation: Evaluation, method: str, settings: Settings) -> list[int]:
    """List the images whose maps moved most by the first measure of drift."""
    measure = settings.drift[0] if settings.drift else None
    column = None if measure is None else evaluation.drift.get((method, measure.name, "previous"))
    if measure is None or column is None:
        return []
    return _lowest(column if measure.higher_is_better else -column, evaluation)[: settings.num_drifted]


def _worst(evaluation: Evaluation, method: str, settings: Settings) -> list[int]:
    """List the images with the worst scores of the first metric that has scores and a direction."""
    for name, metric in settings.metrics.items():
        column = evaluation.scores.get((method, name))
        if column is not None and metric.higher_is_better is not None:
            return _lowest(column if metric.higher_is_better else -column, evaluation)[: settings.num_worst]
    return []


def _lowest(values: Tensor, evaluation: Evaluation) -> list[int]:
    """Sort the images by a finite value, equal ones by their indices."""
    triples = zip(values.tolist(), evaluation.indices.tolist(), values.isfinite().tolist(), strict=True)
    return [index for _, index in sorted((value, index) for value, index, is_number in triples if is_number)]


def _score_lines(evaluation: Evaluation, method: str, index: int) -> list[str]:
    row = evaluation.indices.tolist().index(index)
    scores = {
        metric: column[row].item()
        for (name, metric), column in evaluation.scores.items()
        if name == method and column[row].isfinite()
    }
    return [", ".join(f"{metric} {value:.3f}" for metric, value in scores.items())] if scores else []
