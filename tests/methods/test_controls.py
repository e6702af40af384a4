"""Maps that know no model."""

import pytest
import torch

from lightning_saliency.methods import EdgeMap, RandomMap
from tests.methods.tiny import pictures


def test_random_map_belongs_to_the_image_wherever_it_stands():
    images = pictures()
    maps = RandomMap()(None, images)
    assert torch.equal(RandomMap()(None, images.flip(0)).flip(0), maps)
    assert torch.equal(torch.cat([RandomMap()(None, image[None]) for image in images]), maps)
    assert torch.equal(RandomMap()(None, images.contiguous(memory_format=torch.channels_last)), maps)


def test_random_map_changes_with_any_pixel_and_with_the_seed():
    images = pictures()
    changed = images.clone()
    changed[0, 0, 0, 0] += 0.01
    maps, others = RandomMap()(None, images), RandomMap()(None, changed)
    assert not torch.allclose(maps[0], others[0])
    assert torch.equal(maps[1:], others[1:])
    assert not torch.allclose(maps, RandomMap(seed=1)(None, images))
    assert torch.unique(maps).numel() > 0.99 * maps.numel()


def test_random_map_is_uniform():
    maps = RandomMap()(None, pictures(200, channels=1, size=(16, 16)))
    assert maps.mean().item() == pytest.approx(0.5, abs=0.01)
    assert maps.var().item() == pytest.approx(1 / 12, abs=0.002)
    assert 0 <= maps.min() < maps.max() < 1


@pytest.mark.parametrize("size", [(7,), (8, 8), (5, 1), (4, 5, 6)])
def test_edge_map_is_the_sobel_magnitude_of_scipy(size):
    ndimage = pytest.importorskip("scipy.ndimage")
    images = pictures(2, size=size)
    slopes = [
        [torch.tensor(ndimage.sobel(grey, axis=axis, mode="nearest")) for axis in range(len(size))]
        for grey in images.mean(dim=1).numpy()
    ]
    expected = torch.stack([torch.stack(axes).square().sum(dim=0).sqrt() for axes in slopes])
    torch.testing.assert_close(EdgeMap()(None, images), expected.float())


def test_edges_of_a_ramp_are_even_and_of_a_constant_image_nowhere():
    ramp = torch.arange(6.0).expand(1, 2, 4, 6)
    assert (EdgeMap()(None, ramp)[..., 1:-1] == 8).all()
    assert not EdgeMap()(None, torch.ones(1, 3, 5, 4)).any()
