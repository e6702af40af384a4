"""The record of every evaluation's values."""

import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from lightning_saliency.monitor._scalars import Scalar
from lightning_saliency.names import PARTS

LONGEST: Final = 1000
# A value with its standard error and count takes 27 bytes of a checkpoint, so that these take 4 MB.
MOST_VALUES: Final = 150_000


def new_run() -> str:
    """Return a short id of a run, drawn without touching any random state.

    It begins with a letter, so that no reader of a table takes it for a number.
    """
    return f"r{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Record:
    """The values that one evaluation computed.

    Attributes:
        stage: `"fit"`, `"validate"` or `"test"`.
        epoch: Current epoch.
        step: Global step.
        values: Values by name.
        errors: Standard errors by the names of their values.
        counts: Number of images that a value is a mean over, by its name.
    """

    stage: str
    epoch: int
    step: int
    values: dict[str, float]
    errors: dict[str, float]
    counts: dict[str, int]

    def value(self, name: str) -> float | None:
        """Return a value, or the standard error of one, by the name that it is logged under."""
        value = self.values.get(name)
        return self.errors.get(name.removesuffix(PARTS["stderr"])) if value is None else value

    def state(self) -> dict[str, Any]:
        """Return numbers and texts only."""
        # Names that are one object are written once in a checkpoint.
        state = {**vars(self)}
        for part in ("values", "errors", "counts"):
            state[part] = {sys.intern(name): value for name, value in state[part].items()}
        return state

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "Record":
        """Do the reverse of `state`."""
        return cls(**state)


def last_values(history: Iterable[Record]) -> dict[str, Scalar]:
    """Return the latest value of each name that evaluations of training computed."""
    return {
        name: Scalar(value, record.errors.get(name), record.counts[name])
        for record in history
        if record.stage == "fit"
        for name, value in record.values.items()
    }


def newest(records: Sequence[Record]) -> list[Record]:
    """Leave out the oldest records of a long history, never the last: checkpoints hold it."""
    sizes = accumulate(len(record.values) for record in reversed(records))
    number = max(sum(size <= MOST_VALUES for size in sizes), 1)
    return list(records[-min(number, LONGEST) :])
