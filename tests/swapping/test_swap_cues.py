"""Images get cues of images of other classes, and a cue that is always drawn tells nothing about the class."""

import copy
import pickle

import pytest
import torch

from lightning_saliency import SwapCues, cues
from lightning_saliency.extend import Cue
from tests.callbacks.test_cues import Corner


def levelled(labels, side=8, channels=1):
    """Make constant images whose level is the label."""
    return labels.float().reshape(-1, 1, 1, 1).expand(-1, channels, side, side).clone()


def levels(images):
    return images.flatten(1).median(dim=1).values


@pytest.mark.parametrize("counts", [(500, 500), (900, 100), (400, 300, 200, 100)], ids=str)
def test_a_cue_that_is_always_drawn_tells_nothing_about_the_class(counts):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    swapped = levels(SwapCues(["level"], probability=1)(levelled(labels), labels)).long()
    total = len(labels)
    for label, count in enumerate(counts):
        of_class = torch.bincount(swapped[labels == label], minlength=len(counts)) / count
        for other, other_count in enumerate(counts):
            share = other_count / total
            assert of_class[other] == pytest.approx(share, abs=4 * (share * (1 - share) / count) ** 0.5)


@pytest.mark.parametrize("probability", [0.25, 0.8])
def test_the_share_of_changed_images_is_the_probability_times_that_of_other_classes(probability):
    labels = torch.arange(2000) % 5
    changed = levels(SwapCues(["level"], probability=probability)(levelled(labels), labels)) != labels
    assert changed.float().mean() == pytest.approx(probability * 0.8, abs=0.03)


def test_images_and_labels_stay_as_they_are():
    labels = torch.arange(12) % 3
    images = levelled(labels)
    before, labels_before = images.clone(), labels.clone()
    swapped = SwapCues(["level"])(images, labels)
    assert torch.equal(images, before)
    assert torch.equal(labels, labels_before)
    assert swapped.data_ptr() != images.data_ptr()
    assert not torch.equal(swapped, images)


def test_only_images_of_other_classes_give_cues():
    labels = torch.tensor([0] * 10 + [1])
    swapped = levels(SwapCues(["level"], seed=2)(levelled(labels) * 5, labels))
    assert {*swapped[labels == 1].tolist()} <= {0.0, 5.0}
    assert {*swapped[labels == 0].tolist()} == {0.0, 5.0}


@pytest.mark.parametrize(
    "labels", [torch.zeros(6, dtype=torch.int64), torch.tensor([3])], ids=["one class", "one image"]
)
def test_a_batch_without_donors_is_left_as_it_is(labels):
    images = torch.rand(len(labels), 1, 8, 8)
    assert torch.equal(SwapCues()(images, labels), images)


def test_one_image_without_a_label_is_left_as_it_is():
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(SwapCues()(image), image)


def test_without_labels_every_other_image_may_give_its_cue():
    images = levelled(torch.arange(400))
    swapped = levels(SwapCues(["level"])(images))
    assert (swapped != torch.arange(400)).float().mean() > 0.98
    assert len(swapped.unique()) > 200


def test_labels_of_several_classes_an_image_are_compared_as_rows():
    labels = torch.tensor([[1.0, 0, 1], [1, 0, 1], [0, 1, 0], [0, 1, 0]]).repeat(50, 1)
    swapped = levels(SwapCues(["level"])(levelled(labels[:, 0]), labels))
    share = (swapped != labels[:, 0]).float().mean()
    assert share == pytest.approx(0.5, abs=0.1)


def test_each_image_gets_one_of_the_cues():
    """Corners of two cues do not overlap, so that the one that was swapped can be told."""
    labels = torch.arange(1000)
    images = levelled(labels, side=16)
    swapped = SwapCues(["cell_0_0", "cell_3_3", "cell_0_3"])(images)
    corners = torch.stack([swapped[:, 0, row, column] for row, column in ((0, 0), (15, 15), (0, 15))], dim=1)
    changed = corners != labels[:, None]
    assert (changed.sum(dim=1) <= 1).all()
    assert changed.float().mean(dim=0).tolist() == pytest.approx([1 / 3] * 3, abs=0.06)


def test_of_sixteen_cells_an_image_gets_four_of_one_donor():
    images = levelled(torch.arange(300), side=16)
    swapped = SwapCues(["cell"])(images)[:, 0, ::4, ::4].flatten(1)
    changed = swapped != torch.arange(300)[:, None]
    assert {*changed.sum(dim=1).tolist()} <= {0, 4}
    assert all(len(row[changes].unique()) <= 1 for row, changes in zip(swapped, changed, strict=True))
    assert changed.float().mean(dim=0).tolist() == pytest.approx([0.25] * 16, abs=0.09)


def test_it_is_what_the_cue_does():
    images = torch.randn(2, 3, 16, 16)
    for name in ("wide_frame", "level", "colour", "spectrum", "sharpness", "shift", "zoom", "layout", "texture"):
        (cue,) = cues.select([name])
        candidates = [images, cue(images, images.flip(0))]
        for seed in range(8):
            swapped = SwapCues([name], seed=seed)(images)
            for row in (0, 1):
                assert any(torch.allclose(swapped[row], each[row]) for each in candidates), name


