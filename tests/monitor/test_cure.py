"""An alarm calls for the swap of the cue that it names, and of cues that hold what is left of it."""

from dataclasses import replace

import torch

from lightning_saliency.following import Alarm
from lightning_saliency.monitor.cure import Cure, announcement, remedies, remedy_choices

TEXTURE = Alarm(2, "texture", suspects=("texture", "spectrum"))
COLOUR = Alarm(2, "colour")


def test_more_is_swapped_for_a_cue_that_leaves_a_trace():
    assert remedies(TEXTURE, ()) == [("detail",), ("spectrum",)]
    assert remedies(COLOUR, ()) == [("colour", "spectrum")]
    cure = Cure().after(COLOUR, remedies(COLOUR, ()), 1)
    assert cure.epochs == {"colour": 1, "spectrum": 1}
    said = announcement(Cure(), cure, COLOUR, 1.0, patience=10)
    assert said.startswith("Predictions follow the colour, so the cues colour, spectrum are swapped")


def test_nothing_stands_for_cues_that_need_maps_where_no_places_are_marked():
    assert remedies(Alarm(2, "window", suspects=("window", "level")), ()) == [("level",)]
    assert remedies(Alarm(2, "unknown"), ()) == []


def test_only_what_is_not_swapped_yet_is_added_and_the_next_remedy_only_after_four_alarms():
    together = ("spectrum", "texture", "fine_detail")
    cure = Cure({"spectrum": 0}).after(TEXTURE, [together, ("level",)], 1)
    assert cure.epochs == {"spectrum": 0, "texture": 1, "fine_detail": 1}
    for epoch in range(2, 6):
        assert "level" not in cure.epochs
        cure = cure.after(TEXTURE, [together, ("level",)], epoch)
    assert cure.epochs["level"] == 5


MARKS = torch.tensor([[True, False], [False, False]])


def test_marked_places_stand_for_cues_of_places_and_are_joined_as_long_as_the_alarm_rings():
    window = Alarm(2, "window", suspects=("window", "level"), places=MARKS)
    assert remedies(window, ()) == [("places",), ("level",)]
    assert remedies(Alarm(2, "cell_1_2", places=MARKS), ()) == [("places",)]
    assert remedies(Alarm(2, "cell_1_2"), ()) == [("cell_1_2",)]
    assert remedies(Alarm(2, "wide_frame", places=MARKS), ()) == [("wide_frame", "places")]
    cure = Cure().after(window, remedies(window, ()), 1)
    assert cure.epochs == {"places": 1}
    assert torch.equal(cure.places, MARKS)
    cure = cure.after(replace(window, places=MARKS.T.flip(0)), remedies(window, ()), 2)
    assert cure.places.tolist() == [[True, False], [True, False]]
    assert torch.equal(cure.after(Alarm(), [], 3).places, cure.places)
    assert torch.equal(Cure.of_state(cure.state()).places, cure.places)


def test_places_of_another_number_of_positions_are_left_alone():
    window = Alarm(2, "window", places=MARKS)
    cure = Cure().after(window, remedies(window, ()), 1)
    assert torch.equal(cure.after(replace(window, places=MARKS[:1]), [("places",)], 2).places, MARKS)


def test_places_are_swapped_without_those_that_may_decide():
    every = torch.ones(8, 8, dtype=torch.bool)
    assert remedy_choices(["places"], (), (), every)["places"][0].marks.sum() == 64
    assert remedy_choices(["places"], (), ["wide_frame"], every)["places"][0].marks.sum() == 36
    assert remedy_choices(["places"], (), ["window"], every) == {}
    assert remedy_choices(["places"], (), (), None) == {}


def test_detail_is_swapped_unless_a_part_of_it_may_decide():
    assert [*remedy_choices(["detail"], (), ())] == ["detail"]
    for allowed in ("texture", "fine_detail"):
        assert remedy_choices(["detail"], (), [allowed]) == {}
