"""The decision on the cues that a network follows, and how it is told."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch import Tensor

from lightning_saliency.cues import FURTHER, Cue
from lightning_saliency.following import Alarm, alarm, refine
from lightning_saliency.following._places import relevant_places
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.evaluation import Evaluation

CONFIRMED: Final = 2


@dataclass(frozen=True)
class Watch:
    """The decision of the last evaluation, and since when it has been what it is.

    Attributes:
        decision: The decision.
        since: Epoch of the first of the evaluations in a row in which a cue was over its bound; `None` if none is.
    """

    decision: Alarm = field(default_factory=Alarm)
    since: int | None = None

    def after(self, decision: Alarm, epoch: int) -> "Watch":
        """Return what there is after the next evaluation."""
        if not decision.state:
            return Watch(decision)
        return Watch(decision, epoch if self.since is None else self.since)

    def state(self) -> dict[str, Any]:
        """Return numbers and texts only."""
        return {"suspects": list(self.decision.suspects), "state": self.decision.state, "since": self.since}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "Watch":
        """Return what the next decision needs to know."""
        return cls(Alarm(state=state["state"], suspects=tuple(state["suspects"])), state["since"])


def cues_of(settings: Settings, previous: Alarm) -> tuple[Cue, ...]:
    """List the cues of an evaluation: after an alarm those too that name it more closely."""
    names = {cue.name for cue in settings.cues}
    further = FURTHER if previous.state and settings.cues else ()
    return (*settings.cues, *(cue for cue in further if cue.name not in names))


def decide(evaluation: Evaluation, settings: Settings, previous: Alarm | None) -> Alarm:
    """Decide on the cues of the arguments, and name an alarm by all cues that were put into hosts.

    Args:
        evaluation: The results of all processes.
        settings: The monitor's settings.
        previous: The decision of the evaluation before; `None` where there is none, as in `validate` and `test`. Then
            two halves of the donors confirm, and so they do where the evaluation before is several epochs old.
    """
    names = {cue.name for cue in settings.cues}
    chosen = {name: following for name, following in evaluation.followings.items() if name in names}
    halves = previous is None or settings.every_n_epochs > 1
    decision = alarm(chosen, previous=previous, allow=settings.allow, halves=halves)
    if not decision.state:
        return decision
    others = {name: following for name, following in evaluation.followings.items() if name not in settings.allow}
    return replace(refine(decision, others), places=_places(evaluation))


def _places(evaluation: Evaluation) -> Tensor | None:
    """Mark where donors are relevant, if that was measured."""
    labels = {
        index: label
        for following in evaluation.followings.values()
        for index, label in zip(following.indices.tolist(), following.labels.tolist(), strict=True)
    }
    indices = sorted(index for index in evaluation.relevance if index in labels)
    if not indices:
        return None
    maps = torch.stack([evaluation.relevance[index].raw() for index in indices])
    return relevant_places(maps, torch.tensor([labels[index] for index in indices]))


def warning_key(decision: Alarm) -> str:
    """Return what is told once: an alarm of a family, whichever of its cues names it best at the moment."""
    return " ".join(["alarm", *decision.families[:1]])


def sentence(watch: Watch, settings: Settings) -> str:
    """Say which cue the network follows, how much, and since when."""
    decision = watch.decision
    evidence = {cue.name: cue.evidence for cue in (*FURTHER, *settings.cues)}.get(decision.cue)
    cue = decision.cue.replace("_", " ")
    since = "Predictions" if watch.since is None else f"Since epoch {watch.since} predictions"
    certainty = "" if decision.state == CONFIRMED else ", not confirmed yet"
    amount = f"{decision.value:.0%} ± {decision.stderr:.0%} more of the images of other classes"
    than = "than keep their prediction" if evidence == "conflict" else "than with that of other images"
    most = "" if decision.target_class is None else f"; class {decision.target_class} most"
    return f"{since} follow the {cue}{certainty}: {amount} become the donor's class with its {cue} {than}{most}."
