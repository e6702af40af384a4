"""Class sensitivity, parameter randomisation and completeness: controls, closed forms, and models given back."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from lightning_saliency import methods, score
from lightning_saliency.metrics import (
    ClassSensitivity,
    CompletenessGap,
    ExplanationMetric,
    ParameterRandomization,
    spearman,
    ssim,
)
from tests.models import pictures, small_cnn
from tests.traces import assert_no_trace, mixed_modes, trace_of


def judged(metric: ExplanationMetric, *kinds: Any, model: nn.Module | None = None, **options: Any) -> dict[str, Tensor]:
    model = small_cnn() if model is None else model
    images, targets = pictures(6)
    named = {method.name: method for method in kinds}
    maps = {name: method(model, images, targets) for name, method in named.items()}
    result = score(model, images, maps, targets, [metric], methods=named, **options)
    return {name: row[metric.name] for name, row in result.items()}


@pytest.mark.parametrize("similarity", ["spearman", "ssim"])
@pytest.mark.parametrize("metric", [ClassSensitivity, ParameterRandomization])
def test_methods_that_look_at_neither_class_nor_parameters_score_one(
    metric: Callable[..., ExplanationMetric], similarity: str
) -> None:
    result = judged(metric(similarity), methods.EdgeMap(), methods.RandomMap())
    for scores in result.values():
        torch.testing.assert_close(scores, torch.ones(6))


def test_a_method_that_ignores_the_class_alone_scores_one_in_class_sensitivity_alone() -> None:
    assert judged(ClassSensitivity(), methods.EigenCAM("3"))["eigen_cam"].tolist() == [1.0] * 6
    assert (judged(ParameterRandomization(), methods.EigenCAM("3"))["eigen_cam"] < 0.99).all()


def test_antisymmetric_classes_have_opposite_signed_maps() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 1, bias=False))  # its two logits are z and -z
    images, _ = pictures(4)
    method = methods.InputXGradient(signed=True)
    maps = method(model, images, torch.zeros(4, dtype=torch.int64))
    result = ClassSensitivity().scores(model, images, maps, torch.zeros(4, dtype=torch.int64), method=method)
    torch.testing.assert_close(result, torch.full((4,), -1.0))


def test_the_other_class_is_the_least_likely_but_never_the_target() -> None:
    asked: list[list[int]] = []

    def method(_model: Any, images: Tensor, targets: Tensor) -> Tensor:
        asked.append(targets.tolist())
        return images[:, 0]

    def model(images: Tensor) -> Tensor:
        return torch.tensor([[3.0, -2, 1, -1]]).repeat(len(images), 1)

    images, targets = pictures(2)[0], torch.tensor([0, 1])
    ClassSensitivity().scores(model, images, images[:, 0], targets, method=method)
    assert asked == [[1, 3]]


def test_class_sensitivity_by_hand() -> None:
    model, (images, targets), method = small_cnn().eval(), pictures(6), methods.Gradient()
    maps = method(model, images, targets)
    others = method(model, images, model(images).scatter(1, targets[:, None], torch.inf).argmin(1))
    for similarity, compare in (("spearman", spearman), ("ssim", ssim)):
        result = ClassSensitivity(similarity=similarity).scores(model, images, maps, targets, method=method)
        torch.testing.assert_close(result, compare(maps, others))
        assert (result < 1).all()


def test_the_curve_begins_with_the_intact_model_at_one_and_the_score_is_the_mean_of_the_rest() -> None:
    model, (images, targets), method = small_cnn(), pictures(6), methods.Gradient()
    metric = ParameterRandomization(num_stages=3)
    metric.update(model, images, method(model, images, targets), targets, method=method)
    places, curve = metric.curve()
    assert places.tolist() == [0.0, 1 / 3, 2 / 3, 1.0]
    assert curve[0] == 1
    assert (curve[1:] < 0.99).all()
    torch.testing.assert_close(metric.compute(), curve[1:].mean())


def test_stages_reach_from_the_last_layer_to_the_first() -> None:
    received: list[list[bool]] = []
    model, (images, targets) = small_cnn(), pictures(2)
    kept = [parameter.detach().clone() for parameter in model.parameters()]

    def method(model: nn.Module, images: Tensor, _targets: Tensor) -> Tensor:
        received.append([not torch.equal(now, then) for now, then in zip(model.parameters(), kept, strict=True)])
        return images[:, 0]

    ParameterRandomization(num_stages=6).scores(model, images, images[:, 0], targets, method=method)
    owners = 6  # convolution, norm, convolution, norm, convolution, linear layer
    assert received == [[False] * (12 - 2 * stage) + [True] * 2 * stage for stage in range(1, owners + 1)]


def test_parameters_are_drawn_with_their_own_spread() -> None:
    model = nn.Sequential(nn.Linear(100, 100), nn.BatchNorm1d(100))
    nn.init.normal_(model[0].weight, 2, 0.5)
    drawn, (images, targets) = [], pictures(2)

    def method(model: Any, images: Tensor, _targets: Tensor) -> Tensor:
        drawn.append([model[index].weight.clone() for index in (0, 1)])
        return images[:, 0]

    for seed in (3, 3, 4):
        metric = ParameterRandomization(num_stages=1, seed=seed)
        metric.scores(model, images, images[:, 0], targets, method=method)
    (first, norm), (again, _), (other, _) = drawn
    assert abs(first.mean()) < 0.05
    assert abs(first.std() - 0.5) < 0.02
    assert abs(norm.std() - 0.1) < 0.03
    assert torch.equal(again, first)
    assert not torch.equal(other, first)


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_given_back_bit_by_bit(fails: bool) -> None:
    model, (images, targets) = mixed_modes(small_cnn()), pictures(3)
    calls: list[int] = []

    def method(_model: Any, images: Tensor, _targets: Tensor) -> Tensor:
        calls.append(1)
        if fails and len(calls) == 2:
            raise ArithmeticError
        return images[:, 0]

    before = trace_of(model)
    pointers = [parameter.data_ptr() for parameter in model.parameters()]
    run = lambda: ParameterRandomization().scores(model, images, images[:, 0], targets, method=method)  # noqa: E731
    if fails:
        with pytest.raises(ArithmeticError):
            run()
    else:
        run()
    before["chance"] = trace_of(model)["chance"]  # type checks of containers in tests draw Python's random numbers
    assert_no_trace(model, before)
    assert [parameter.data_ptr() for parameter in model.parameters()] == pointers


@pytest.mark.parametrize(
    "kind", [parametrizations.orthogonal, parametrizations.weight_norm, parametrizations.spectral_norm]
)
def test_what_a_parametrization_computes_is_drawn_anew(kind: Callable[..., nn.Module]) -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    for layer in (model[0], model[3], model[7], model[-1]):
        kind(layer)
    model.eval()
    intact, received = [model[index].weight.detach().clone() for index in (0, -1)], list[list[Tensor]]()

    def method(model: Any, images: Tensor, _targets: Tensor) -> Tensor:
        received.append([model[index].weight.detach().clone() for index in (0, -1)])
        return images[:, 0]

    before = trace_of(model)
    ParameterRandomization(num_stages=6).scores(model, images, images[:, 0], targets, method=method)
    before["chance"] = trace_of(model)["chance"]
    assert_no_trace(model, before)
    assert [torch.equal(first, intact[0]) for first, _ in received] == [True] * 5 + [False]
    for first, last in (received[-1],):
        assert abs(first.std(correction=0) / intact[0].std(correction=0) - 1) < 0.3
        assert not torch.equal(last, intact[1])
    assert all(torch.equal(model[index].weight, weight) for index, weight in zip((0, -1), intact, strict=True))
    scores = judged(ParameterRandomization(), methods.Gradient(), model=model)["gradient"]
    assert (scores != 0).all()


def test_a_constant_map_of_a_randomised_model_is_no_success() -> None:
    model, (images, targets) = small_cnn(), pictures(3)

    def method(_model: Any, images: Tensor, _targets: Tensor) -> Tensor:
        return torch.full_like(images[:, 0], 0.5)

    result = ParameterRandomization().scores(model, images, images[:, 0], targets, method=method)
    assert result.tolist() == [1.0] * 3


def test_num_images_bounds_the_images_looked_at_whatever_the_chunks() -> None:
    method, metric = methods.Gradient(), ParameterRandomization(num_images=4, num_stages=2)
    complete = judged(metric, method)["gradient"]
    assert complete.isfinite().tolist() == [True] * 4 + [False] * 2
    torch.testing.assert_close(judged(metric, method, max_batch_size=3)["gradient"], complete, equal_nan=True)


def test_a_plain_function_has_no_parameters() -> None:
    images, targets = pictures(2)
    with pytest.raises(TypeError, match=r"`nn\.Module` for metric 'parameter_randomization', but got function"):
        ParameterRandomization().scores(
            lambda images: images.mean(dim=(2, 3)), images, images[:, 0], targets, method=methods.RandomMap()
        )


def test_methods_are_wanted() -> None:
    for metric in (ClassSensitivity(), ParameterRandomization(), CompletenessGap()):
        with pytest.raises(ValueError, match=f"`methods` for metric '{metric.name}', but got None"):
            score(small_cnn(), pictures(2)[0], {"a": torch.rand(2, 8, 8)}, pictures(2)[1], [metric])


def test_all_methods_explain_again_together() -> None:
    model, calls = small_cnn(), list[int]()
    images, targets = pictures(4)
    named = {"gradient": methods.Gradient(), "grad_cam": methods.GradCAM("8"), "layer_cam": methods.LayerCAM("8")}
    maps = {name: method(model, images, targets) for name, method in named.items()}
    model.register_forward_hook(lambda *_: calls.append(1))
    score(model, images, maps, targets, [ClassSensitivity(), ParameterRandomization(num_stages=3)], methods=named)
    assert len(calls) == 1 + 1 + 3


def test_complete_methods_keep_their_promise_and_others_promise_nothing() -> None:
    model, (images, targets) = small_cnn(), pictures(6)
    references = pictures(3, seed=5)[0]
    kinds = [
        methods.IntegratedGradients(64),
        methods.BlurIntegratedGradients(128, max_sigma=3.0),
        methods.GuidedIntegratedGradients(200),
        methods.IDGI(),
        methods.ExpectedGradients(references, 600),
        methods.ExpectedGradCAM("8", references),
        methods.Gradient(),
    ]
    result = judged(CompletenessGap(), *kinds, model=model)
    assert result.pop("gradient").isnan().all()
    assert result["idgi"].max() < 1e-4
    assert result["expected_grad_cam"].max() < 1e-4  # the head is linear
    for name, scores in result.items():
        assert scores.max() < 0.05, name
    silent = [methods.LRP(), methods.ExpectedGradCAM("8", references, path="input", name="input")]
    silent += [
        methods.ExpectedGradCAM(["3", "8"], references, name="two"),
        methods.ExpectedGradients(references, 3, 0.1),
    ]
    for scores in judged(CompletenessGap(), *silent, model=model).values():
        assert scores.isnan().all()
    few = judged(CompletenessGap(), methods.IntegratedGradients(1, rule="left"), model=model)
    assert few["integrated_gradients"].mean() > 10 * result["integrated_gradients"].mean()
    metric = CompletenessGap()
    metric.update(model, images, images[:, 0], targets, method=methods.Gradient())
    assert metric.num_excluded == 6
