"""From findings to what is told of them: a summary, rows of a table, complaints."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lightning_saliency.callbacks._drift import MapsByMethod, Memory
from lightning_saliency.callbacks._findings import Fault, Findings
from lightning_saliency.callbacks._scalars import ByImage, drift_of, scalars
from lightning_saliency.callbacks._settings import Settings


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
    drift: ByImage = field(default_factory=dict)
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


def rows(findings: Findings, drift: ByImage, epoch: int, step: int) -> Iterator[tuple[object, ...]]:
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


def maps_to_remember(findings: Findings, settings: Settings) -> MapsByMethod:
    """Pick the maps that later evaluations are compared with."""
    return {method: maps for method, maps in findings.maps.items() if method in settings.methods}
