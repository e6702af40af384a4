"""The decision whether a network follows a shortcut."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_saliency.cues import names
from lightning_saliency.following._effect import Estimate
from lightning_saliency.following._following import Following, check_followings

State: TypeAlias = Literal[0, 1, 2]
# Of few classes each is chosen more often, for whatever reason.
TOLERANCE_TIMES_CLASSES: Final = 0.6
STANDARD_ERRORS: Final = 2.0
HALF_STANDARD_ERRORS: Final = 1.4
QUIET: Final = 0
SUSPECTED: Final = 1
CONFIRMED: Final = 2


@dataclass(frozen=True)
class Alarm:
    """Whether predictions follow a cue, and which.

    Args:
        state: 0 quiet, 1 suspected, 2 confirmed.
        cue: Name of the cue; empty if quiet.
        families: Its families, the first of them to be shown.
        target_class: The class that is followed most; `None` if quiet or if no class has two donors.
        by_class: Whether only this class is over its bound, not the mean over classes.
        value: E for cues with a tolerance, E - S for cues in conflict with the rest of the host; of the class if
            `by_class`, else the mean over classes.
        stderr: Standard error of the value.
        donors: Indices of donors whose label hosts go to, those with most hosts first.
        suspects: Names of all cues over their bound. The next evaluation confirms them.
        silence: Why there is no decision; empty if there is one.
        places: Marks the places (*S), at most 64 a side, where the images that are followed are relevant; `None` where
            that was not measured. A monitor measures it once a cue is suspected.

    Example:
        >>> Alarm().state
        0
    """

    state: State = 0
    cue: str = ""
    families: tuple[str, ...] = ()
    target_class: int | None = None
    by_class: bool = False
    value: float = 0.0
    stderr: float = 0.0
    donors: tuple[int, ...] = ()
    suspects: tuple[str, ...] = ()
    silence: str = ""
    places: Tensor | None = field(default=None, compare=False, repr=False)


class Excess(NamedTuple):
    """By how much a cue exceeds its bound, in the mean over classes or for one class."""

    following: Following
    target_class: int | None
    by_class: bool
    estimate: Estimate
    size: float

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Cues with a tolerance come before global ones, narrow ones before texture, then the larger excess.

        Texture holds edges, marks and contrast, too.
        """
        cue = self.following.cue
        return cue.evidence != "tolerance", cue.families[0] == "texture", -self.size


def alarm(
    followings: Mapping[str, Following],
    *,
    previous: Alarm | None = None,
    allow: Sequence[str] = (),
    halves: bool = False,
) -> Alarm:
    """Decide whether the network follows a cue that it should not follow.

    A cue is over its bound if the effect E of `Following` less two standard errors is at least 0.06 in the mean over
    ten classes or more (0.6 divided by the number of fewer classes), or 0.40 for a class; `window` and `texture`, which
    honest networks follow further, have wider bounds. A global cue (`evidence="conflict"`) is over its bound if E - S
    is at least zero in the mean, because honest networks follow it a little, but not against the rest of the image.
    The cue that exceeds its bound most gives the name; global ones come last, and `texture` and `sharpness` just before
    them, because they hold marks, edges and contrast as well.

    Without `previous` and `halves` a cue is suspected at most.

    Args:
        followings: Results of `follow` by name of the cue, merged over processes.
        previous: The decision of the evaluation before. It confirms a cue that was over its bound then, too.
        allow: Names of cues that may decide, such as `"colour"` for ripe fruit.
        halves: Whether a cue is confirmed if two disjoint halves of the donors show it, each by 1.4 standard errors.

    Returns:
        The decision. It is silent while accuracy on the donors is not clearly above chance.

    Raises:
        TypeError: If `allow` is a string, or `previous` is no decision.
        ValueError: If `allow` has an unknown name.

    Example:
        >>> import torch
        >>> from lightning_saliency.cues import Level
        >>> from lightning_saliency.following import Following
        >>> labels = torch.arange(2).repeat(8)
        >>> hosts = torch.tensor([[0, 1]]).expand(16, 2)
        >>> after = labels[:, None].expand(16, 2)
        >>> level = Following(Level(), torch.arange(16), labels, labels, hosts, hosts, hosts, after)
        >>> first = alarm({"level": level})
        >>> first.state, first.cue, first.value
        (1, 'level', 1.0)
        >>> alarm({"level": level}, previous=first).state
        2
        >>> alarm({"level": level}, allow=("level",)).state
        0
    """
    check_followings(followings)
    _check_allow(allow, followings)
    if previous is not None:
        _check_decision("previous", previous)
    silence = silence_of(followings)
    if silence:
        return Alarm(silence=silence)
    candidates = [following for name, following in followings.items() if name not in allow]
    excesses = _suspected(candidates)
    if not excesses:
        return Alarm()
    seconds = set() if previous is None else {*previous.suspects}
    if halves:
        seconds |= _in_both_halves(candidates)
    confirmed = [excess for excess in excesses if excess.following.name in seconds]
    return _alarm_of((confirmed or excesses)[0], CONFIRMED if confirmed else SUSPECTED, excesses)


