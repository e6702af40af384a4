"""An alarm calls for the swap of the cue that it names, and of cues that hold what is left of it."""

from lightning_saliency.following import Alarm
from lightning_saliency.monitor.cure import Cure, announcement, remedies

TEXTURE = Alarm(2, "texture", suspects=("texture", "spectrum"))
TOGETHER = ("texture", "fine_detail", "spectrum")


def test_partners_are_swapped_with_a_cue_that_leaves_a_trace():
    assert remedies(TEXTURE, ()) == [TOGETHER, ("spectrum",)]
    assert remedies(Alarm(2, "colour"), ()) == [("colour", "spectrum")]
    cure = Cure().after(TEXTURE, remedies(TEXTURE, ()), 1)
    assert cure.epochs == dict.fromkeys(TOGETHER, 1)
    said = announcement(Cure(), cure, TEXTURE, 1.0, patience=10)
    assert said.startswith("Predictions follow the texture, so the cues texture, fine detail, spectrum are swapped")


def test_cells_stand_for_places_and_nothing_for_other_cues_that_need_maps():
    assert remedies(Alarm(2, "window", suspects=("window", "level")), ()) == [("cell",), ("level",)]
    assert remedies(Alarm(2, "unknown"), ()) == []


def test_only_what_is_not_swapped_yet_is_added_and_the_next_remedy_only_after_four_alarms():
    cure = Cure({"spectrum": 0}).after(TEXTURE, [TOGETHER, ("level",)], 1)
    assert cure.epochs == {"spectrum": 0, "texture": 1, "fine_detail": 1}
    for epoch in range(2, 6):
        assert "level" not in cure.epochs
        cure = cure.after(TEXTURE, [TOGETHER, ("level",)], epoch)
    assert cure.epochs["level"] == 5
