"""Promises that every exported cue makes."""

import dataclasses
import inspect
import pickle
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from lightning_saliency import cues, methods, metrics
from lightning_saliency.cues import Cue
from lightning_saliency.extend import Cue as CueOfTheDoor

KINDS = [
    member
    for member in (getattr(cues, name) for name in cues.__all__)
    if inspect.isclass(member) and issubclass(member, Cue) and not inspect.isabstract(member)
]
ARGUMENTS: dict[str, dict[str, Any]] = {"Cell": {"row": 1, "column": 2}}
SHAPES = [(1, 32, 32), (2, 8, 8), (3, 33, 45), (13, 16, 9), (3, 224, 224)]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def cue(request: pytest.FixtureRequest) -> Cue:
    return request.param(**ARGUMENTS.get(request.param.__name__, {}))


def batch(shape: tuple[int, ...], count: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Draw normalised hosts, donors and maps of the donors."""
    generator = torch.Generator().manual_seed(seed)
    hosts, donors = torch.randn((2, count, *shape), generator=generator)
    return hosts, 1.5 * donors + 0.3, torch.rand((count, *shape[1:]), generator=generator)


def applies(cue: Cue, shape: tuple[int, ...]) -> bool:
    return not cue.misfit(shape)


def test_every_cue_of_the_list_is_enrolled() -> None:
    assert {kind.__name__ for kind in KINDS} >= {
        *("Window", "Moved", "Cell", "Frame", "WideFrame", "Level", "Colour", "Contrast", "Sharpness", "Spectrum"),
        *("Layout", "Surroundings", "Texture", "FineDetail", "CoarseShape", "Rest", "Shift", "Zoom", "Band"),
    }
    assert CueOfTheDoor is Cue


def test_a_cue_describes_itself(cue: Cue) -> None:
    assert cue.families
    assert set(cue.families) <= {"place", "tone", "texture", "geometry"}
    assert cue.evidence in ("tolerance", "conflict", "never")
    assert cues.select([cue.name]) == (cue,)
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type(cue).__name__)
    assert cue.name.startswith(words.removeprefix("_"))


def test_a_cue_is_a_frozen_value(cue: Cue) -> None:
    assert dataclasses.is_dataclass(cue)
    assert type(cue)(**ARGUMENTS.get(type(cue).__name__, {})) == cue
    assert pickle.loads(pickle.dumps(cue)) == cue
    assert len({cue, pickle.loads(pickle.dumps(cue))}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        cue.anything = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_keep_their_shape_and_are_finite(cue: Cue, shape: tuple[int, ...]) -> None:
    if not applies(cue, shape):
        assert cue.name == "colour"
        assert shape[0] == 1
        return
    changed = cue(*batch(shape))
    assert changed.shape == (3, *shape)
    assert changed.dtype == torch.float32
    assert changed.isfinite().all()


def test_the_cue_of_an_image_leaves_the_image_as_it_is(cue: Cue) -> None:
    hosts, _, maps = batch((3, 17, 20))
    changed = cue(hosts.double(), hosts.double(), maps)
    if cue.name in ("moved", "texture"):  # these put it at another place
        assert not torch.allclose(changed, hosts.double())
    else:
        assert torch.allclose(changed, hosts.double(), atol=1e-9)


def test_another_cue_changes_the_image(cue: Cue) -> None:
    hosts, donors, maps = batch((3, 16, 16))
    # Noise has its edges everywhere: a darker border makes the donors smaller.
    hosts, donors = hosts.abs() + 1, donors.abs() + 1
    donors[:, :, :4], donors[:, :, :, :4] = 0, 0
    donors[:, :, -1:], donors[:, :, :, -1:] = 0, 0
    changed = cue(hosts, donors, maps)
    assert ((changed - hosts).abs().flatten(1).amax(dim=1) > 1e-3).all()


def test_rows_do_not_depend_on_each_other(cue: Cue) -> None:
    hosts, donors, maps = batch((3, 16, 20), count=5)
    together = cue(hosts, donors, maps)
    order = torch.tensor([3, 1])
    assert torch.allclose(cue(hosts[order], donors[order], maps[order]), together[order], atol=1e-6)


def test_arguments_stay_as_they_are(cue: Cue) -> None:
    arguments = batch((3, 16, 16))
    before = [argument.clone() for argument in arguments]
    cue(*arguments)
    assert all(torch.equal(*pair) for pair in zip(arguments, before, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_images_keep_their_type(cue: Cue, dtype: torch.dtype) -> None:
    hosts, donors, maps = batch((3, 16, 16))
    changed = cue(hosts.to(dtype), donors.to(dtype), maps)
    assert changed.dtype == dtype
    assert changed.isfinite().all()


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_constant_images_and_maps_give_finite_images(cue: Cue, value: float) -> None:
    constant, maps = torch.full((2, 3, 16, 16), value), torch.zeros(2, 16, 16)
    hosts, donors, _ = batch((3, 16, 16), count=2)
    for pair in ((constant, constant), (hosts, constant), (constant, donors)):
        assert cue(*pair, maps).isfinite().all()


def test_cues_do_not_depend_on_the_normalization(cue: Cue) -> None:
    hosts, donors, maps = batch((3, 16, 16))
    hosts, donors = hosts.double(), donors.double()
    changed = cue(2 * hosts - 5, 2 * donors - 5, maps)
    if cue.name == "spectrum":  # all except the phase of the mean, which is no phase
        means = [images.mean(dim=(2, 3), keepdim=True) for images in (changed, donors)]
        assert torch.allclose(means[0], 2 * means[1] - 5)
    assert torch.allclose(changed, 2 * cue(hosts, donors, maps) - 5, atol=1e-9)


def test_a_cue_refuses_what_does_not_fit(cue: Cue) -> None:
    hosts, donors, maps = batch((3, 16, 16))
    with pytest.raises(ValueError, match=r"`donors` must have the shape \(3, 3, 16, 16\) of `hosts`"):
        cue(hosts, donors[:2], maps)
    with pytest.raises(TypeError, match="floating point"):
        cue(hosts.long(), donors, maps)
    if cue.needs_maps:
        with pytest.raises(ValueError, match="`donor_maps` must be given"):
            cue(hosts, donors)
        with pytest.raises(ValueError, match="have shape"):
            cue(hosts, donors, maps[:, :8])


def test_images_that_are_too_small_are_refused_with_the_reason(cue: Cue) -> None:
    shape = (cue.min_channels, cue.min_side, cue.min_side)
    assert applies(cue, shape)
    hosts, donors, maps = batch(shape)
    assert cue(hosts, donors, maps).shape == hosts.shape
    if cue.min_side > 1:
        small = (3, cue.min_side - 1, 64)
        assert f"sides of at least {cue.min_side} pixels" in cue.misfit(small)
        with pytest.raises(ValueError, match="sides of at least"):
            cue(*batch(small))


@pytest.mark.parametrize("shape", [(3, 40), (2, 8, 8, 8)], ids=str)
def test_other_dimensions_work_or_are_refused(cue: Cue, shape: tuple[int, ...]) -> None:
    if applies(cue, shape):
        hosts, donors, maps = batch(shape)
        assert cue(hosts, donors, maps).shape == hosts.shape
    else:
        assert cue.misfit(shape).startswith(f"Images for the cue {cue.name!r} must have 2 spatial dimensions")


def test_names_are_chosen_and_refused() -> None:
    assert [cue.name for cue in cues.DEFAULT] == [
        *("wide_frame", "window", "level", "colour", "contrast", "sharpness", "texture"),
        *("spectrum", "surroundings", "shift", "zoom"),
    ]
    assert len(cues.select(["cell"])) == 16
    assert set(cues.names()) >= {"cell", "cell_3_3", *(cue.name for cue in (*cues.DEFAULT, *cues.FURTHER))}
    with pytest.raises(ValueError, match=r"must hold names such as wide_frame, window.*but got 'colr'"):
        cues.select(["colr"])
    with pytest.raises(ValueError, match=r"but got \['frame'\] more than once"):
        cues.select(["frame", cues.Frame()])
    with pytest.raises(TypeError, match="Put it in a list"):
        cues.select("frame")
    with pytest.raises(TypeError, match="but got <class"):
        cues.select([cues.Frame])  # type: ignore[list-item]


def test_the_kinds_of_members_are_apart() -> None:
    assert not {*cues.__all__} & {*methods.__all__, *metrics.__all__}
    assert get_args(inspect.get_annotations(Cue)["evidence"])
