"""Changed images are predicted in full batches, each distinct change once."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_saliency.passes.predictions import Predictor
from lightning_saliency.targets import ClassLogit
from tests.models import pictures, small_cnn


class Watched:
    """A network that notes the sizes of its batches."""

    def __init__(self) -> None:
        self.network, self.sizes = small_cnn().eval(), []

    def __call__(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        return self.network(images)


def scaled(images: Tensor, count: int) -> dict[str, Callable[[], Tensor]]:
    return {f"scaled {step}": lambda step=step: images * (step + 1) / count for step in range(count)}


def predictor(model: Callable[[Tensor], Tensor], images: Tensor, most: int = 64, target: int = 0) -> Predictor:
    return Predictor(model, images, ClassLogit(torch.full((len(images),), target)), most)


def test_outputs_come_in_the_order_of_the_changes() -> None:
    model, (images, _) = Watched(), pictures(3)
    changes = scaled(images, 4)
    outputs = predictor(model, images)(changes)
    for make, output in zip(changes.values(), outputs, strict=True):
        torch.testing.assert_close(output, model.network(make()).detach())
    assert not any(output.requires_grad for output in outputs)


@pytest.mark.parametrize(("most", "sizes"), [(64, [15]), (7, [6, 6, 3]), (3, [3] * 5), (5, [3] * 5)])
def test_several_changes_of_a_small_batch_share_a_pass(most: int, sizes: list[int]) -> None:
    model, (images, _) = Watched(), pictures(3)
    predictor(model, images, most)(scaled(images, 5))
    assert model.sizes == sizes


def test_a_change_is_predicted_once() -> None:
    model, (images, _) = Watched(), pictures(2)
    predict, changes = predictor(model, images), scaled(images, 2)
    first = predict(changes)
    assert model.sizes == [4]
    again = predict({name: lambda: pytest.fail("made again") for name in changes})
    assert all(one is other for one, other in zip(first, again, strict=True))
    predict({**changes, "intact": lambda: images})
    assert model.sizes == [4, 2]


def test_what_is_shared_is_made_once() -> None:
    predict = predictor(Watched(), pictures(2)[0])
    assert predict.once("canvas", lambda: torch.ones(1)) is predict.once("canvas", lambda: pytest.fail("made again"))


def test_targets_are_compared_with_the_first_logits() -> None:
    images, _ = pictures(2)
    with pytest.raises(ValueError, match="has 4 classes, but got 9"):
        predictor(Watched(), images, target=9)({"intact": lambda: images})
