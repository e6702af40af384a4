"""Changed images are predicted in full batches, each distinct change once."""

import pytest
import torch
from torch import Tensor

from lightning_saliency.passes.predictions import Change, Predictor
from tests.models import pictures, small_cnn


class Watched:
    """A network that notes the sizes of its batches."""

    def __init__(self) -> None:
        self.network, self.sizes = small_cnn().eval(), []

    def __call__(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        return self.network(images)


def changes(images: Tensor, count: int) -> list[Change]:
    return [Change(("scaled", step), lambda step=step: images * (step + 1) / count) for step in range(count)]


def test_logits_come_in_the_order_of_the_changes() -> None:
    model, (images, _) = Watched(), pictures(3)
    wanted = changes(images, 4)
    logits = Predictor(model, images, 64)(wanted)
    for change, found in zip(wanted, logits, strict=True):
        torch.testing.assert_close(found, model.network(change.make()).detach())
    assert not any(found.requires_grad for found in logits)


@pytest.mark.parametrize(("most", "sizes"), [(64, [15]), (7, [6, 6, 3]), (3, [3] * 5), (5, [3] * 5)])
def test_several_changes_of_a_small_batch_share_a_pass(most: int, sizes: list[int]) -> None:
    model, (images, _) = Watched(), pictures(3)
    Predictor(model, images, most)(changes(images, 5))
    assert model.sizes == sizes


def test_equal_keys_are_predicted_once_now_and_later() -> None:
    model, (images, _) = Watched(), pictures(2)
    predict = Predictor(model, images, 64)
    first, second = changes(images, 2)
    again = Change(first.key, lambda: pytest.fail("made again"))
    found = predict([first, again, second, first])
    assert model.sizes == [4]
    assert found[0] is found[1] is found[3]
    assert predict([again, second])[0] is found[0]
    assert model.sizes == [4]


def test_intact_images_are_a_change_like_any_other() -> None:
    model, (images, _) = Watched(), pictures(2)
    predict = Predictor(model, images, 64)
    torch.testing.assert_close(predict([predict.intact])[0], model.network(images).detach())
    predict([predict.intact, *changes(images, 2)])
    assert model.sizes == [2, 4]


def test_a_model_that_works_in_place_leaves_the_images_alone() -> None:
    images, _ = pictures(2)
    kept = images.clone()
    predict = Predictor(lambda batch: batch.sub_(1).flatten(1), images, 64)
    predict([predict.intact])
    assert torch.equal(images, kept)


def test_targets_are_held_against_the_first_logits() -> None:
    model, (images, _) = Watched(), pictures(2)
    predict = Predictor(model, images, 64, targets=torch.tensor([0, 9]))
    with pytest.raises(ValueError, match="has 4 classes, but got 9"):
        predict([predict.intact])
