"""Targets of one number per image: outputs of a regression, similarities, and values of the user's functions."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import explain, score
from lightning_saliency.methods import ActiveGradient, Gradient, IntegratedGradients
from lightning_saliency.metrics import RCAP, ROAD, Allegiance, AverageDrop, Deletion, Insertion
from lightning_saliency.targets import Regression, Similarity, Target, Value

OUTPUT = torch.tensor([[1.0, -4.0], [8.0, 5.0], [0.5, 0.25]])


class Sums(nn.Module):
    """A regression whose outputs are the sum of all pixels, in tens, and the number of images before it, 7."""

    def forward(self, images: Tensor) -> Tensor:
        sums = images.sum(dim=(1, 2, 3))
        return torch.stack([10 * sums, torch.full_like(sums, 7)], dim=1)


def test_the_value_of_a_regression_is_a_column() -> None:
    assert Regression(1).value(OUTPUT).tolist() == [-4.0, 5.0, 0.25]
    assert Regression(1, direction="down").value(OUTPUT).tolist() == [4.0, -5.0, -0.25]
    assert Regression().value(OUTPUT[:, 0]).tolist() == [1.0, 8.0, 0.5]
    assert Regression().value(OUTPUT[:, :1]).tolist() == [1.0, 8.0, 0.5]


def test_the_value_of_an_embedding_is_its_cosine_with_a_reference() -> None:
    for reference in ([3.0, 4.0], torch.tensor([[3.0, 4.0]] * 3)):
        values = Similarity(reference).value(OUTPUT)
        expected = [(row[0] * 3 + row[1] * 4) / (5 * row.norm()) for row in OUTPUT]
        torch.testing.assert_close(values, torch.stack(expected))


def test_references_may_be_the_labels_of_the_batch() -> None:
    assert not Similarity().is_complete
    assert Similarity().completed(OUTPUT, OUTPUT * 2).value(OUTPUT).tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(ValueError, match=r"`reference` must be an embedding, but got None"):
        Similarity().value(OUTPUT)


def test_a_function_of_the_output_is_a_target() -> None:
    images = torch.rand(3, 2, 4, 4)
    maps = explain(lambda batch: {"depth": batch[:, 0]}, images, depth, [Gradient()], 2)
    assert torch.equal(maps["gradient"], torch.full((3, 4, 4), 1 / 16))


def depth(output: Any) -> Tensor:
    return output["depth"].mean(dim=(1, 2))


def test_a_function_may_take_labels_which_follow_the_images() -> None:
    weights = torch.tensor([1.0, 2.0, 3.0])
    target = Value(lambda output, labels: output[:, 0] * labels, weights)
    rows = torch.tensor([2, 0, 0])
    assert target.take(rows).value(OUTPUT[rows]).tolist() == [1.5, 1.0, 1.0]
    assert [
        part.value(part_output).tolist() for part, part_output in zip(target.split(2), OUTPUT.split(2), strict=True)
    ] == [
        [1.0, 16.0],
        [1.5],
    ]


@pytest.mark.parametrize("target", [Regression(0), Similarity([1.0, 0.0]), Value(lambda output: output[:, 0])])
def test_a_target_for_any_images_becomes_one_for_some(target: Target) -> None:
    with pytest.raises(TypeError, match="for some images"):
        len(target)
    three = target.of(3)
    assert len(three) == 3
    assert len(three.repeat(2)) == 6
    assert [len(part) for part in three.split(2)] == [2, 1]
    with pytest.raises(ValueError, match=r"`targets` must be made for 2 images, but got .* for 3"):
        three.of(2)
    assert torch.equal(three.value(OUTPUT), target.value(OUTPUT))


def test_insertion_and_deletion_of_a_regression_have_its_unit() -> None:
    images = torch.ones(2, 1, 1, 4)
    maps = {"ramp": torch.arange(4.0).expand(2, 1, 4)}
    metrics = [Insertion(4, canvas="black"), Deletion(4, canvas="black")]
    scores = score(Sums(), images, maps, Regression(0), metrics, max_batch_size=3)["ramp"]
    # From 0 to 40 in equal steps.
    assert scores["insertion_black"].tolist() == [20.0, 20.0]
    assert scores["deletion_black"].tolist() == [20.0, 20.0]
    down = score(Sums(), images, maps, Regression(0, direction="down"), metrics)["ramp"]
    assert down["insertion_black"].tolist() == [-20.0, -20.0]


def test_road_of_a_regression_has_its_unit() -> None:
    spot = torch.zeros(1, 5, 5).index_fill(1, torch.tensor([2]), 1.0)
    tens = score(Sums(), spot[:, None], {"spot": spot}, Regression(0), [ROAD((0.2,))])["spot"]["road"]
    ones = score(lambda images: Sums()(images) / 10, spot[:, None], {"spot": spot}, Regression(0), [ROAD((0.2,))])
    assert tens.item() > 1
    torch.testing.assert_close(tens, 10 * ones["spot"]["road"])


@pytest.mark.parametrize("metric", [RCAP(), AverageDrop(), Allegiance()])
@pytest.mark.parametrize("target", [Regression(1), Similarity([1.0, 0.0]), Value(lambda output: output[:, 0])])
def test_metrics_that_need_more_are_refused_by_name(metric: Any, target: Target) -> None:
    images = torch.rand(2, 1, 2, 2)
    need = "classes" if isinstance(metric, Allegiance) else "probability"
    message = rf"`targets` must have {need} for '{metric.name}', but got {type(target).__name__}, which has none"
    with pytest.raises(TypeError, match=message):
        score(Sums(), images, {"random": torch.rand(2, 2, 2)}, target, [metric])
    with pytest.raises(TypeError, match=message):
        metric.update(Sums(), images, torch.rand(2, 2, 2), target)
    with pytest.raises(TypeError, match="rivals for 'active_gradient'"):
        ActiveGradient()(Sums(), images, target)


def test_completeness_holds_for_a_regression() -> None:
    images = torch.rand(2, 1, 3, 3)
    attribution = IntegratedGradients(4, baseline="black").attribute(Sums(), images, Regression(0))
    torch.testing.assert_close(attribution, 10 * images)


@pytest.mark.parametrize(
    ("target", "output", "error", "message"),
    [
        (Regression(2), OUTPUT, ValueError, r"`column` must be below 2, .* but got 2"),
        (Regression(), OUTPUT[None], ValueError, r"shape \(B, D\) for Regression, but got \(1, 3, 2\)"),
        (Regression(), {"age": OUTPUT}, TypeError, r"Regression, but got dict with keys \['age'\].  .*`output`"),
        (Similarity([1.0, 0.0]), OUTPUT[:, :1], ValueError, r"shape \(B, 2\) for Similarity, but got \(3, 1\)"),
        (Value(lambda output: output), OUTPUT, ValueError, r"'?.*must have shape \(B,\), but got \(3, 2\)"),
        (Value(lambda output: output.argmax(1)), OUTPUT, TypeError, r"must be a floating-point tensor.*torch.int64"),
        (Regression().of(2), OUTPUT, ValueError, r"\(B, D\) for Regression, but got \(3, 2\)"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(target: Target, output: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        target.value(output)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Regression(-1), ValueError, "`column`.*-1"),
        (lambda: Regression(0.5), TypeError, "`column`.*0.5"),
        (lambda: Regression(0, direction="left"), ValueError, "`direction`.*'left'"),
        (lambda: Similarity(torch.tensor(1.0)), ValueError, r"`reference`.*\(\)"),
        (lambda: Similarity(torch.tensor([1, 2])), ValueError, r"`reference`.*int64"),
        (lambda: Value(3), TypeError, "`function`.*3"),
    ],
)
def test_arguments_that_cannot_work_are_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_class_in_place_of_an_instance_is_refused() -> None:
    with pytest.raises(TypeError, match=r"`targets` must be a target, but got the class Regression.  Make an instance"):
        explain(Sums(), torch.rand(1, 1, 2, 2), Regression, [Gradient()])
