"""Targets: the values of a network's output that are explained."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_saliency import explain
from lightning_saliency.methods import Gradient
from lightning_saliency.targets import ClassLogit, Target, as_target, predicted_class

LOGITS = torch.tensor([[1.0, 4.0, 2.0, 3.0], [8.0, 5.0, 7.0, 6.0], [0.0, 0.0, 1.0, -1.0]])
CLASSES = torch.tensor([3, 0, 2])


class Column(Target):
    """One output of a regression, as an outsider writes it."""

    def __init__(self, column: int, batch_size: int) -> None:
        self.column, self.batch_size = column, batch_size

    def __len__(self) -> int:
        return self.batch_size

    def take(self, rows: Tensor) -> "Column":
        return Column(self.column, len(rows))

    def value(self, output: Any) -> Tensor:
        return output["values"][:, self.column]


def test_the_value_of_a_class_is_its_logit() -> None:
    assert ClassLogit(CLASSES).value(LOGITS).tolist() == [3.0, 8.0, 1.0]


def test_gradients_of_the_value_are_those_of_the_logit() -> None:
    logits = LOGITS.clone().requires_grad_()
    ClassLogit(CLASSES).value(logits).sum().backward()
    assert torch.equal(logits.grad, torch.nn.functional.one_hot(CLASSES, 4).float())


def test_probabilities_are_those_of_softmax_or_sigmoid() -> None:
    target = ClassLogit(CLASSES)
    rows = torch.arange(3)
    torch.testing.assert_close(target.probability(LOGITS), LOGITS.softmax(dim=1)[rows, CLASSES])
    torch.testing.assert_close(target.probability(LOGITS, "sigmoid"), target.value(LOGITS).sigmoid())


@pytest.mark.parametrize("count", [1, 2, 3, 7, None])
def test_rivals_are_the_other_logits_in_descending_order(count: int | None) -> None:
    rivals = ClassLogit(CLASSES).rivals(LOGITS, count)
    expected = [[4.0, 2.0, 1.0], [7.0, 6.0, 5.0], [0.0, 0.0, -1.0]]
    assert rivals.tolist() == [row[:count] for row in expected]


def test_rivals_have_gradients_and_never_the_targets() -> None:
    logits = LOGITS.clone().requires_grad_()
    ClassLogit(CLASSES).rivals(logits, None).sum().backward()
    assert torch.equal(logits.grad, 1 - torch.nn.functional.one_hot(CLASSES, 4).float())


def test_one_logit_is_the_difference_of_two() -> None:
    output = torch.tensor([[2.0], [-3.0]])
    target = ClassLogit(torch.tensor([0, 1]))
    assert target.value(output).tolist() == [-1.0, -1.5]
    assert target.rivals(output, None).tolist() == [[1.0], [1.5]]
    torch.testing.assert_close(target.probability(output), torch.tensor([-2.0, -3.0]).sigmoid())
    assert predicted_class(output, 2).classes.tolist() == [1, 0]


def test_rows_are_taken_in_any_order_and_may_repeat() -> None:
    rows = torch.tensor([2, 0, 0, 1])
    target = ClassLogit(CLASSES).take(rows)
    assert len(target) == 4
    assert torch.equal(target.value(LOGITS[rows]), ClassLogit(CLASSES).value(LOGITS)[rows])


@pytest.mark.parametrize("target", [ClassLogit(CLASSES), Column(1, 3)])
def test_chunks_and_repetitions_are_those_of_a_batch(target: Target) -> None:
    output = {"values": LOGITS} if isinstance(target, Column) else LOGITS
    values = target.value(output)
    assert [len(part) for part in target.split(2)] == [2, 1]
    twice = {"values": LOGITS.repeat(2, 1)} if isinstance(target, Column) else LOGITS.repeat(2, 1)
    assert torch.equal(target.repeat(2).value(twice), values.repeat(2))


def test_integers_of_any_kind_mean_classes() -> None:
    for dtype in (torch.int64, torch.int32, torch.uint8):
        target = as_target(CLASSES.to(dtype), 3)
        assert isinstance(target, ClassLogit)
        assert torch.equal(target.argument, CLASSES)


def test_a_target_stays_what_it_is_and_functions_receive_it() -> None:
    target = Column(0, 3)
    assert as_target(target, 3) is target
    assert target.argument is target


def test_a_users_method_receives_what_the_user_passed() -> None:
    arguments = []

    def brightness(model: Any, images: Tensor, targets: Any) -> Tensor:
        arguments.append(targets)
        return images.mean(dim=1)

    images = torch.rand(3, 3, 4, 4)
    explain(lambda batch: {"values": batch.mean(dim=(2, 3))}, images, Column(1, 3), {"brightness": brightness})
    explain(lambda batch: batch.mean(dim=(2, 3)), images, CLASSES % 3, {"brightness": brightness}, max_batch_size=2)
    assert isinstance(arguments[0], Column)
    assert torch.equal(torch.cat(arguments[1:]), CLASSES % 3)


def test_a_target_of_a_function_that_is_no_classifier_needs_no_wrapper() -> None:
    images = torch.rand(3, 2, 4, 4)
    maps = explain(lambda batch: {"values": batch.sum(dim=(2, 3))}, images, Column(1, 3), [Gradient()])
    assert torch.equal(maps["gradient"], torch.ones(3, 4, 4))


def test_classes_made_in_inference_mode_can_be_differentiated_by() -> None:
    with torch.inference_mode():
        target = ClassLogit(torch.tensor([3, 0, 2]))
    logits = LOGITS.clone().requires_grad_()
    target.value(logits).sum().backward()
    assert logits.grad is not None


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ([0, 1, 2], TypeError, r"`targets`.*list"),
        (torch.zeros(3), TypeError, r"`targets`.*torch.float32"),
        (torch.zeros(3, dtype=torch.bool), TypeError, r"`targets`.*torch.bool"),
        (torch.zeros(2, dtype=torch.int64), ValueError, r"`targets`.*\(3,\).*\(2,\)"),
        (torch.zeros(3, 1, dtype=torch.int64), ValueError, r"`targets`.*\(3, 1\)"),
        (torch.tensor(1), ValueError, r"`targets`.*\(\)"),
        (ClassLogit(torch.tensor([0, 1])), ValueError, r"`targets`.*3 images.*ClassLogit\(\[0, 1\]\)"),
    ],
)
def test_targets_that_are_not_one_per_image_are_refused(targets: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        as_target(targets, 3)


@pytest.mark.parametrize("classes", [[0, 4, 1], [-1, 0, 0]])
def test_classes_that_the_model_does_not_have_are_refused(classes: list[int]) -> None:
    target = ClassLogit(torch.tensor(classes))
    worst = next(label for label in classes if not 0 <= label < 4)
    for ask in (target.value, target.probability, lambda output: target.rivals(output, 1)):
        with pytest.raises(ValueError, match=f"`targets`.*4 classes.*{worst}"):
            ask(LOGITS)


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ({"logits": LOGITS}, TypeError, r"dict with keys \['logits'\]"),
        ((LOGITS,), TypeError, "tuple"),
        (torch.zeros(3), ValueError, r"batch of 3.*\(3,\)"),
        (torch.zeros(3, 4, 1, 1), ValueError, r"\(3, 4, 1, 1\)"),
        (LOGITS[:1], ValueError, r"\(1, 4\)"),
    ],
)
def test_what_is_not_a_row_of_logits_per_image_is_refused(output: Any, error: type[Exception], message: str) -> None:
    for ask in (ClassLogit(CLASSES).value, ClassLogit(CLASSES).logits, lambda output: predicted_class(output, 3)):
        with pytest.raises(error, match=message):
            ask(output)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`activation`.*'tanh'"):
        ClassLogit(CLASSES).probability(LOGITS, "tanh")  # type: ignore[arg-type]


def test_what_a_target_does_not_have_is_refused_by_name() -> None:
    target = Column(0, 3)
    for offer in ("probability", "rivals", "classes"):
        with pytest.raises(TypeError, match=f"{offer} for 'active_gradient'.*Column"):
            target.require(offer, "active_gradient")  # type: ignore[arg-type]
        ClassLogit(CLASSES).require(offer, "active_gradient")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"probability.*Column"):
        target.probability({"values": LOGITS})
    with pytest.raises(TypeError, match=r"rivals.*Column"):
        target.rivals({"values": LOGITS}, 1)
    with pytest.raises(TypeError, match=r"classes.*Column"):
        target.logits({"values": LOGITS})
