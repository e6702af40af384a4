"""Metrics of localisation in closed form and by their definitions."""

import math

import pytest
import torch

from lightning_saliency import score
from lightning_saliency.metrics import (
    LogCoshDice,
    MapMAE,
    MaskIoU,
    PointingGame,
    RelevanceMass,
    RelevanceRank,
    masks_from_boxes,
)
from tests.metrics.samples import batch, curved, maps_of, naive_minmax, naive_order, scores_of

CLASSES = (LogCoshDice, MapMAE, MaskIoU, PointingGame, RelevanceMass, RelevanceRank)
BEST = {LogCoshDice: 0, MapMAE: 0, MaskIoU: 1, PointingGame: 1, RelevanceMass: 1, RelevanceRank: 1}


def naive(metric, map_, mask):
    """Score one map by the definition."""
    values, object_ = map_.flatten().tolist(), mask.flatten().tolist()
    shown = naive_minmax(map_)
    if metric is PointingGame:
        hits = [inside for value, inside in zip(values, object_, strict=True) if value == max(values)]
        return sum(hits) / len(hits)
    if metric is RelevanceMass:
        return sum(max(v, 0) * o for v, o in zip(values, object_, strict=True)) / sum(max(v, 0) for v in values)
    if metric is RelevanceRank:
        return sum(object_[place] for place in naive_order(values)[: sum(object_)]) / sum(object_)
    if metric is MaskIoU:
        marked = [value > 0.5 for value in shown]
        pairs = list(zip(marked, object_, strict=True))
        return sum(m and o for m, o in pairs) / sum(m or o for m, o in pairs)
    if metric is LogCoshDice:
        dice = (2 * sum(s * o for s, o in zip(shown, object_, strict=True)) + 1) / (sum(shown) + sum(object_) + 1)
        return math.log(math.cosh(1 - dice))
    return sum(abs(s - o) for s, o in zip(shown, object_, strict=True)) / len(shown)


@pytest.fixture
def masks():
    return torch.rand(5, 6, 7, generator=torch.Generator().manual_seed(9)) < 0.4


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("metric", CLASSES)
def test_agrees_with_the_definition(metric, ties, masks):
    maps = maps_of(batch()[0], ties=ties)
    expected = [naive(metric, map_, mask) for map_, mask in zip(maps, masks, strict=True)]
    torch.testing.assert_close(scores_of(metric(), maps, masks), torch.tensor(expected).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("metric", CLASSES)
def test_map_that_is_the_object_scores_best(metric, masks):
    torch.testing.assert_close(scores_of(metric(), masks.double(), masks), torch.full((5,), BEST[metric]).double())


def test_published_error_is_the_square_root(masks):
    maps = maps_of(batch()[0], ties=False)
    torch.testing.assert_close(scores_of(MapMAE(root=True), maps, masks), scores_of(MapMAE(), maps, masks).sqrt())


def test_constant_map_points_at_the_object_by_its_area(masks):
    torch.testing.assert_close(
        scores_of(PointingGame(), torch.ones(5, 6, 7), masks), masks.float().mean(dim=(1, 2)), atol=1e-6, rtol=0
    )


def test_map_without_positive_relevance_has_none_on_the_object(masks):
    assert scores_of(RelevanceMass(), -torch.ones(5, 6, 7), masks).tolist() == [0] * 5


@pytest.mark.parametrize("metric", CLASSES)
def test_empty_masks_are_left_out_and_counted(metric, masks):
    images, targets = batch()
    masks[1:3] = False
    maps = maps_of(images, ties=False)
    scored = metric()
    scored.update(curved(), images, maps, targets, masks=masks, max_batch_size=2)
    assert (scored.num_scored, scored.num_excluded) == (3, 2)
    scores = score(curved(), images, {"a": maps}, targets, [metric()], masks=masks)["a"][metric.name]
    assert scores.isnan().tolist() == [False, True, True, False, False]
    torch.testing.assert_close(scored.compute(), scores.nanmean())


@pytest.mark.parametrize("metric", CLASSES)
def test_missing_masks_are_refused_by_name(metric):
    images, targets = batch()
    with pytest.raises(ValueError, match=f"Expected `masks` for metric '{metric.name}', but got None"):
        metric().update(curved(), images, images[:, 0], targets)
    with pytest.raises(ValueError, match=f"Expected `masks` for metric '{metric.name}', but got None"):
        score(curved(), images, {"a": images[:, 0]}, targets, [metric()])


@pytest.mark.parametrize("metric", CLASSES)
def test_masks_that_do_not_fit_are_refused(metric, masks):
    with pytest.raises(TypeError, match=r"Expected `masks` to be a boolean tensor, but got torch\.float32"):
        scores_of(metric(), torch.rand(5, 6, 7), masks.float())
    with pytest.raises(ValueError, match="Expected `masks` to have shape"):
        scores_of(metric(), torch.rand(5, 6, 6), masks)


def test_boxes_mark_the_pixels_whose_centres_they_hold():
    mask = masks_from_boxes(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), (5, 6))[0]
    assert mask.nonzero().tolist() == [[2, 1], [2, 2], [3, 1], [3, 2]]
    assert masks_from_boxes(torch.tensor([[0.4, 0.0, 1.6, 1.0]]), (1, 3)).tolist() == [[[True, True, False]]]


def test_images_may_have_several_boxes_or_none():
    boxes = [torch.tensor([[0, 0, 1, 1], [2, 0, 3, 1]]), torch.empty(0, 4)]
    assert masks_from_boxes(boxes, (1, 3)).tolist() == [[[True, False, True]], [[False] * 3]]
    assert masks_from_boxes(torch.stack([boxes[0], boxes[0]]), (1, 3)).shape == (2, 1, 3)


def test_boxes_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(N, 4\), \(x1, y1, x2, y2\), but got \(5,\)"):
        masks_from_boxes(torch.zeros(2, 5), (4, 4))


def test_unknown_threshold_is_refused():
    with pytest.raises(ValueError, match=r"did you mean 0.5\?"):
        MaskIoU(50)
