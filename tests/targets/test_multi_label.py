"""Several classes per image."""

import pytest
import torch

from lightning_saliency import score
from lightning_saliency.methods import Gradient, InputXGradient
from lightning_saliency.metrics import RCAP, Allegiance, ClassSensitivity
from lightning_saliency.targets import ClassLogit, MultiLabel
from tests.models import pictures, small_cnn

LABELS = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
LOGITS = torch.tensor([[1.0, 9.0, 3.0, -2.0], [9.0, 5.0, -9.0, 0.0], [1.0, 2.0, 3.0, 4.0]])


def test_the_value_is_the_mean_logit_of_the_classes() -> None:
    assert MultiLabel(LABELS).value(LOGITS).tolist() == [2.0, 5.0, 0.0]


def test_the_probability_is_the_mean_of_their_own_whatever_the_activation() -> None:
    share = torch.tensor([1.0, 3.0, 5.0]).sigmoid().tolist()
    expected = [(share[0] + share[1]) / 2, share[2], 0]
    for activation in ("softmax", "sigmoid"):
        assert MultiLabel(LABELS).probability(LOGITS, activation).tolist() == pytest.approx(expected)


def test_labels_are_those_of_the_batch_or_else_the_positive_logits() -> None:
    assert torch.equal(MultiLabel().completed(LOGITS, LABELS.float()).labels, LABELS.bool())
    assert torch.equal(MultiLabel().completed(LOGITS, torch.tensor([0, 1, 2])).labels, LOGITS > 0)
    assert MultiLabel(LABELS).texts == ["0 2", "1", "none"]


def test_a_single_class_has_the_maps_and_scores_of_its_logit() -> None:
    model, (images, targets) = small_cnn().eval(), pictures(3)
    one = MultiLabel(torch.nn.functional.one_hot(targets, 4))
    assert torch.equal(Gradient()(model, images, one), Gradient()(model, images, targets))
    maps = {"gradient": torch.rand(3, 8, 8)}
    metrics = [RCAP(activation="sigmoid"), Allegiance(), ClassSensitivity()]
    scores, expected = (
        score(model, images, maps, each, metrics, methods=[Gradient()])["gradient"]
        for each in (one, ClassLogit(targets))
    )
    for name in expected:
        assert torch.equal(scores[name], expected[name])


def test_maps_of_several_classes_are_those_of_their_mean() -> None:
    model, (images, _) = small_cnn().eval(), pictures(3)
    attribute = InputXGradient().attribute
    each = [attribute(model, images, torch.full((3,), label)) for label in (0, 2)]
    maps = attribute(model, images, MultiLabel(torch.tensor([[1, 0, 1, 0]] * 3)), max_batch_size=2)
    torch.testing.assert_close(maps, (each[0] + each[1]) / 2)


@pytest.mark.parametrize("labels", [torch.tensor([0, 1]), torch.tensor([[0.5, 1.0]]), torch.tensor([[2, 0]])])
def test_labels_that_are_not_zeros_and_ones_are_refused(labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="`labels` must be zeros and ones of shape"):
        MultiLabel(labels)


def test_other_numbers_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 4\) for MultiLabel, but got \(3, 2\)"):
        MultiLabel(LABELS).value(LOGITS[:, :2])
    with pytest.raises(TypeError, match=r"rivals for 'active_gradient'.*MultiLabel"):
        MultiLabel(LABELS).require("rivals", "active_gradient")
