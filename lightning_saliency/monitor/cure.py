"""The cues to swap in training because of alarms."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from torch import Tensor

from lightning_saliency.cues import DEFAULT, FURTHER, Cell, Cue, select
from lightning_saliency.following import Alarm
from lightning_saliency.monitor.alarms import CONFIRMED
from lightning_saliency.swapping.choices import Choices
from lightning_saliency.swapping.detail import Detail
from lightning_saliency.swapping.places import Places, without_regions

INSTEAD: Final[Mapping[str, tuple[str, ...]]] = {"texture": (Detail.name,), "colour": ("colour", "spectrum")}
"""Swapped for a cue that leaves a trace of a sign in the host when it is swapped alone."""

SCALES: Final = frozenset({"texture", "fine_detail"})
"""Cues that detail is a part of. If one of them may decide, it is not swapped."""

MAPPED: Final = frozenset(cue.name for cue in (*DEFAULT, *FURTHER) if cue.needs_maps)
"""Cues at the places that maps mark. If one of them may decide, no places are swapped."""

PERSISTENCE: Final = 3
"""Number of confirmed alarms in spite of a swap, after which the next suspect is swapped, too."""


@dataclass(frozen=True)
class Cure:
    """The cues that alarms call for, and for how many evaluations the alarm has been quiet.

    Attributes:
        epochs: The epoch of the evaluation since which a cue is swapped, by the cue's name.
        quiet: Number of evaluations in a row in which no cue was suspected.
        loud: Number of confirmed alarms in a row since a cue was added.
        places: Marks (*S) of the places that alarms have named; `None` if there are none.

    Example:
        >>> from lightning_saliency.following import Alarm
        >>> cure = Cure().after(Alarm(2), [["level"]], 3).after(Alarm(), [], 4)
        >>> cure
        Cure(epochs={'level': 3}, quiet=1, loud=0, places=None)
        >>> cure.strength(patience=1)
        0.5
    """

    epochs: Mapping[str, int] = field(default_factory=dict)
    quiet: int = 0
    loud: int = 0
    places: Tensor | None = field(default=None, compare=False)

    def after(self, decision: Alarm, remedies: Sequence[Sequence[str]], epoch: int) -> "Cure":
        """Return what there is after an evaluation.

        A confirmed alarm calls for the cues of the first remedy. If they are swapped, and alarms do not end for some
        evaluations, it calls for those of the next one.
        """
        if decision.state != CONFIRMED:
            return replace(self, quiet=0 if decision.state or not self.epochs else self.quiet + 1, loud=0)
        loud = self.loud + 1
        candidates = remedies if loud > PERSISTENCE else remedies[:1]
        additions = ([name for name in remedy if name not in self.epochs] for remedy in candidates)
        begun = next(filter(None, additions), [])
        places = _joined(self.places, decision.places) if Places.name in {*begun, *self.epochs} else None
        return Cure({**self.epochs, **dict.fromkeys(begun, epoch)}, 0, 0 if begun else loud, places)

    def strength(self, patience: int) -> float:
        """Return the factor of the probability: a half after some quiet evaluations."""
        return 1.0 if self.quiet < patience else 0.5

    def remark(self, probability: float, patience: int) -> str:
        """Say what is swapped and since when; empty if nothing is."""
        if not self.epochs:
            return ""
        cues = ", ".join(f"{name} (since epoch {epoch})" for name, epoch in self.epochs.items())
        now = self.strength(patience) * probability
        return f"In training cues are swapped between images, with probability {now:g}: {cues}."

    def state(self) -> dict[str, Any]:
        """Return numbers, texts and marks."""
        return {"epochs": dict(self.epochs), "quiet": self.quiet, "loud": self.loud, "places": self.places}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "Cure":
        """Do the reverse of `state`."""
        epochs = {name: int(epoch) for name, epoch in state["epochs"].items()}
        return cls(epochs, int(state["quiet"]), int(state["loud"]), state.get("places"))


def _joined(before: Tensor | None, now: Tensor | None) -> Tensor | None:
    """Mark what either marks; places of a network that follows a sign less and less are what is left of it."""
    if before is None or now is None or before.shape != now.shape:
        return now if before is None else before
    return before | now


def remedies(decision: Alarm, cues: Iterable[Cue]) -> list[tuple[str, ...]]:
    """Name the cues whose swap may answer an alarm: those for the cue that it names, and then for each suspect.

    Args:
        decision: The alarm.
        cues: The cues of the monitor, of which some may be the user's.
    """
    by_name = {cue.name: cue for cue in (*DEFAULT, *FURTHER, *cues)}
    places = () if decision.places is None else (Places.name,)
    groups = (_remedy(by_name[name], places) for name in (decision.cue, *decision.suspects) if name in by_name)
    return [group for group in dict.fromkeys(groups) if group]


def _remedy(cue: Cue, places: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the cues that are swapped for a cue; empty if none are."""
    is_place = "place" in cue.families
    if cue.needs_maps or (isinstance(cue, Cell) and places):
        return places if is_place else ()
    return (*INSTEAD.get(cue.name, (cue.name,)), *(places if is_place else ()))


def remedy_choices(
    names: Collection[str], cues: Iterable[Cue], allow: Collection[str], places: Tensor | None = None
) -> Choices:
    """Return the cues of remedies by name, without those that may decide."""
    by_name = {cue.name: cue for cue in cues}
    if places is not None and not MAPPED & {*allow}:
        allowed = [cue for cue in (*DEFAULT, *FURTHER, *cues) if cue.name in allow]
        by_name[Places.name] = Places(without_regions(places, allowed))
    if not SCALES & {*allow}:
        by_name[Detail.name] = Detail()
    names = [name for name in names if name in by_name or name not in (Places.name, Detail.name)]
    groups = {name: (by_name[name],) if name in by_name else select([name]) for name in names}
    return without(groups, allow)


def without(choices: Choices, allow: Collection[str]) -> Choices:
    """Leave out cues that may decide."""
    kept = {
        name: tuple(cue for cue in group if cue.name not in allow)
        for name, group in choices.items()
        if name not in allow
    }
    return {name: group for name, group in kept.items() if group}


def announcement(before: Cure, now: Cure, decision: Alarm, probability: float, patience: int) -> str:
    """Say what changes in training; empty if nothing does."""
    share = f"with probability {now.strength(patience) * probability:g} from now on"
    begun = [name for name in now.epochs if name not in before.epochs]
    if begun:
        is_named = not before.epochs or decision.cue not in before.epochs
        cause = f"Predictions follow the {_spaced(decision.cue)}{'' if is_named else ' in spite of its swap'}"
        subject = f"cue {_spaced(begun[0])} is" if len(begun) == 1 else f"cues {', '.join(map(_spaced, begun))} are"
        return f"{cause}, so the {subject} swapped between training images, {share}."
    if now.strength(patience) < before.strength(patience):
        return f"The alarm has been quiet for {now.quiet} evaluations. Cues are swapped {share}."
    if now.strength(patience) > before.strength(patience):
        return f"A cue is suspected again. Cues are swapped {share}."
    return ""


def _spaced(name: str) -> str:
    return name.replace("_", " ")
