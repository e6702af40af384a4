"""The alarm is a pure decision on records."""

import pytest
import torch

from lightning_saliency import alarm, cues
from lightning_saliency.cues import Cue
from lightning_saliency.following import Following, largest_excess, refine


def record(
    cue: Cue, share: float, *, classes: int = 5, donors: int = 10, follows: tuple[int, ...] = (), kept: float = 0.0
):
    """Make a record in which a share of the donors of some classes (all by default) bring all hosts to their label.

    Of the other donors, a share keep the predictions of their hosts, and the rest bring them to a class of no donor.
    """
    labels = torch.arange(classes).repeat(donors)
    turns = torch.arange(donors).repeat_interleave(classes)
    hosts = (labels[:, None] + torch.tensor([[1, 2, 3, 4]])) % classes
    leads = (turns < round(share * donors)) & torch.isin(labels, torch.tensor(follows or tuple(range(classes))))
    keeps = ~leads & (turns >= round((1 - kept) * donors))
    elsewhere = torch.full_like(hosts, classes)
    after = torch.where(leads[:, None], labels[:, None], torch.where(keeps[:, None], hosts, elsewhere))
    return Following(cue, torch.arange(len(labels)), labels, labels, hosts, hosts, hosts, after)


def test_quiet_below_the_bound_and_suspected_above() -> None:
    for share, state in ((0.0, 0), (0.1, 0), (0.5, 1), (1.0, 1)):
        followings = {"level": record(cues.Level(), share, kept=0.0)}
        decision = alarm(followings)
        assert decision.state == state
        assert (largest_excess(followings) >= 0) == bool(state)
        if state:
            assert decision.value == pytest.approx(share)
            assert decision.families == ("tone",)
            assert decision.suspects == ("level",)
            assert len(decision.donors) == round(share * 50)


def test_one_class_is_enough_for_cues_with_a_tolerance() -> None:
    decision = alarm({"level": record(cues.Level(), 0.75, classes=12, follows=(3,), donors=12)})
    assert (decision.state, decision.target_class, decision.by_class) == (1, 3, True)
    assert decision.value == pytest.approx(9 / 12)
    assert {donor % 12 for donor in decision.donors} == {3}
    assert alarm({"spectrum": record(cues.Spectrum(), 0.7, follows=(3,), donors=12, kept=0.3)}).state == 0


def test_global_cues_have_to_beat_the_rest_of_the_host() -> None:
    for share, kept, state in ((0.6, 0.4, 0), (0.8, 0.2, 1), (0.4, 0.0, 1)):
        decision = alarm({"spectrum": record(cues.Spectrum(), share, kept=kept)})
        assert decision.state == state
        if state:
            assert decision.value == pytest.approx(share - kept)


def test_cues_that_honest_networks_follow_never_alarm() -> None:
    assert alarm({"fine_detail": record(cues.FineDetail(), 1.0)}).state == 0


def test_the_same_cue_twice_confirms() -> None:
    level, frame = record(cues.Level(), 0.6), record(cues.WideFrame(), 0.9)
    first = alarm({"level": level})
    both = alarm({"level": level, "wide_frame": frame}, previous=first)
    assert (both.state, both.cue, both.suspects) == (2, "level", ("wide_frame", "level"))
    other = alarm({"level": record(cues.Level(), 0.0), "wide_frame": frame}, previous=first)
    assert (other.state, other.cue) == (1, "wide_frame")
    assert alarm({"level": level}, previous=alarm({"level": level}, previous=first)).state == 2
    assert alarm({"level": record(cues.Level(), 0.0)}, previous=both).state == 0


def test_local_names_come_before_global_ones() -> None:
    spectrum, level = record(cues.Spectrum(), 1.0), record(cues.Level(), 0.5)
    decision = alarm({"spectrum": spectrum, "level": level})
    assert (decision.cue, decision.suspects) == ("level", ("level", "spectrum"))


