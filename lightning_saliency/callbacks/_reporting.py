"""From findings to what is logged: scalars, pictures, rows, complaints."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

from torch import Tensor

from lightning_saliency.callbacks._drift import ROLES, MapsByMethod, Memory, drift_scores
from lightning_saliency.callbacks._evaluation import Evaluated, Portrait
from lightning_saliency.callbacks._findings import Fault, Findings, in_order
from lightning_saliency.callbacks._settings import Settings
from lightning_saliency.callbacks._statistics import mean_and_error
from lightning_saliency.visualization import draw_strip

Drift = dict[tuple[str, str], dict[int, float]]


@dataclass
class Summary:
    """What becomes of an evaluation.

    Attributes:
        whole: What all processes found.
        drift: How far maps have moved.
        values: What is logged.
        fault: Why nothing is.
    """

    whole: Findings
    drift: Drift = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    fault: Fault | None = None


def summarise(whole: Findings, settings: Settings, memory: Memory) -> Summary:
    """Compute what is logged: the same on every process, faults included."""
    if whole.fault is not None:
        return Summary(whole, fault=whole.fault)
    if not whole.seen:
        return Summary(whole, fault=Fault(is_configuration=False, description="NoImages: no validation image was seen"))
    try:
        drift = drift_of(whole, memory)
        return Summary(whole, drift, scalars(whole, settings, drift))
    except Exception as error:  # noqa: BLE001 - a score that cannot be averaged must not stop training
        return Summary(whole, fault=Fault.of(error))


def scalars(findings: Findings, settings: Settings, drift: Drift) -> dict[str, float]:
    """Name and compute what is logged; never NaN or infinite."""
    prefix = settings.name
    values = {f"{prefix}/seconds": findings.seconds}
    if settings.min_confidence > 0 and findings.seen:
        values[f"{prefix}/used"] = len(findings.used) / len(findings.seen)
    for method in settings.methods:
        values[f"{prefix}/{method}/invalid"] = float(len(findings.invalid[method]))
        values[f"{prefix}/{method}/blank"] = float(len(findings.blank[method]))
    for (method, metric), found in findings.scores.items():
        clone = deepcopy(settings.metrics[metric])
        clone.reset()
        clone.sync_on_compute = False  # what every process has here is the whole
        if found:
            clone.accumulate(*in_order(found))
        if clone.num_scored:
            values[f"{prefix}/{method}/{metric}"] = clone.compute().item()
        if clone.num_scored > 1:
            values[f"{prefix}/{method}/{metric}_stderr"] = clone.standard_error().item()
    for (method, name), by_image in {**_margins(findings, settings), **drift}.items():
        values |= _mean_with_error(f"{prefix}/{method}/{name}", by_image)
    return values


def drift_of(findings: Findings, memory: Memory) -> Drift:
    """Compare the present maps with the remembered ones: values by (method, name) and image."""
    return {
        (method, f"drift_{measure}{suffix}"): by_image
        for role, suffix in ROLES.items()
        for method, maps in memory.maps.get(role, {}).items()
        for measure, by_image in drift_scores(findings.maps.get(method, {}), maps).items()
    }


def draw_strips(
    own: Evaluated, findings: Findings, settings: Settings, memory: Memory, drift: Drift
) -> dict[str, Tensor]:
    """Draw those of this process's images that are panels, or that moved most: pictures by tag."""
    pictures = {}
    for method, maps in findings.maps.items():
        places = {f"image_{index}": index for index in own.panels}
        places |= {f"drifted_{place}": index for place, index in enumerate(_most_drifted(method, settings, drift))}
        for name, index in places.items():
            if index in own.portraits and index in maps:
                caption = [*own.portraits[index].caption, *_score_lines(findings, method, index)]
                earlier = {role: memory.maps[role].get(method, {}).get(index) for role in memory.maps}
                pictures[f"{settings.name}/{method}/{name}"] = _strip(
                    own.portraits[index], maps[index], earlier, caption
                )
    return pictures