def refine(decision: Alarm, followings: Mapping[str, Following]) -> Alarm:
    """Name the cue of an alarm more closely, by further cues of the same families.

    Args:
        decision: The alarm.
        followings: Results of `follow` for further cues, such as `cues.FURTHER`, together with those decided on.

    Returns:
        The alarm with the cue that exceeds its bound most, `texture` and `sharpness` last. State and suspects stay,
        because a rate of false alarms is known for the decision alone.

    Raises:
        TypeError: If `decision` is none, or `followings` are no results of `follow`.

    Example:
        >>> import torch
        >>> from lightning_saliency import alarm, cues, follow
        >>> images, labels = torch.zeros(16, 1, 16, 16), torch.arange(16) % 2
        >>> images[:, 0, 0, 0] = labels.float()
        >>> def reads_a_corner(images):
        ...     return torch.stack([1 - images[:, 0, 0, 0], images[:, 0, 0, 0]], dim=1)
        >>> followings = follow(reads_a_corner, images, labels, ["wide_frame"])
        >>> further = follow(reads_a_corner, images, labels, ["cell"])
        >>> refine(alarm(followings), further).cue
        'cell_0_0'
    """
    _check_decision("decision", decision)
    check_followings(followings)
    related = [following for following in followings.values() if {*following.cue.families} & {*decision.families}]
    excesses = _suspected(related)
    if not excesses:
        return decision
    return replace(_alarm_of(excesses[0], decision.state, excesses), suspects=decision.suspects)


def largest_excess(followings: Mapping[str, Following]) -> float:
    """Return by how much the strongest cue exceeds its bound: the number that orders networks. Above zero is an alarm.

    Args:
        followings: Results of `follow` by name of the cue.

    Returns:
        The excess; minus infinity if there is no decision.

    Example:
        >>> largest_excess({})
        -inf
    """
    if silence_of(followings):
        return -math.inf
    excesses = (excess for following in followings.values() for excess in _excesses(following, STANDARD_ERRORS))
    return max((excess.size for excess in excesses), default=-math.inf)


def silence_of(followings: Mapping[str, Following]) -> str:
    """Return why nothing can be decided; empty if accuracy on the donors is clearly above chance."""
    check_followings(followings)
    present = [following for following in followings.values() if not following.absence]
    if not present:
        return next((following.absence for following in followings.values()), "There are no cues to decide on.")
    accuracy, stderr, chance = _accuracy(present[0])
    if accuracy - STANDARD_ERRORS * stderr > chance:
        return ""
    return (
        f"The accuracy on the donors is {accuracy:.0%} ± {stderr:.0%}, averaged over classes, which is not clearly "
        f"above {chance:.0%}, that of one class for every image."
    )


def _accuracy(following: Following) -> tuple[float, float, float]:
    """Return the mean over classes of the share of donors that are right, its error, and that of a constant guess."""
    classes, members = following.labels.unique(return_inverse=True)
    counts = torch.bincount(members).double()
    hits = torch.zeros_like(counts).index_add_(0, members, (following.predictions == following.labels).double())
    # Smoothed, so that a class of one image does not seem certain.
    likely = (hits + 0.5) / (counts + 1)
    stderr = (likely * (1 - likely) / counts).sum().sqrt() / len(classes)
    return float((hits / counts).mean()), float(stderr), 1 / len(classes)


