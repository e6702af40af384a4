"""An exception in a form that travels between processes."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """The reason why an evaluation failed.

    Attributes:
        is_configuration: Whether the user's arguments are to blame rather than the moment.
        description: Kind and message.
    """

    is_configuration: bool
    description: str

    @classmethod
    def of(cls, error: Exception, *, is_configuration: bool = False) -> "Fault":
        """Describe an exception."""
        return cls(is_configuration, f"{type(error).__name__}: {error}")

    @property
    def kind(self) -> str:
        """The exception's type, which stays the same where messages vary."""
        return self.description.split(":", maxsplit=1)[0]


def first_fault(faults: Sequence[Fault | None]) -> Fault | None:
    """Pick the fault of the lowest rank and say where it was."""
    for rank, fault in enumerate(faults):
        if fault is not None:
            where = f" on rank {rank}" if len(faults) > 1 else ""
            return Fault(fault.is_configuration, fault.description + where)
    return None
