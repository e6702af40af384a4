"""Marked places are swapped all at once, so that nothing is left of a sign that is at one of them."""

import pytest
import torch

from lightning_saliency.swapping.choices import choices_of
from lightning_saliency.swapping.places import Places, stretched, without_regions
from lightning_saliency.swapping.swapped import swap

MARKS = torch.tensor([[True, False], [False, False]])


def test_places_are_stretched_to_the_images():
    images = torch.stack([torch.zeros(3, 6, 8), torch.ones(3, 6, 8)])
    hosts = Places(MARKS)(images, images.flip(0))
    assert (hosts[0, :, :3, :4] == 1).all()
    assert hosts[0].sum() == 3 * 12
    assert torch.equal(stretched(torch.eye(4, dtype=torch.bool), (2, 2)), torch.eye(2, dtype=torch.bool))


@pytest.mark.parametrize("space", [(5,), (4, 6), (4, 4, 6)])
def test_places_have_any_number_of_dimensions_and_channels(space):
    marks = torch.zeros([2] * len(space), dtype=torch.bool)
    marks[(0,) * len(space)] = True
    hosts = torch.zeros(1, 7, *space)
    changed = Places(marks)(hosts, hosts + 1)
    assert changed.flatten(2)[0, :, 0].sum() == 7
    assert changed.flatten(2)[0, :, -1].sum() == 0


def test_places_of_pictures_do_not_apply_to_volumes():
    assert Places(MARKS).misfit((1, 4, 4)) == ""
    assert Places(MARKS).misfit((1, 4, 4, 4)) == "Images must have 2 spatial dimensions, but got shape (1, 4, 4, 4)."


def test_regions_that_may_decide_are_no_places():
    every = torch.ones(8, 8, dtype=torch.bool)
    left = without_regions(every, [*choices_of(["wide_frame"])["wide_frame"], *choices_of(["level"])["level"]])
    assert torch.equal(left, torch.nn.functional.pad(torch.ones(6, 6, dtype=torch.bool), (1, 1, 1, 1)))
    assert without_regions(every, choices_of(["cell"])["cell"]).sum() == 0


def test_an_image_gets_all_places_of_one_donor():
    """Each image is its own class. A cell shows the donor of the cell, a corner that of the marks."""
    images = torch.arange(50.0).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    choices = {**choices_of(["cell_3_3"]), "places": (Places(MARKS),)}
    result = swap(images, None, choices, 1.0, torch.Generator().manual_seed(0), joins_places=True)
    first, last, between = (result.images[:, 0, row, column] for row, column in ((0, 0), (7, 7), (0, 7)))
    assert torch.equal(first, last)
    assert torch.equal(between, images[:, 0, 0, 7])
    changed = int((first != between).sum())
    assert changed > 40
    assert {name: int(count) for name, count in result.counts.items()} == {"cell_3_3": changed, "places": changed}


def test_an_image_gets_all_places_and_one_of_the_other_cues_of_one_donor():
    images = torch.arange(1.0, 301).reshape(-1, 1, 1, 1) * torch.linspace(0.9, 1.1, 64).reshape(1, 1, 8, 8)
    choices = {**choices_of(["contrast", "level"]), "places": (Places(MARKS),)}
    result = swap(images, None, choices, 1.0, torch.Generator().manual_seed(0), joins_places=True)
    counts = {name: int(count) for name, count in result.counts.items()}
    assert counts["contrast"] + counts["level"] == counts["places"] > 280
    assert min(counts["contrast"], counts["level"]) > 100


def test_a_sign_that_one_of_two_places_holds_tells_nothing_if_they_are_joined_and_much_in_turn():
    labels = torch.arange(2000) % 4
    images = torch.zeros(2000, 1, 8, 8)
    images[:, 0, 0, 0] = labels.float()
    choices = choices_of(["cell_0_0", "cell_3_3"])
    shares = []
    for joins in (True, False):
        changed = swap(images, labels, choices, 1.0, torch.Generator().manual_seed(0), joins_places=joins).images
        shares.append(float((changed[:, 0, 0, 0] == labels).float().mean()))
    assert shares == pytest.approx([1 / 4, 5 / 8], abs=0.04)