def test_a_cue_of_the_users_own_is_swapped_too():
    labels = torch.arange(40)
    swapped = SwapCues([Corner()])(levelled(labels))
    assert (swapped[:, 0, 0, 0] != labels).sum() > 30
    assert torch.equal(swapped[:, 0, 4, 4], labels.float())


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 20, 24), (13, 16, 16), (2, 40), (1, 8, 8, 8), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_default_cues_are_those_that_apply(shape, dtype):
    images = torch.randn(24, *shape).to(dtype)
    swapped = SwapCues()(images, torch.arange(24) % 3)
    assert swapped.dtype == dtype
    assert swapped.shape == images.shape
    assert swapped.isfinite().all()
    assert not torch.equal(swapped, images)


def test_memory_format_is_kept():
    images = torch.rand(8, 3, 16, 16).to(memory_format=torch.channels_last)
    assert SwapCues()(images).is_contiguous(memory_format=torch.channels_last)


def test_equal_seeds_draw_the_same_and_calls_go_on():
    images, labels = torch.rand(16, 1, 8, 8), torch.arange(16) % 4
    first, same, other = SwapCues(["level"], seed=1), SwapCues(["level"], seed=1), SwapCues(["level"], seed=2)
    once, twice = first(images, labels), first(images, labels)
    assert torch.equal(same(images, labels), once)
    assert not torch.equal(once, twice)
    assert not torch.equal(other(images, labels), once)


def test_it_goes_on_from_the_state_of_its_generator():
    images = torch.rand(16, 1, 8, 8)
    through, resumed = SwapCues(), SwapCues()
    through(images)
    state = through.generator.get_state()
    resumed.generator.set_state(state)
    assert torch.equal(through(images), resumed(images))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda swap: pickle.loads(pickle.dumps(swap))], ids=["copy", "pickle"]
)
def test_copies_draw_as_the_original(copied):
    images = torch.rand(16, 1, 8, 8)
    swap = SwapCues(["level", "cell"])
    again = copied(swap)
    assert again == swap
    assert torch.equal(again(images), swap(images))


def test_it_is_a_frozen_value():
    assert SwapCues(["level"]) == SwapCues(("level",)) != SwapCues(["level"], seed=1)
    assert len({SwapCues(["level"]), SwapCues(["level"])}) == 1
    with pytest.raises(AttributeError):
        SwapCues().probability = 0.5


def test_random_state_and_defaults_of_torch_do_not_matter():
    images, labels = torch.rand(16, 1, 8, 8), torch.arange(16) % 4
    expected, state = SwapCues()(images, labels), torch.get_rng_state()
    torch.manual_seed(7)
    before = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            swapped = SwapCues()(images, labels)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(swapped, expected)
    assert torch.equal(torch.get_rng_state(), before)
    torch.set_rng_state(state)


def test_gradients_are_not_recorded():
    assert not SwapCues()(torch.rand(8, 1, 8, 8, requires_grad=True)).requires_grad


MAPPED = [cue.name for cue in (*cues.DEFAULT, *cues.FURTHER) if cue.needs_maps]


@pytest.mark.parametrize("name", MAPPED)
def test_cues_that_need_maps_are_refused_by_name(name):
    with pytest.raises(ValueError, match=rf"no maps, but got \['{name}'\].  Use 'cell'"):
        SwapCues(["level", name])


WRONG = {
    "unknown": ({"cues": ["hole"]}, ValueError, "`cues` must hold names"),
    "text": ({"cues": "level"}, TypeError, "`cues` must be a sequence"),
    "number": ({"cues": [3]}, TypeError, "`cues` must hold names"),
    "none": ({"cues": ()}, ValueError, "at least one cue, but got none"),
    "twice": ({"cues": ["cell", "cell_0_0"]}, ValueError, "distinct names"),
    "never": ({"probability": 0}, ValueError, r"\(0, 1\], but got 0"),
    "more than always": ({"probability": 1.5}, ValueError, r"\(0, 1\], but got 1.5"),
    "probability text": ({"probability": "often"}, TypeError, "`probability`"),
    "seed": ({"seed": -1}, ValueError, "`seed`"),
}


@pytest.mark.parametrize(("options", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        SwapCues(**options)


class Wide(Cue):
    """Needs more than the images of the test have."""

    name = "wide"
    families = ("place",)
    min_side = 64

    def transplant(self, hosts, donors, donor_maps):
        return donors


CALLS = {
    "integers": ([None, torch.zeros(4, 1, 8, 8, dtype=torch.uint8)], TypeError, "floating point"),
    "no tensor": ([None, [1, 2]], TypeError, "tensor"),
    "no channels": ([None, torch.rand(4, 8)], ValueError, r"\(B, C, \*S\)"),
    "too few labels": (
        [None, torch.rand(4, 1, 8, 8), torch.arange(3)],
        ValueError,
        r"each of 4 images, but got shape \(3,\)",
    ),
    "labels in a list": ([None, torch.rand(4, 1, 8, 8), [0, 1, 2, 3]], ValueError, "but got list"),
    "grey": ([["colour"], torch.rand(4, 1, 8, 8)], ValueError, "'colour' must have at least 2 channels"),
    "volume": ([["cell"], torch.rand(4, 1, 8, 8, 8)], ValueError, "'cell_0_0' must have 2 spatial dimensions"),
    "small": (
        [["wide_frame"], torch.rand(4, 1, 2, 2)],
        ValueError,
        "'wide_frame' must have sides of at least 3 pixels",
    ),
    "small for a cue of the user's": (
        [[Wide()], torch.rand(4, 1, 8, 8)],
        ValueError,
        "'wide' must have sides of at least 64",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), CALLS.values(), ids=CALLS)
def test_images_that_do_not_fit_are_refused_by_name(call, error, message):
    chosen, *arguments = call
    with pytest.raises(error, match=message):
        SwapCues(chosen)(*arguments)
