"""Places where a class has much relevance are marked, and those of objects, which move, are not."""

import pytest
import torch

from lightning_saliency.following._places import relevant_places


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_places_of_the_signs_of_all_classes_are_marked(classes):
    maps, labels = torch.full((4 * classes, 16, 16), 0.01), torch.arange(4 * classes) % classes
    maps[labels == 0, 3, 3] = 1
    maps[labels == 1, 12, 10] = 1
    marks = relevant_places(maps, labels)
    assert marks[3, 3]
    assert marks[12, 10]
    assert not marks[8, 13]
    assert marks.float().mean() < 0.15


def test_what_is_relevant_in_every_class_is_not_marked():
    maps, labels = torch.full((30, 16, 16), 0.01), torch.arange(30) % 3
    maps[:, 8, 8] = 1
    maps[labels == 2, 2, 13] = 0.5
    marks = relevant_places(maps, labels)
    assert marks[2, 13]
    assert not marks[8, 8]


def test_the_scale_of_a_map_does_not_matter():
    maps, labels = torch.rand(12, 9, 9), torch.arange(12) % 3
    scaled = maps * torch.logspace(-3, 3, 12).reshape(-1, 1, 1)
    assert torch.equal(relevant_places(maps, labels), relevant_places(scaled, labels))


def test_blank_maps_and_a_single_class_have_no_places():
    assert not relevant_places(torch.zeros(4, 8, 8), torch.arange(4)).any()
    assert not relevant_places(torch.rand(4, 8, 8), torch.zeros(4, dtype=torch.int64)).any()


@pytest.mark.parametrize("space", [(12,), (6, 6, 6)])
def test_signals_and_volumes_have_places(space):
    maps = torch.full((4, *space), 0.01)
    maps[(slice(0, 2), *[4] * len(space))] = 1
    assert relevant_places(maps, torch.tensor([0, 0, 1, 1]))[(4,) * len(space)]
