"""What is logged as numbers: scores, margins over controls, drift, health, cost."""

from copy import deepcopy

from lightning_saliency.callbacks._drift import ROLES, Memory, drift_scores
from lightning_saliency.callbacks._findings import Findings, in_order
from lightning_saliency.callbacks._settings import Settings, margin_name
from lightning_saliency.callbacks._statistics import mean_and_error

ByImage = dict[tuple[str, str], dict[int, float]]


def scalars(findings: Findings, settings: Settings, drift: ByImage) -> dict[str, float]:
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


def bands(values: dict[str, float], settings: Settings) -> dict[str, float]:
    """Bound every margin by one standard error each way, as TensorBoard's charts want it."""
    margins = [f"{settings.name}/{name}" for name in settings.margins]
    known = [(name, values[name], values[f"{name}_stderr"]) for name in margins if f"{name}_stderr" in values]
    return {
        f"{name}_{side}": value + sign * error
        for name, value, error in known
        for side, sign in (("low", -1), ("high", 1))
    }


def drift_of(findings: Findings, memory: Memory) -> ByImage:
    """Compare the present maps with the remembered ones: values by (method, name) and image."""
    return {
        (method, f"drift_{measure}{suffix}"): by_image
        for role, suffix in ROLES.items()
        for method, maps in memory.maps.get(role, {}).items()
        for measure, by_image in drift_scores(findings.maps.get(method, {}), maps).items()
    }


def _margins(findings: Findings, settings: Settings) -> ByImage:
    """Subtract the controls' scores image by image; positive is better, whatever the metric's direction."""
    margins: ByImage = {}
    for (method, metric), found in findings.scores.items():
        sign = 1 if settings.metrics[metric].higher_is_better else -1
        for control in settings.controls if method in settings.methods else ():
            other = findings.scores.get((control, metric), {})
            margins[method, margin_name(metric, control)] = {
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
