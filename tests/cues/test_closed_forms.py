"""Cues on images for which the result is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_saliency.cues import (
    Band,
    Cell,
    CoarseShape,
    Colour,
    Contrast,
    Cue,
    FineDetail,
    Frame,
    Layout,
    Level,
    Moved,
    Rest,
    Sharpness,
    Shift,
    Spectrum,
    Surroundings,
    Texture,
    WideFrame,
    Window,
    Zoom,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


HOSTS, DONORS = noise(4, 3, 32, 32), 2 * noise(4, 3, 32, 32, seed=1) + 1
MAPS = noise(4, 32, 32, seed=2).abs()


def taken(cue: Cue, hosts: Tensor = HOSTS, donors: Tensor = DONORS, maps: Tensor = MAPS) -> Tensor:
    """Mark the pixels (B, H, W) that are the donor's; the others must be the host's."""
    changed = cue(hosts, donors, maps)
    from_donor = (changed == donors).all(dim=1)
    assert torch.equal(from_donor, ~(changed == hosts).all(dim=1))
    return from_donor


@pytest.mark.parametrize(("side", "thin", "wide"), [(32, 2, 4), (224, 14, 28), (8, 1, 1), (15, 1, 2)])
def test_frames_are_shares_of_the_side(side: int, thin: int, wide: int) -> None:
    hosts, donors = noise(1, 1, side, side), noise(1, 1, side, side, seed=1)
    for cue, width in ((Frame(), thin), (WideFrame(), wide)):
        inner = torch.ones(1, side, side, dtype=torch.bool)
        inner[:, width : side - width, width : side - width] = False
        assert torch.equal(taken(cue, hosts, donors), inner)


def test_the_window_is_the_square_with_most_relevance() -> None:
    for row, marks in enumerate(taken(Window())):
        sums = {
            (top, left): MAPS[row, top : top + 8, left : left + 8].sum().item()
            for top in range(25)
            for left in range(25)
        }
        top, left = max(sums, key=sums.__getitem__)
        expected = torch.zeros(32, 32, dtype=torch.bool)
        expected[top : top + 8, left : left + 8] = True
        assert torch.equal(marks, expected)
    assert torch.equal(taken(Rest()), ~taken(Window()))


def test_the_moved_window_has_the_same_content_elsewhere() -> None:
    changed = Moved()(HOSTS, DONORS, MAPS)
    for row, window in enumerate(taken(Window())):
        content = DONORS[row, :, window].reshape(3, 8, 8)
        moved = ~(changed[row] == HOSTS[row]).all(dim=0)
        assert torch.equal(changed[row, :, moved].reshape(3, 8, 8), content)
        assert not torch.equal(moved, window)


def test_surroundings_leave_the_most_relevant_two_fifths() -> None:
    marks = taken(Surroundings())
    assert (~marks).flatten(1).sum(dim=1).tolist() == [410] * 4
    assert (MAPS[~marks].reshape(4, -1).amin(dim=1) >= MAPS[marks].reshape(4, -1).amax(dim=1)).all()


def test_cells_cover_a_picture_once() -> None:
    for shape in ((32, 32), (30, 45), (4, 5)):
        hosts, donors = noise(1, 1, *shape), noise(1, 1, *shape, seed=1)
        cells = [taken(Cell(row, column), hosts, donors) for row in range(4) for column in range(4)]
        assert (torch.stack(cells).sum(dim=0) == 1).all()
    assert taken(Cell(0, 3))[0].nonzero().amin(dim=0).tolist() == [0, 24]
    with pytest.raises(ValueError, match="Expected `row` to be one of 0, 1, 2, 3, but got 4"):
        Cell(4, 0)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_band_crosses_the_picture_where_it_is_relevant(axis: int) -> None:
    maps = torch.zeros(1, 32, 32)
    maps[:, 20:24, 0::3] = 1
    maps = maps.transpose(1, 2) if axis else maps
    expected = torch.zeros(1, 32, 32, dtype=torch.bool)
    expected.narrow(1 + axis, 20, 4).fill_(True)
    assert torch.equal(taken(Band(), HOSTS[:1], DONORS[:1], maps), expected)


def test_the_level_is_the_median() -> None:
    changed = Level()(HOSTS, DONORS)
    assert torch.allclose(changed.flatten(1).median(dim=1).values, DONORS.flatten(1).median(dim=1).values)
    steps = (changed - HOSTS).flatten(1)
    assert torch.allclose(steps, steps[:, :1].expand_as(steps))


def test_colours_are_the_medians_of_channels_beside_the_level() -> None:
    both = Level()(Colour()(HOSTS, DONORS), DONORS)
    plain = Colour()(HOSTS, DONORS).flatten(2).median(dim=2).values
    levels = DONORS.flatten(1).median(dim=1).values - HOSTS.flatten(1).median(dim=1).values
    assert torch.allclose(plain + levels[:, None], DONORS.flatten(2).median(dim=2).values)
    assert both.shape == HOSTS.shape
    grey = DONORS[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(Colour()(HOSTS[:, :1].expand(-1, 3, -1, -1), grey), HOSTS[:, :1].expand(-1, 3, -1, -1))


def test_contrast_is_the_standard_deviation() -> None:
    changed = Contrast()(HOSTS, DONORS).flatten(1)
    assert torch.allclose(changed.std(dim=1), DONORS.flatten(1).std(dim=1))
    assert torch.allclose(changed.mean(dim=1), HOSTS.flatten(1).mean(dim=1))


@pytest.mark.parametrize("shape", [(32, 32), (31, 45), (8, 9)])
def test_the_spectrum_has_the_donors_amplitude_and_the_hosts_phase(shape: tuple[int, int]) -> None:
    hosts, donors = noise(2, 3, *shape) + 3, noise(2, 3, *shape, seed=1) + 2
    changed = np.fft.fft2(Spectrum()(hosts, donors).numpy())
    assert np.allclose(np.abs(changed), np.abs(np.fft.fft2(donors.numpy())))
    expected = np.fft.fft2(hosts.numpy())
    assert np.allclose(changed / np.abs(changed), expected / np.abs(expected), atol=1e-6)


def test_sharpness_moves_power_between_rings_and_keeps_phases() -> None:
    changed = torch.fft.fft2(Sharpness()(HOSTS, DONORS))
    ours, theirs = torch.fft.fft2(HOSTS), torch.fft.fft2(DONORS)
    across, down = torch.meshgrid(torch.fft.fftfreq(32) * 32, torch.fft.fftfreq(32) * 32, indexing="ij")
    rings = torch.sqrt(across.double() ** 2 + down.double() ** 2).ceil().long()
    for ring in range(1, int(rings.max()) + 1):
        member = rings == ring
        assert torch.allclose(
            changed[..., member].abs().square().sum((1, 2)), theirs[..., member].abs().square().sum((1, 2))
        )
    assert torch.allclose(changed[..., 0, 0], ours[..., 0, 0])
    assert torch.allclose(changed.angle().cos(), ours.angle().cos(), atol=1e-6)


def test_layout_gives_each_quarter_the_donors_mean() -> None:
    hosts, donors = HOSTS[..., :31], DONORS[..., :31]
    changed = Layout()(hosts, donors)
    for rows in (slice(0, 16), slice(16, 32)):
        for columns in (slice(0, 15), slice(15, 31)):
            assert torch.allclose(changed[..., rows, columns].mean((2, 3)), donors[..., rows, columns].mean((2, 3)))
            steps = (changed - hosts)[..., rows, columns]
            assert torch.allclose(steps, steps.mean((2, 3), keepdim=True).expand_as(steps))


def test_fine_detail_and_coarse_shape_are_the_two_parts_of_an_image() -> None:
    assert torch.allclose(FineDetail()(HOSTS, DONORS), CoarseShape()(DONORS, HOSTS))


def test_fine_detail_is_fine_whatever_the_size_of_the_picture() -> None:
    places = torch.arange(224, dtype=torch.float64)
    for period, share in ((3, 1.0), (64, 0.02)):
        wave = torch.sin(2 * torch.pi * places / period).expand(1, 1, 224, 224)
        detail = FineDetail()(torch.zeros_like(wave), wave)[..., 32:-32]
        assert float(detail.std() / wave.std()) == pytest.approx(share, abs=0.06)


def test_texture_is_the_detail_moved_by_a_quarter() -> None:
    rolled = FineDetail()(HOSTS, torch.roll(DONORS, (8, 8), (2, 3)))
    inner = (..., slice(14, 26), slice(14, 26))  # away from borders, where the blur mirrors the picture
    assert torch.allclose(Texture()(HOSTS, DONORS)[inner], rolled[inner], atol=1e-3)


def test_shift_moves_a_figure_to_the_donors_place() -> None:
    hosts, donors = torch.full((1, 3, 20, 20), 0.25), torch.full((1, 3, 20, 20), 0.75)
    hosts[..., 3:7, 4:9] = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)) + 1
    donors[..., 12:16, 10:15] = 2
    expected = torch.full((1, 3, 20, 20), 0.25)
    expected[..., 12:16, 10:15] = hosts[..., 3:7, 4:9]
    assert torch.allclose(Shift()(hosts, donors), expected, atol=1e-5)


def test_zoom_gives_a_figure_the_donors_height_and_width() -> None:
    hosts, donors = torch.zeros(1, 1, 33, 33), torch.zeros(1, 1, 33, 33)
    hosts[..., 12:21, 10:23] = 1
    donors[..., 4:31, 8:21] = 1
    figure = Zoom()(hosts, donors)[0, 0] > 0.5
    assert figure.any(dim=1).sum() == 27
    assert figure.any(dim=0).sum() == 13
    assert figure.nonzero().float().mean(dim=0).tolist() == [16, 16]


def test_an_image_without_a_figure_is_neither_moved_nor_scaled() -> None:
    blank = torch.full((4, 3, 32, 32), 0.5, dtype=torch.float64)
    for cue in (Shift(), Zoom()):
        assert torch.allclose(cue(blank, DONORS), blank)