def rows(findings: Findings, drift: Drift, epoch: int, step: int) -> Iterator[tuple[object, ...]]:
    """List every score of every image: step, epoch, index, target, predicted, method, metric, score."""
    for (method, metric), found in findings.scores.items():
        for index in sorted(found):
            yield (step, epoch, index, *findings.classes[index], method, metric, found[index].scores.item())
    for (method, name), by_image in drift.items():
        for index, value in by_image.items():
            yield (step, epoch, index, *findings.classes[index], method, name, value)


def complaints(findings: Findings, settings: Settings) -> dict[str, str]:
    """Say what is unhealthy about maps, by a key that lets each be said once."""
    invalid = {method: findings.invalid[method] for method in settings.methods if findings.invalid[method]}
    # A few blank maps are usual, and logged.
    blank = {m: findings.blank[m] for m in settings.methods if 2 * len(findings.blank[m]) >= max(len(findings.used), 1)}
    said = {}
    if invalid:
        said["invalid"] = (
            f"{_counted(invalid, findings)} are not finite and left out: "
            "look for exploding weights or logits, or for a division or root whose gradient is infinite."
        )
    if blank:
        said["blank"] = (
            f"{_counted(blank, findings)} are constant and score as such: "
            "gradients may vanish (dead or saturated activations), be all negative (class activation maps), "
            "or not vary (a guide by variance)."
        )
    return said


def total_loss(findings: Findings, settings: Settings) -> Fault | None:
    """Take it for a fault if not a single map is finite."""
    if findings.used and all(findings.invalid[method] == findings.used for method in settings.methods):
        return Fault(is_configuration=False, description=f"NoFiniteMap: {complaints(findings, settings)['invalid']}")
    return None


def _counted(images: dict[str, set[int]], findings: Findings) -> str:
    return ", ".join(f"{len(some)} of {len(findings.used)} maps of {method!r}" for method, some in images.items())


def _margins(findings: Findings, settings: Settings) -> Drift:
    """Subtract the controls' scores image by image; positive is better, whatever the metric's direction."""
    margins: Drift = {}
    for (method, metric), found in findings.scores.items():
        sign = 1 if settings.metrics[metric].higher_is_better else -1
        for control in settings.controls if method in settings.methods else ():
            other = findings.scores.get((control, metric), {})
            margins[method, f"{metric}_vs_{control}"] = {
                index: sign * (found[index].scores.item() - other[index].scores.item())
                for index in sorted(found.keys() & other.keys())
            }
    return margins


def _mean_with_error(name: str, by_image: dict[int, float]) -> dict[str, float]:
    summary = mean_and_error(by_image.values())
    if summary is None:
        return {}
    mean, error = summary
    return {name: mean} if error == float("inf") else {name: mean, f"{name}_stderr": error}


def _most_drifted(method: str, settings: Settings, drift: Drift) -> list[int]:
    correlation = drift.get((method, "drift_spearman"), {})
    return sorted(correlation, key=lambda index: (correlation[index], index))[: settings.num_drifted]


def _score_lines(findings: Findings, method: str, index: int) -> list[str]:
    scores = {
        metric: found[index].scores.item()
        for (name, metric), found in findings.scores.items()
        if name == method and index in found
    }
    return [", ".join(f"{metric} {value:.3f}" for metric, value in scores.items())] if scores else []


def _strip(portrait: Portrait, now: Tensor, earlier: dict[str, Tensor | None], caption: list[str]) -> Tensor:
    known = {role: earlier[role] for role in ("first", "best", "previous") if role in earlier}
    tiles = {role: found for role, found in known.items() if found is not None} | {"now": now}
    previous = known.get("previous")
    change = None if previous is None else (previous, now)
    return draw_strip(portrait.image / 255, tiles, caption, change=change)


def maps_to_remember(findings: Findings, settings: Settings) -> MapsByMethod:
    """Pick the maps that later evaluations are compared with."""
    return {method: maps for method, maps in findings.maps.items() if method in settings.methods}