def _suspected(followings: Iterable[Following]) -> list[Excess]:
    """Return the cues over their bounds, the most telling first."""
    excesses = (excess for following in followings if (excess := _largest(following, STANDARD_ERRORS)))
    return sorted((excess for excess in excesses if excess.size >= 0), key=lambda excess: excess.rank)


def _largest(following: Following, times: float) -> Excess | None:
    """Return the excess of the mean if it is over its bound, else the largest."""
    excesses = _excesses(following, times)
    if excesses and excesses[0].size >= 0:
        return excesses[0]
    return max(excesses, key=lambda excess: excess.size, default=None)


def _excesses(following: Following, times: float) -> list[Excess]:
    """Compare the mean, and for cues with a tolerance the classes of at least two donors, with their bounds."""
    cue, evidence = following.cue, following.cue.evidence
    if following.absence or evidence == "never":
        return []
    effect = following.effect if evidence == "tolerance" else following.conflict
    classes = sorted(effect.of_classes().items(), key=lambda item: -item[1].above(times))
    strongest = classes[0][0] if classes else None
    few_classes = TOLERANCE_TIMES_CLASSES / max(1, len(effect.classes))
    tolerance, by_class = (max(cue.tolerance, few_classes), classes) if evidence == "tolerance" else (0.0, [])
    return [
        Excess(following, strongest, False, effect.mean, effect.mean.above(times) - tolerance),
        *(Excess(following, label, True, one, one.above(times) - cue.class_tolerance) for label, one in by_class),
    ]


def _alarm_of(excess: Excess, state: State, excesses: Sequence[Excess]) -> Alarm:
    following = excess.following
    return Alarm(
        state,
        following.name,
        following.cue.families,
        excess.target_class,
        excess.by_class,
        *excess.estimate,
        _donors(following, excess.target_class if excess.by_class else None),
        tuple(other.following.name for other in excesses),
    )


def _donors(following: Following, target_class: int | None) -> tuple[int, ...]:
    """List donors that hosts follow, of one class or of all, those with most of their hosts first."""
    shares = following.shares.nan_to_num()
    if target_class is not None:
        shares = torch.where(following.labels == target_class, shares, 0.0)
    order = shares.argsort(descending=True, stable=True)
    return tuple(following.indices[order[shares[order] > 0]].tolist())


def _in_both_halves(followings: Sequence[Following]) -> set[str]:
    """Name the cues that both halves of the donors show, in the mean or for the same class."""
    return {
        following.name
        for following in followings
        if set.intersection(*(_signs(half, HALF_STANDARD_ERRORS) for half in _halves(following)))
    }


def _halves(following: Following) -> list[Following]:
    """Put every other donor of each class into one half."""
    turns = torch.zeros_like(following.labels)
    for label in following.labels.unique():
        rows = (following.labels == label).nonzero().flatten()
        turns[rows] = torch.arange(len(rows)) % 2
    return [following.take((turns == turn).nonzero().flatten()) for turn in (0, 1)]


def _signs(following: Following, times: float) -> set[int | None]:
    """List the classes over their bound, and `None` if the mean over classes is."""
    return {
        excess.target_class if excess.by_class else None for excess in _excesses(following, times) if excess.size >= 0
    }


def _check_allow(allow: object, followings: Mapping[str, Following]) -> None:
    if isinstance(allow, str) or not isinstance(allow, Sequence):
        raise TypeError(f"`allow` must be a sequence of names of cues, but got {allow!r}.  Put it in a list.")
    unknown = [name for name in allow if name not in {*names(), *followings}]
    if unknown:
        raise ValueError(f"`allow` must have names of cues such as {', '.join(names()[:6])}, but got {unknown}.")


def _check_decision(name: str, decision: object) -> None:
    if not isinstance(decision, Alarm):
        raise TypeError(f"`{name}` must be an `Alarm`, but got {type(decision).__name__}.  Pass a result of `alarm`.")
