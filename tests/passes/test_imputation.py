"""Imputation against a dense linear system."""

import itertools

import pytest
import torch

from lightning_saliency.passes.imputation import impute


def naive_impute(image, missing):
    """Solve one image's system as a dense one: each missing pixel is the weighted mean of its neighbours."""
    places = list(itertools.product(*(range(length) for length in missing.shape)))
    visible = {place: image[(slice(None), *place)] for place in places if not missing[place]}
    unknown = [place for place in places if missing[place]]
    matrix = torch.zeros(len(unknown), len(unknown), dtype=image.dtype)
    right = torch.zeros(len(unknown), len(image), dtype=image.dtype)
    for row, place in enumerate(unknown):
        for offset in itertools.product((-1, 0, 1), repeat=missing.ndim):
            neighbour = tuple(a + b for a, b in zip(place, offset, strict=True))
            if any(offset) and neighbour in places:
                weight = 0.5 ** sum(map(abs, offset))
                matrix[row, row] += weight
                if neighbour in visible:
                    right[row] += weight * visible[neighbour]
                else:
                    matrix[row, unknown.index(neighbour)] -= weight
    filled = image.clone()
    for place, value in zip(unknown, torch.linalg.solve(matrix, right), strict=True):
        filled[(slice(None), *place)] = value
    return filled


@pytest.mark.parametrize("space", [(9,), (6, 7), (3, 4, 3)])
@pytest.mark.parametrize("fraction", [0.2, 0.9])
def test_solves_the_linear_system(space, fraction):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(3, 2, *space, generator=generator, dtype=torch.float64)
    missing = torch.rand(3, *space, generator=generator) < fraction
    missing.view(3, -1)[:, 0] = False
    expected = torch.stack([naive_impute(image, mask) for image, mask in zip(images, missing, strict=True)])
    torch.testing.assert_close(impute(images, missing), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("space", [(150,), (23, 18), (1, 80), (7, 6, 5)])
@pytest.mark.parametrize("kind", ["one large hole", "holes", "nothing left", "everything left"])
def test_solves_systems_that_need_coarser_grids(space, kind):
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(1, 2, *space, generator=generator, dtype=torch.float64)
    missing = torch.rand(1, *space, generator=generator) < 0.5
    if kind != "holes":
        missing = torch.full_like(missing, kind != "everything left")
    if kind == "one large hole":
        for dimension, length in enumerate(space, 1):
            missing.narrow(dimension, 0, length // 4).fill_(False)
    missing.view(-1)[-1] = False
    expected = naive_impute(image[0], missing[0])
    torch.testing.assert_close(impute(image, missing)[0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_filled_as_exactly_as_it_can_be_written(dtype):
    images = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(3)).to(dtype)
    missing = torch.zeros(1, 24, 24, dtype=torch.bool)
    missing[:, 4:20, 3:] = True
    filled = impute(images, missing)
    assert filled.dtype == dtype
    torch.testing.assert_close(filled, impute(images.double(), missing).to(dtype), atol=1e-3, rtol=1e-2)


def test_an_image_does_not_feel_its_neighbours():
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    missing = torch.rand(4, 8, 8) < torch.tensor([0.1, 0.5, 0.9, 0.0]).reshape(4, 1, 1)
    missing[:, 0, 0] = False
    alone = torch.cat([impute(images[i : i + 1], missing[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(impute(images, missing), alone, atol=1e-9, rtol=0)
    assert torch.equal(alone[3], images[3])


def test_flat_images_stay_flat():
    images = torch.full((1, 1, 5, 5), 0.3)
    missing = torch.ones(1, 5, 5, dtype=torch.bool)
    missing[0, 2, 2] = False
    torch.testing.assert_close(impute(images, missing), images)


def test_ramp_with_a_hole_stays_a_ramp():
    ramp = torch.arange(49, dtype=torch.float64).reshape(1, 1, 7, 7)
    missing = torch.zeros(1, 7, 7, dtype=torch.bool)
    missing[0, 2:5, 2:5] = True
    torch.testing.assert_close(impute(ramp, missing), ramp, atol=1e-4, rtol=0)
