"""How long an evaluation may take."""

from dataclasses import dataclass

from lightning_saliency.monitor._rounding import rounded
from lightning_saliency.monitor.config import Settings


@dataclass(frozen=True)
class Budget:
    """The most seconds of an evaluation, and where the number comes from."""

    seconds: float
    source: str = ""

    def __str__(self) -> str:
        """Describe it."""
        return f"{rounded(self.seconds, 3)} s{self.source}"


def budget_of(settings: Settings, training_seconds: float | None) -> Budget | None:
    """Return the smallest limit that the settings set; `None` if they set none, or one that is not known yet.

    Args:
        settings: The monitor's settings.
        training_seconds: Time of the epoch so far without evaluations. `None` if it is not known.
    """
    budgets = []
    if settings.max_seconds is not None:
        budgets.append(Budget(settings.max_seconds))
    if settings.max_fraction_of_epoch is not None:
        if training_seconds is None:
            return None
        share = settings.max_fraction_of_epoch
        source = f", {share:g} of {rounded(training_seconds, 3)} s of training"
        budgets.append(Budget(share * training_seconds, source))
    return min(budgets, key=lambda budget: budget.seconds, default=None)