def test_texture_names_only_where_no_narrower_cue_is_over_its_bound() -> None:
    for texture in (cues.Texture(), cues.Sharpness()):
        followings = {texture.name: record(texture, 1.0), "contrast": record(cues.Contrast(), 0.6)}
        assert alarm(followings).cue == "contrast"
        assert alarm(followings).suspects == ("contrast", texture.name)
        assert largest_excess(followings) == largest_excess({texture.name: followings[texture.name]})
        first = alarm({texture.name: followings[texture.name]})
        assert first.cue == texture.name
        second = alarm(followings, previous=first)
        assert (second.state, second.cue) == (2, texture.name)
        assert (
            alarm({texture.name: followings[texture.name], "spectrum": record(cues.Spectrum(), 1.0)}).cue
            == texture.name
        )
    decision = alarm({"texture": record(cues.Texture(), 1.0)})
    refined = refine(decision, {"texture": record(cues.Texture(), 1.0), "band": record(cues.Band(), 0.6)})
    assert (refined.cue, refined.state, refined.suspects) == ("band", 1, ("texture",))


def test_two_halves_confirm_within_one_evaluation() -> None:
    assert alarm({"level": record(cues.Level(), 1.0)}, halves=True).state == 2
    lopsided = record(cues.Level(), 0.5)
    turns = torch.arange(10).repeat_interleave(5)
    after = torch.where((turns % 2 == 0)[:, None], lopsided.labels[:, None], 5).expand(-1, 4)
    one_half = Following(
        *(getattr(lopsided, name) for name in ("cue", "indices", "labels", "predictions")),
        lopsided.hosts,
        lopsided.host_labels,
        lopsided.before,
        after,
    )
    assert alarm({"level": one_half}, halves=True).state == 1
    lopsided_class = record(cues.Level(), 1.0, follows=(2,))
    assert alarm({"level": lopsided_class}, halves=True).state == 2


def test_allowed_cues_may_decide() -> None:
    followings = {"colour": record(cues.Colour(), 1.0), "level": record(cues.Level(), 0.6)}
    assert alarm(followings, allow=("colour",)).cue == "level"
    assert alarm(followings, allow=("colour", "level")).state == 0
    with pytest.raises(TypeError, match="Put it in a list"):
        alarm(followings, allow="colour")
    with pytest.raises(ValueError, match=r"names of cues such as wide_frame.*but got \['color'\]"):
        alarm(followings, allow=("color",))


def test_what_is_no_decision_is_refused() -> None:
    followings = {"level": record(cues.Level(), 1.0)}
    for previous in (1, followings):
        with pytest.raises(TypeError, match=r"`previous` must be an `Alarm`, but got .*Pass a result of `alarm`"):
            alarm(followings, previous=previous)
    with pytest.raises(TypeError, match="`decision` must be an `Alarm`, but got int"):
        refine(2, followings)
    with pytest.raises(TypeError, match="`followings` must be a result of `follow`, but got list"):
        refine(alarm(followings), [followings])


def test_silent_without_accuracy_and_without_cues() -> None:
    guess = record(cues.Level(), 1.0)
    rows = guess.pack()
    rows[:, 2] = 1
    decision = alarm({"level": Following.unpack(cues.Level(), rows)})
    assert decision.state == 0
    assert "20% ± " in decision.silence
    assert "not clearly above 20%" in decision.silence
    assert alarm({}).silence == "There are no cues to decide on."
    nobody = Following.without_donors(cues.Level(), 4)
    assert alarm({"level": nobody}).silence == "Nothing follows the cue 'level', because there are no donors."
    assert Following.merge([nobody, guess]).effect.mean == guess.effect.mean


def test_few_donors_are_not_enough() -> None:
    assert alarm({"level": record(cues.Level(), 1.0, donors=1)}).state in (0, 1)
    assert alarm({"level": record(cues.Level(), 1.0, donors=1)}, halves=True).state < 2


@pytest.mark.parametrize("cue", [cue for cue in cues.DEFAULT if cue.evidence == "tolerance"], ids=lambda cue: cue.name)
def test_the_bounds_of_a_cue_are_those_that_it_states(cue: Cue) -> None:
    for share in (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8):
        follower = record(cue, share, donors=60)
        mean, classes = follower.effect.mean, follower.effect.of_classes().values()
        is_over = mean.above(2) >= max(cue.tolerance, 0.6 / 5) or any(
            one.above(2) >= cue.class_tolerance for one in classes
        )
        assert alarm({cue.name: follower}).state == int(is_over)


def test_fewer_classes_have_a_wider_bound() -> None:
    for classes, state in ((10, 1), (5, 0)):
        assert alarm({"level": record(cues.Level(), 0.1, classes=classes, donors=200)}).state == state
