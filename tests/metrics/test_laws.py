"""Laws that hold for any maps: scaled, shifted and permuted ones, ties included."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_saliency import score
from lightning_saliency.metrics import (
    RCAP,
    ROAD,
    SRG,
    Allegiance,
    AverageDrop,
    AverageGain,
    AverageIncrease,
    Complexity,
    Deletion,
    EffectiveComplexity,
    Infidelity,
    Insertion,
    LogCoshDice,
    MapMAE,
    MaskIoU,
    PointingGame,
    RelevanceMass,
    RelevanceRank,
    Sparseness,
)
from tests.metrics.samples import curved

MASKED = [PointingGame(), RelevanceRank(), MaskIoU(), LogCoshDice(), MapMAE()]
BY_ORDER = [RCAP(), Allegiance(), Insertion(4), Deletion(4), ROAD((0.5,)), SRG(4), AverageDrop(), AverageIncrease()]
SHIFT_FREE = [*BY_ORDER, AverageGain(), *MASKED]
SCALE_FREE = [
    *SHIFT_FREE,
    Infidelity(num_samples=4),
    RelevanceMass(),
    Sparseness(),
    Complexity(),
    EffectiveComplexity(0.3),
]
SIZE = (3, 4)
MODEL = curved()
IMAGES = torch.rand(3, 2, *SIZE, generator=torch.Generator().manual_seed(0)).double()
TARGETS = torch.tensor([0, 1, 2])
MASKS = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(1)) < 0.5

# Whole numbers, of which many are equal; powers of two scale them without rounding.
maps_of_any_kind = st.lists(st.integers(-4, 4), min_size=36, max_size=36).map(
    lambda values: torch.tensor(values).double().reshape(3, *SIZE)
)


def scored(maps: Tensor, metrics: list, order: Tensor | slice = slice(None), model=MODEL) -> dict[str, Tensor]:
    images, targets, masks = IMAGES[order], TARGETS[order], MASKS[order]
    return score(model, images, {"any": maps[order]}, targets, metrics, masks=masks)["any"]


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name, scores in one.items():
        torch.testing.assert_close(other[name], scores, rtol=1e-9, atol=1e-9, msg=name)


@settings(max_examples=10, deadline=None)
@given(maps=maps_of_any_kind, power=st.integers(-20, 20))
def test_scaled_maps_score_alike(maps: Tensor, power: int) -> None:
    assert_equal(scored(maps, SCALE_FREE), scored(maps * 2.0**power, SCALE_FREE))


@settings(max_examples=10, deadline=None)
@given(maps=maps_of_any_kind, offset=st.integers(-100, 100))
def test_shifted_maps_score_alike(maps: Tensor, offset: int) -> None:
    assert_equal(scored(maps, SHIFT_FREE), scored(maps + offset, SHIFT_FREE))


@settings(max_examples=10, deadline=None)
@given(maps=maps_of_any_kind, order=st.permutations(range(3)))
def test_permuted_images_have_permuted_scores(maps: Tensor, order: list[int]) -> None:
    places = torch.tensor(order)
    together = {name: scores[places] for name, scores in scored(maps, SCALE_FREE).items()}
    assert_equal(together, scored(maps, SCALE_FREE, places))


@settings(max_examples=10, deadline=None)
@given(maps=st.permutations(range(12)), places=st.permutations(range(12)))
def test_pixels_may_be_permuted_where_the_model_does_not_mind(maps: list[int], places: list[int]) -> None:
    def blind(images: Tensor) -> Tensor:
        return torch.cat([images.flatten(2).sum(dim=2), images.flatten(2).square().sum(dim=2)[:, :1]], dim=1)

    metrics = [RCAP(), Allegiance(), Insertion(4, canvas="mean"), Deletion(4), AverageDrop()]
    saliency = torch.tensor(maps).double().reshape(1, *SIZE)
    image = IMAGES[:1]
    shuffled = [part.flatten(-2)[..., places].reshape(part.shape) for part in (image, saliency)]
    one = score(blind, image, {"any": saliency}, TARGETS[:1], metrics)["any"]
    assert_equal(one, score(blind, shuffled[0], {"any": shuffled[1]}, TARGETS[:1], metrics)["any"])


@settings(max_examples=10, deadline=None)
@given(maps=maps_of_any_kind)
def test_scores_lie_within_the_bounds_that_the_class_declares(maps: Tensor) -> None:
    for metric in SCALE_FREE:
        values = scored(maps, [metric])[metric.name]
        values = values[values.isfinite()]
        low, high = metric.plot_lower_bound, metric.plot_upper_bound
        assert low is None or bool((values >= low - 1e-9).all()), metric.name
        assert high is None or bool((values <= high + 1e-9).all()), metric.name
