"""From findings to what is logged: scalars, pictures, warnings."""

from copy import deepcopy

import lightning.pytorch as pl

from lightning_saliency.callbacks._findings import Findings, in_order
from lightning_saliency.callbacks._settings import Settings
from lightning_saliency.loggers import write_picture


def scalars(findings: Findings, settings: Settings) -> dict[str, float]:
    """Name and compute what is logged; never NaN or infinite."""
    values = {f"{settings.name}/seconds": findings.seconds}
    if settings.min_confidence > 0 and findings.seen:
        values[f"{settings.name}/used"] = findings.used / findings.seen
    for method in settings.methods:
        values[f"{settings.name}/{method}/invalid"] = float(findings.invalid[method])
        values[f"{settings.name}/{method}/blank"] = float(findings.blank[method])
    for (method, metric), found in findings.scores.items():
        clone = deepcopy(settings.metrics[metric])
        clone.reset()
        clone.sync_on_compute = False  # what every process has here is the whole
        if found:
            clone.accumulate(*in_order(found))
        if clone.num_scored:
            values[f"{settings.name}/{method}/{metric}"] = clone.compute().item()
        if clone.num_scored > 1:
            values[f"{settings.name}/{method}/{metric}_stderr"] = clone.standard_error().item()
    return values


def write_pictures(trainer: pl.Trainer, findings: Findings, settings: Settings) -> None:
    """Send the pictures to every logger, from one process."""
    if not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        for (method, index), picture in findings.pictures.items():
            write_picture(logger, f"{settings.name}/{method}/image_{index}", picture, trainer.global_step)


def complaints(findings: Findings, settings: Settings) -> dict[str, str]:
    """Say what is unhealthy about maps, by a key that lets each be said once."""
    said = {}
    for method in settings.methods:
        if findings.invalid[method]:
            said[f"invalid {method}"] = (
                f"{findings.invalid[method]} of {findings.used} maps of {method!r} are not finite and left out: "
                "look for exploding weights or logits, or for a division or root whose gradient is infinite."
            )
        if 2 * findings.blank[method] >= max(findings.used, 1):  # a few blank maps are usual, and logged
            said[f"blank {method}"] = (
                f"{findings.blank[method]} of {findings.used} maps of {method!r} are constant and score as such: "
                "gradients may vanish (dead or saturated activations), be all negative (class activation maps), "
                "or not vary (a guide by variance)."
            )
    return said
