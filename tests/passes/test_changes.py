"""Changes of images: what they do, that they are values, and which of them are the same."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor

from lightning_saliency.metrics import (
    Change,
    Covered,
    Imputed,
    Intact,
    Kept,
    LaidOver,
    Noised,
    Paint,
    Recovered,
    Removed,
    RemovedAbove,
    Shared,
    Trial,
)
from lightning_saliency.passes.predictions import Predictor
from lightning_saliency.targets import ClassLogit

WHITE = Paint("white")
RAMP = torch.arange(6.0).reshape(1, 2, 3)
TIED = torch.tensor([[[0.0, 1.0, 1.0], [1.0, 2.0, 2.0]]])


class Predicting:
    """A model that keeps what it predicts."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.images.extend(images)
        return torch.zeros(len(images), 2)


def trials(*maps: Tensor) -> tuple[Predicting, list[Trial]]:
    model = Predicting()
    images = torch.linspace(0, 0.5, 6).reshape(1, 1, 2, 3)
    predict = Predictor(model, images, ClassLogit(torch.tensor([0])), 64)
    return model, [Trial(str(index), map_, predict) for index, map_ in enumerate(maps)]


def shown_white(change: Change, map_: Tensor = RAMP) -> list[bool]:
    """Say for each pixel whether it is painted over with white."""
    _, (trial,) = trials(map_)
    return (change.make(trial) == 1).flatten().tolist()


def test_changes_are_frozen_and_compared_by_what_they_hold() -> None:
    assert Removed(2, WHITE) == Removed(2, Paint("white"))
    assert len({Removed(2, WHITE), Removed(3, WHITE), Kept(2, WHITE), Removed(2, Paint("black"))}) == 4
    with pytest.raises(FrozenInstanceError):
        Removed(2, WHITE).count = 3


def test_counts_take_the_most_salient_pixels() -> None:
    assert shown_white(Removed(2, WHITE)) == [False] * 4 + [True] * 2
    assert shown_white(Kept(2, WHITE)) == [True] * 4 + [False] * 2
    assert sum(shown_white(Removed(1, WHITE), TIED)) == 1, "exactly one of two tied pixels"


def test_thresholds_take_tied_pixels_together() -> None:
    assert shown_white(RemovedAbove(1, WHITE), TIED) == [False] * 6, "none is more salient than the second"
    assert shown_white(RemovedAbove(2, WHITE), TIED) == [False] * 4 + [True] * 2
    assert shown_white(RemovedAbove(4, WHITE), TIED) == [False] * 4 + [True] * 2
    assert shown_white(Recovered(0.5, WHITE), TIED) == [True] * 4 + [False] * 2


def test_the_map_laid_over_mixes_image_and_canvas() -> None:
    _, (trial,) = trials(RAMP)
    share = RAMP[:, None] / 5
    torch.testing.assert_close(LaidOver(WHITE).make(trial), share * trial.images + (1 - share))


def test_noise_is_the_same_for_every_map_and_in_units_of_the_images_range() -> None:
    _, (one, other) = trials(RAMP, TIED)
    change = Noised(0.1, 3, 0)
    assert torch.equal(change.make(one), change.make(other))
    torch.testing.assert_close(one.images - change.make(one), change.noise(one.images))
    torch.testing.assert_close(change.noise(2 * one.images), 2 * change.noise(one.images))
    assert not torch.equal(Noised(0.1, 3, 1).noise(one.images), change.noise(one.images))


def test_filling_leaves_the_other_pixels_alone() -> None:
    _, (trial,) = trials(RAMP)
    filled = Imputed("most", 2, 0.0, 0).make(trial)
    assert torch.equal(filled.flatten()[:4], trial.images.flatten()[:4])
    assert not torch.equal(filled.flatten()[4:], trial.images.flatten()[4:])


def test_equal_changes_are_predicted_once_for_each_map() -> None:
    model, (one, other) = trials(RAMP, -RAMP)
    for trial in (one, other):
        trial.logits([Removed(2, WHITE), Removed(2, Paint("white"))])
        trial.logits([Removed(2, WHITE)])
    assert len(model.images) == 2
    assert not torch.equal(*model.images)


def test_changes_that_do_not_depend_on_the_map_are_predicted_once_for_all_maps() -> None:
    model, (one, other) = trials(RAMP, -RAMP)
    for trial in (one, other):
        trial.logits([Intact(), Covered(WHITE), Noised(0.1, 0, 0)])
        # Nothing or everything painted over is the same whatever the map.
        trial.logits([Removed(0, WHITE), Kept(6, WHITE), Kept(0, WHITE), Removed(6, WHITE), Imputed("most", 0, 0.1, 0)])
    assert len(model.images) == 3


@pytest.mark.parametrize(
    ("threshold", "count", "map_", "images"),
    [
        (RemovedAbove(2, WHITE), Removed(2, WHITE), RAMP, 1),
        (RemovedAbove(2, WHITE), Removed(2, WHITE), TIED, 1),
        (RemovedAbove(4, WHITE), Removed(4, WHITE), TIED, 2),
        (Recovered(0.5, WHITE), Kept(3, WHITE), RAMP, 1),
        (Recovered(0.5, WHITE), Kept(3, WHITE), TIED, 2),
    ],
)
def test_thresholds_and_counts_are_one_change_unless_a_tie_is_cut(
    threshold: Change, count: Change, map_: Tensor, images: int
) -> None:
    model, (trial,) = trials(map_)
    trial.logits([threshold, count])
    assert len(model.images) == images
    if images == 1:
        assert torch.equal(threshold.make(trial), count.make(trial))


class Scaled(Change):
    """A change of the user's."""

    depends_on_map = False
    factor: float

    def make(self, trial: Trial) -> Tensor:
        return self.factor * trial.images


class Total(Shared):
    """Something shared of the user's."""

    factor: float

    def make(self, trial: Trial) -> Tensor:
        return self.factor * trial.images.sum()


def test_a_change_of_the_users_is_a_value_without_further_ado() -> None:
    model, (one, other) = trials(RAMP, -RAMP)
    for trial in (one, other):
        trial.logits([Scaled(0.5), Scaled(0.25), Scaled(0.5)])
    assert len(model.images) == 2


def test_what_is_shared_is_made_once_for_each_value() -> None:
    _, (one, other) = trials(RAMP, -RAMP)
    assert one.once(Total(0.5)) is other.once(Total(0.5))
    assert one.once(Total(0.5)) != one.once(Total(0.25))
