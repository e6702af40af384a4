"""How much of an epoch goes into explaining."""

from time import perf_counter


class EpochClock:
    """Counts the seconds of an epoch and those of its evaluations."""

    def __init__(self) -> None:
        self.start()

    def start(self, spent: float = 0.0, *, is_rest: bool = False) -> None:
        """Begin an epoch, or what is left of one after resuming.

        Args:
            spent: Seconds just before that count with the next evaluation, and so belong to this epoch.
            is_rest: Whether the epoch began in an earlier process, so that its time is not known.
        """
        self._started = perf_counter() - spent
        self._is_rest = is_rest
        self._elapsed = self._seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count the seconds of an evaluation that ends now."""
        self._elapsed = perf_counter() - self._started
        self._seconds += seconds

    @property
    def share(self) -> float:
        """The share of the epoch up to its last evaluation that all its evaluations took."""
        return min(self._seconds / self._elapsed, 1.0)

    @property
    def training_seconds(self) -> float | None:
        """Time of the epoch up to its last evaluation, without evaluations; `None` for the rest of an epoch."""
        return None if self._is_rest else max(self._elapsed - self._seconds, 0.0)
