"""Many methods and metrics at once: what is shared, what is wrapped, and what is refused."""

from types import MappingProxyType

import pytest
import torch
from captum.attr import IntegratedGradients, Saliency
from torch import Tensor, nn

from lightning_saliency import explain, score
from lightning_saliency._types import Model
from lightning_saliency.evaluation import measure
from lightning_saliency.methods import GradCAM, Gradient, GuidedAbsoluteGrad, SmoothGrad
from lightning_saliency.metrics import RCAP, Allegiance, ExplanationMetric
from lightning_saliency.passes.trials import Measured, Trial
from tests.models import linear_model, pictures, small_cnn
from tests.traces import assert_no_trace, mixed_modes, trace_of


def saliency(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Captum's gradient, as a user would wrap it."""
    return Saliency(model).attribute(images.requires_grad_(), targets).amax(dim=1)


def noise(model: Model, images: Tensor, targets: Tensor) -> Tensor:
    """Draw a map from torch's global generator."""
    return torch.rand(images.shape[0], *images.shape[2:])


def with_leftovers(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Do everything that a careless method does to model and arguments."""
    model.train()
    images.requires_grad_()
    logits = model(images)
    logits.gather(1, targets[:, None]).sum().backward()
    maps = images.grad.abs().sum(dim=1)
    with torch.no_grad():
        images.zero_()
        targets.zero_()
    return maps


class NeedsMasks(ExplanationMetric):
    """Share of saliency inside the mask."""

    higher_is_better = True
    needs = ("masks",)
    name = "inside"

    def measure(self, trial: Trial) -> Measured:
        return Measured((trial.normalized * trial.masks).flatten(1).mean(dim=1))


class NeedsMethods(ExplanationMetric):
    """Difference of two explanations by the same method."""

    higher_is_better = False
    needs = ("methods",)
    name = "repeated"

    def measure(self, trial: Trial) -> Measured:
        again = trial.method(trial.predict.model, trial.images, trial.targets)
        return Measured((again - trial.maps).abs().flatten(1).amax(dim=1))


def test_maps_come_in_the_order_of_the_methods_whoever_made_them() -> None:
    model, (images, targets) = small_cnn(), pictures(2)
    methods = {"noise": noise, "g": Gradient(), "captum": saliency, "cam": GradCAM(), "s": SmoothGrad(2)}
    for order in (list(methods), list(reversed(methods))):
        maps = explain(model, images, targets, {name: methods[name] for name in order})
        assert list(maps) == order


def test_sequences_take_names_from_the_members_and_mappings_give_them() -> None:
    model, (images, targets) = small_cnn(), pictures(2)
    listed = explain(model, images, targets, (Gradient(), Gradient("sum_abs", name="sum"), saliency))
    assert list(listed) == ["gradient", "sum", "saliency"]
    mapped = explain(model, images, targets, MappingProxyType({"a": Gradient(), "b": Gradient("sum_abs")}))
    assert torch.equal(mapped["a"], listed["gradient"])
    assert torch.equal(mapped["b"], listed["sum"])


def test_a_captum_attribution_is_a_method_and_gives_the_same_gradient() -> None:
    model, (images, targets) = small_cnn(), pictures(5)
    maps = explain(model, images, targets, [Gradient(), saliency], max_batch_size=2)
    torch.testing.assert_close(maps["saliency"], maps["gradient"])
    assert maps["saliency"].dtype == torch.float32


def test_captums_integrated_gradients_of_a_linear_model_are_weight_times_input() -> None:
    weight, (images, _) = torch.randn(2, 12), pictures(3, size=2)

    def integrated(model: nn.Module, batch: Tensor, targets: Tensor) -> Tensor:
        return IntegratedGradients(model).attribute(batch.requires_grad_(), target=targets, n_steps=4).sum(dim=1)

    maps = explain(linear_model(weight), images, torch.ones(3, dtype=torch.int64), [integrated])["integrated"]
    torch.testing.assert_close(maps, (weight[1].reshape(3, 2, 2) * images).sum(dim=1))


def test_what_a_foreign_method_does_to_model_and_tensors_is_not_felt() -> None:
    model, (images, targets) = mixed_modes(small_cnn()), pictures(3)
    held, before = (images.clone(), targets.clone()), trace_of(model)
    maps = explain(model, images, targets, [with_leftovers, Gradient()])
    assert torch.equal(images, held[0])
    assert torch.equal(targets, held[1])
    before["training"] = {name: module.training for name, module in model.named_modules()}
    assert_no_trace(model, before)
    assert torch.equal(maps["gradient"], Gradient()(model, images, targets))


def test_training_modes_are_given_back_even_if_a_foreign_method_changes_them() -> None:
    model = mixed_modes(small_cnn())
    before = trace_of(model)
    explain(model, *pictures(3), [with_leftovers])
    assert_no_trace(model, before)


def test_what_a_foreign_method_draws_does_not_depend_on_what_else_is_explained() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    alone = explain(model, images, targets, {"b": noise})["b"]
    torch.rand(3)
    among = explain(model, images, targets, {"a": noise, "g": Gradient(), "b": noise})
    assert torch.equal(among["b"], alone)
    assert torch.equal(among["a"], alone)


def test_without_targets_the_predicted_classes_are_explained() -> None:
    model, (images, _) = small_cnn(), pictures(5)
    predicted = model.eval()(images).argmax(dim=1)
    for method in (Gradient(), saliency):
        expected = explain(model, images, predicted, {"m": method})["m"]
        torch.testing.assert_close(explain(model, images, None, {"m": method}, 2)["m"], expected)


def test_whole_numbers_of_any_width_are_targets() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    maps = explain(model, images, targets, [GradCAM()])
    scores = score(model, images, maps, targets, [RCAP()])
    for kind in (torch.int32, torch.int16):
        assert torch.equal(explain(model, images, targets.to(kind), [GradCAM()])["grad_cam"], maps["grad_cam"])
        again = score(model, images, maps, targets.to(kind), [RCAP()])
        assert torch.equal(again["grad_cam"]["rcap"], scores["grad_cam"]["rcap"])


def test_scores_of_many_methods_and_metrics_are_those_of_each_alone() -> None:
    model, (images, targets) = small_cnn(), pictures(5)
    maps = explain(model, images, targets, [Gradient(), GuidedAbsoluteGrad(3)])
    metrics = [RCAP(), Allegiance(), Allegiance("white")]
    scores = score(model, images, maps, targets, metrics, max_batch_size=8)
    assert {name: list(row) for name, row in scores.items()} == {
        name: ["rcap", "allegiance", "allegiance_white"] for name in ("gradient", "guided_absolute_grad")
    }
    for name, method_maps in maps.items():
        torch.testing.assert_close(scores[name]["rcap"], RCAP().scores(model, images, method_maps, targets))
        torch.testing.assert_close(scores[name]["allegiance"], Allegiance().scores(model, images, method_maps, targets))
        white = Allegiance(canvas="white").scores(model, images, method_maps, targets)
        torch.testing.assert_close(scores[name]["allegiance_white"], white)


def test_predictions_shared_by_metrics_are_made_once() -> None:
    sizes = []
    network = small_cnn()

    def model(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return network(images)

    network.eval()
    images, targets = pictures(4)
    maps = {"a": torch.rand(4, 8, 8), "b": torch.rand(4, 8, 8)}
    metrics = {"one": Allegiance(), "same": Allegiance(), "rcap": RCAP(), "colder": RCAP(lower_bound=0.7)}
    score(model, images, maps, targets, metrics)
    # Intact once; per map 12 deletions (the fraction 0 deletes nothing), and 5 recoveries, 3 of them shared.
    assert sum(sizes) == 4 * (1 + 2 * (12 + 5))
    assert max(sizes) <= 64


def test_measure_keeps_the_curves_behind_the_scores() -> None:
    model, (images, targets) = small_cnn(), pictures(5)
    maps = {"a": torch.rand(5, 8, 8)}
    result = measure(model, images, maps, targets, [RCAP(), Allegiance()], max_batch_size=2)["a"]
    assert result["rcap"].curves.shape == (5, 5)
    assert result["allegiance"].curves.shape == (5, 13)
    torch.testing.assert_close(result["rcap"].curves.mean(dim=1), result["rcap"].scores)


def test_metrics_get_what_they_need() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    methods = [Gradient(), noise]
    maps = explain(model, images, targets, methods)
    masks = torch.zeros(3, 8, 8, dtype=torch.bool)
    scores = score(model, images, maps, targets, [NeedsMasks(), NeedsMethods()], methods=methods, masks=masks)
    assert torch.equal(scores["gradient"]["inside"], torch.zeros(3))
    assert torch.equal(scores["gradient"]["repeated"], torch.zeros(3))


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.uint8, torch.float16, torch.float64])
def test_maps_of_any_type_score_like_floating_point_ones(kind: torch.dtype) -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    maps = (torch.rand(3, 8, 8) > 0.6).to(kind)
    metrics = [RCAP(), Allegiance()]
    expected = score(model, images, {"edges": maps.float()}, targets, metrics)["edges"]
    result = score(model, images, {"edges": maps}, targets, metrics)["edges"]
    for name in ("rcap", "allegiance"):
        torch.testing.assert_close(result[name].float(), expected[name])
        assert expected[name].all()


GOOD_IMAGES, GOOD_TARGETS = pictures(2)
GOOD_MAPS = {"a": torch.linspace(0, 1, 128).reshape(2, 8, 8)}


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("images", [[0.0]], TypeError, r"`images` to be a tensor of shape \(B, C, \*S\), but got list"),
        (
            "images",
            GOOD_IMAGES.mul(255).byte(),
            TypeError,
            r"`images` to be floating point, but got torch\.uint8: conv",
        ),
        ("images", torch.zeros(8, 8), ValueError, r"`images` to have shape \(B, C, \*S\) .* but got \(8, 8\)"),
        ("images", torch.zeros(0, 3, 8, 8), ValueError, r"no empty dimension, but got \(0, 3, 8, 8\)"),
        ("targets", [0, 1], TypeError, r"`targets` to be a tensor of shape \(B,\), but got list"),
        (
            "targets",
            torch.tensor([0.0, 1.0]),
            TypeError,
            r"`targets` to be class indices, but got torch\.float32",
        ),
        ("targets", torch.tensor([True, False]), TypeError, r"but got torch\.bool: pass int64"),
        ("targets", torch.tensor([0]), ValueError, r"`targets` to have shape \(2,\), but got \(1,\)"),
        ("targets", torch.tensor([[0], [1]]), ValueError, r"but got \(2, 1\)"),
        ("targets", torch.tensor([0, 4]), ValueError, r"`targets` to lie in \[0, 3\], .* 4 classes, but got 4\."),
        ("targets", torch.tensor([-100, 0]), ValueError, r"`targets` to lie in \[0, 3\], .* but got -100\."),
        ("max_batch_size", 0, ValueError, "`max_batch_size` to be at least 1, but got 0"),
        ("max_batch_size", 2.0, TypeError, r"`max_batch_size` to be a whole number, but got 2\.0"),
        ("max_batch_size", True, TypeError, "`max_batch_size` to be a whole number, but got True"),
    ],
)
def test_bad_arguments_are_refused_by_both_with_name_value_and_way_out(
    argument: str, value: object, error: type[Exception], message: str
) -> None:
    model = mixed_modes(small_cnn())
    before = trace_of(model)
    options = {"images": GOOD_IMAGES, "targets": GOOD_TARGETS, "max_batch_size": 64} | {argument: value}
    with pytest.raises(error, match=message):
        explain(model, methods=[Gradient()], **options)
    with pytest.raises(error, match=message):
        score(model, maps=GOOD_MAPS, metrics=[Allegiance()], **options)
    assert_no_trace(model, before)


@pytest.mark.parametrize(
    ("methods", "error", "message"),
    [
        ([], ValueError, "`methods` to have distinct names, but got none"),
        ({}, ValueError, "`methods` to have distinct names, but got none"),
        (
            [Gradient(), Gradient("sum_abs")],
            ValueError,
            r"got \['gradient'\] more than once: give instances a",
        ),
        ([saliency, saliency], ValueError, r"but got \['saliency'\] more than once"),
        ([lambda *_: None], ValueError, "in `methods` to have a name: pass a mapping from names"),
        (Gradient(), TypeError, r"`methods` to be a sequence or a mapping, but got Gradient\(.*\): put it in a list"),
        ("gradient", TypeError, "a sequence or a mapping, but got 'gradient'"),
        ([Gradient], TypeError, "to hold instances that can be called, but got <class .*Gradient'>: make an instance"),
        (["gradient"], TypeError, "to hold instances that can be called, but got 'gradient'"),
        ({"a": None}, TypeError, "to hold instances that can be called, but got None"),
    ],
)
def test_methods_that_are_none_are_refused(methods: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        explain(small_cnn(), GOOD_IMAGES, GOOD_TARGETS, methods)


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ([], ValueError, "`metrics` to have distinct names, but got none"),
        ([RCAP(), RCAP(0.7)], ValueError, r"`metrics` to have distinct names, but got \['rcap'\] more than once"),
        (RCAP(), TypeError, "`metrics` to be a sequence or a mapping, but got"),
        ([RCAP], TypeError, "`metrics` to hold instances that can be called, but got <class"),
        ([min], TypeError, "Expected metric 'min' to be an explanation metric, but got builtin"),
        ([Gradient()], TypeError, "Expected metric 'gradient' to be an explanation metric, but got Gradient"),
        ([NeedsMasks()], ValueError, "Expected `masks` for metric 'inside', but got None: pass them, or leave it out"),
        ([NeedsMethods()], ValueError, "Expected `methods` for metric 'repeated', but got None: pass them"),
    ],
)
def test_metrics_that_are_none_are_refused(metrics: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        score(small_cnn(), GOOD_IMAGES, {"a": torch.rand(2, 8, 8)}, GOOD_TARGETS, metrics)


@pytest.mark.parametrize(
    ("maps", "error", "message"),
    [
        (torch.rand(2, 8, 8), TypeError, "`maps` to map method names to maps, but got Tensor"),
        ({"a": [[1.0]]}, TypeError, "maps of 'a' to be a tensor, but got list"),
        (
            {"a": torch.rand(2, 3, 8, 8)},
            ValueError,
            r"'a' to have shape \(2, 8, 8\), .* \(2, 3, 8, 8\): reduce",
        ),
        ({"a": torch.rand(2, 4, 4)}, ValueError, r"but got \(2, 4, 4\): reduce channels and upsample"),
        ({"a": torch.rand(1, 8, 8)}, ValueError, r"but got \(1, 8, 8\)"),
        (
            {"a": torch.rand(2, 8, 8), "b": torch.full((2, 8, 8), torch.nan)},
            ValueError,
            "maps of 'b' to be finite, but got NaN or infinity in 2 of 2 maps, the first at index 0: leave those",
        ),
        ({"a": torch.rand(2, 8, 8) / 0}, ValueError, "maps of 'a' to be finite"),
    ],
)
def test_bad_maps_are_refused(maps: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        score(small_cnn(), GOOD_IMAGES, maps, GOOD_TARGETS, [Allegiance()])


@pytest.mark.parametrize(
    ("masks", "error", "message"),
    [
        (torch.zeros(2, 8, 8), TypeError, r"`masks` to be a boolean tensor, but got torch\.float32: compare it"),
        ([0], TypeError, "`masks` to be a boolean tensor, but got list"),
        (torch.zeros(2, 1, 8, 8).bool(), ValueError, r"`masks` to have shape \(2, 8, 8\), but got \(2, 1, 8, 8\)"),
    ],
)
def test_bad_masks_are_refused(masks: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        score(small_cnn(), GOOD_IMAGES, {"a": torch.rand(2, 8, 8)}, GOOD_TARGETS, [NeedsMasks()], masks=masks)


def test_methods_that_lack_a_map_are_refused() -> None:
    maps = {"gradient": torch.rand(2, 8, 8), "b": torch.rand(2, 8, 8), "a": torch.rand(2, 8, 8)}
    with pytest.raises(ValueError, match=r"`methods` to have every method of `maps`, but got none named \['a', 'b'\]"):
        score(small_cnn(), GOOD_IMAGES, maps, GOOD_TARGETS, [NeedsMethods()], methods=[Gradient()])


def test_a_foreign_method_that_returns_no_maps_is_refused_by_name() -> None:
    def unreduced(model: Model, images: Tensor, targets: Tensor) -> Tensor:
        return images

    with pytest.raises(ValueError, match=r"maps of 'unreduced' to have shape \(2, 8, 8\), .* but got \(2, 3, 8, 8\)"):
        explain(small_cnn(), GOOD_IMAGES, GOOD_TARGETS, [unreduced])
    with pytest.raises(TypeError, match="maps of 'none' to be a tensor, but got NoneType"):
        explain(small_cnn(), GOOD_IMAGES, GOOD_TARGETS, {"none": lambda *_: None})


@pytest.mark.parametrize(
    "model",
    [
        lambda images: small_cnn()(images).detach(),
        lambda images: small_cnn()(images).argmax(dim=1, keepdim=True) * torch.ones(1, 4, requires_grad=True),
        torch.no_grad()(small_cnn()),
    ],
)
def test_a_model_without_a_differentiable_path_is_refused(model: Model) -> None:
    with pytest.raises(
        ValueError, match=r"differentiable path from the images .* to the logits, but there is none: look"
    ):
        explain(model, GOOD_IMAGES, GOOD_TARGETS, [Gradient()])


@pytest.mark.parametrize("metric", [RCAP(), Allegiance()])
@pytest.mark.parametrize("images", [GOOD_IMAGES * 4 - 2, GOOD_IMAGES * 255, GOOD_IMAGES - 0.5])
def test_images_outside_the_unit_range_need_mean_and_std(metric: ExplanationMetric, images: Tensor) -> None:
    maps = {"a": torch.rand(2, 8, 8)}
    with pytest.raises(ValueError, match=r"images in \[0, 1\], but got values from .* pass the `mean` and `std`"):
        score(small_cnn(), images, maps, GOOD_TARGETS, [metric])


def test_a_model_that_raises_gives_everything_back() -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network, self.calls = mixed_modes(small_cnn()), 0

        def forward(self, images: Tensor) -> Tensor:
            self.calls += 1
            if self.calls == 3:
                raise RuntimeError("out of luck")
            return self.network(images)

    for run in (
        lambda model: explain(model, *pictures(3), [SmoothGrad(3)], 1),
        lambda model: score(model, GOOD_IMAGES, GOOD_MAPS, GOOD_TARGETS, [RCAP()], max_batch_size=1),
    ):
        model = Failing()
        before = trace_of(model)
        with pytest.raises(RuntimeError, match="out of luck"):
            run(model)
        assert model.calls == 3
        assert_no_trace(model, before)
