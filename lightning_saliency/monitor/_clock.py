"""How much of an epoch goes into explaining."""

from time import perf_counter


class EpochClock:
    """Counts the seconds of an epoch and those of its evaluations."""

    def __init__(self) -> None:
        self.start()

    def start(self, spent: float = 0.0) -> None:
        """Begin an epoch, or what is left of one after resuming.

        Args:
            spent: Seconds just before that count with the next evaluation, and so belong to this epoch.
        """
        self._started = perf_counter() - spent
        self._seconds = 0.0

    def share(self, seconds: float) -> float:
        """Add an evaluation and return the share of the epoch so far that all its evaluations took."""
        self._seconds += seconds
        return min(self._seconds / (perf_counter() - self._started), 1.0)
