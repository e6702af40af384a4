"""Which values the monitors of a trainer will log, and which direction is better."""

import lightning.pytorch as pl

from lightning_saliency.callbacks._drift import MEASURES, ROLES
from lightning_saliency.callbacks._settings import Settings, margin_name
from lightning_saliency.callbacks.saliency_monitor import SaliencyMonitor

LOWER_IS_BETTER = {"center_shift"}


def logged_names(settings: Settings) -> dict[str, bool | None]:
    """List what a monitor logs, with its direction: whether higher is better, `None` where neither is."""
    prefix = settings.name
    names: dict[str, bool | None] = {f"{prefix}/{name}": None for name in ("seconds", "fraction_of_epoch", "used")}
    drift = {
        f"drift_{measure}{suffix}": measure not in LOWER_IS_BETTER for measure in MEASURES for suffix in ROLES.values()
    }
    for method in settings.all_methods:
        scores: dict[str, bool | None] = {name: metric.higher_is_better for name, metric in settings.metrics.items()}
        if method in settings.methods:
            scores |= {margin_name(name, control): True for name in settings.metrics for control in settings.controls}
            scores |= drift
            names |= {f"{prefix}/{method}/{count}": False for count in ("invalid", "blank")}
        for name, direction in scores.items():
            names |= {f"{prefix}/{method}/{name}": direction, f"{prefix}/{method}/{name}_stderr": None}
    return names


def refuse_unknown(trainer: pl.Trainer, name: str) -> None:
    """Refuse a name of a monitor's that it will not log; names that the module itself logs cannot be known yet.

    Raises:
        ValueError: If the name begins like a monitor's or has three parts as theirs have, and none logs it.
    """
    known = _known(trainer)
    looks_like_ours = name.split("/", maxsplit=1)[0] in {other.split("/")[0] for other in known} or name.count("/") > 1
    if looks_like_ours and name not in known:
        listed = ", ".join(other for other in known if not other.endswith("_stderr")) or "none: there is no monitor"
        raise ValueError(f"Expected a gate on what a SaliencyMonitor logs, but got {name!r}; these are {listed}.")


def direction_of(trainer: pl.Trainer, name: str) -> bool:
    """Return whether higher is better.

    Raises:
        ValueError: If it is unknown.
    """
    direction = _known(trainer).get(name)
    if direction is None:
        raise ValueError(
            f"Expected a relative gate on a score of a SaliencyMonitor, whose direction is known, but got {name!r}: "
            "use '>= x' or '<= x'."
        )
    return direction


def _known(trainer: pl.Trainer) -> dict[str, bool | None]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set at run time
    monitors = [callback for callback in callbacks if isinstance(callback, SaliencyMonitor)]
    return {name: better for monitor in monitors for name, better in logged_names(monitor.settings).items()}
