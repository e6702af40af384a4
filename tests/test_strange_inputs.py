"""Networks, images, labels and numbers that are unusual get a result, or a sentence with the way out."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import SaliencyMonitor, explain, follow, score
from lightning_saliency.methods import LRP, FullGrad, GradCAM, Gradient, GuidedBackprop, ScoreCAM
from lightning_saliency.metrics import RCAP, ExplanationMetric, Infidelity, Insertion
from lightning_saliency.passes.references import References
from tests.callbacks.training import MEAN, STD, Classifier, Data, Network, Patterns, assert_identical, fit, trace
from tests.members import METHODS, METRICS, build_method, build_metric, needs_of
from tests.models import pictures, small_cnn
from tests.traces import assert_no_trace, trace_of


@pytest.mark.parametrize("precision", [torch.float16])
@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_a_model_in_half_precision_has_maps(kind: type, precision: torch.dtype) -> None:
    images, targets = pictures(2)
    needed = {"references": References(images.to(precision))} if "Expected" in kind.__name__ else {}
    maps = build_method(kind, **needed)(small_cnn().to(precision), images.to(precision), targets)
    assert maps.dtype == torch.float32
    assert maps.isfinite().all()


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_an_image_with_nan_leaves_the_maps_of_others_as_they_are(kind: type) -> None:
    (images, targets), method = pictures(3), build_method(kind)
    expected = method(small_cnn(), images, targets)
    images[1, 0, 0, 0] = torch.nan
    maps = method(small_cnn(), images, targets)
    torch.testing.assert_close(maps[[0, 2]], expected[[0, 2]])


class Kept(Tensor):
    """Remains what it is in every function of torch."""


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_images_and_targets_of_a_subclass_have_plain_maps(kind: type) -> None:
    (images, targets), method = pictures(2), build_method(kind)
    maps = method(small_cnn(), images.as_subclass(Kept), targets.as_subclass(Kept))
    assert type(maps) is Tensor
    assert torch.equal(maps, method(small_cnn(), images, targets))


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_images_maps_and_targets_of_a_subclass_have_plain_scores(kind: type[ExplanationMetric]) -> None:
    (images, targets), maps = pictures(2), torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    metric = {"it": build_metric(kind)}
    needs = needs_of(metric["it"], maps)
    expected = score(small_cnn(), images, {"maps": maps}, targets, metric, **needs)["maps"]["it"]
    images, maps, targets = (tensor.as_subclass(Kept) for tensor in (images, maps, targets))
    scores = score(small_cnn(), images, {"maps": maps}, targets, metric, **needs)["maps"]["it"]
    assert type(scores) is Tensor
    assert torch.equal(scores, expected)


@pytest.mark.parametrize("member", [*METHODS, *METRICS], ids=lambda kind: kind.__name__)
def test_parameters_made_in_inference_mode_are_explained_and_stay_as_they_are(member: Any) -> None:
    images, targets = pictures(2)
    with torch.inference_mode():
        model = small_cnn()
    before = trace_of(model)
    if member in METHODS:
        build_method(member)(model, images, targets)
    else:
        metric, maps = build_metric(member), torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
        score(model, images, {"maps": maps}, targets, {"it": metric}, **needs_of(metric, maps))
    before["chance"] = trace_of(model)["chance"]  # type checks of containers in tests draw Python's random numbers
    assert_no_trace(model, before)
    assert all(parameter.is_inference() for parameter in model.parameters())


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("compile_script", [torch.jit.script, lambda model: torch.jit.trace(model, pictures(3)[0])])
def test_a_script_has_the_maps_of_its_network_or_is_refused(compile_script: Callable[[nn.Module], Any]) -> None:
    (images, targets), network, refused = pictures(3), small_cnn().eval(), set()
    script = compile_script(small_cnn().eval())
    for kind in METHODS:
        method = build_method(kind)
        try:
            maps = method(script, images, targets)
        except ValueError as error:
            assert "before `torch.jit`" in str(error)  # noqa: PT017 - the maps of the others are compared
            refused.add(method.name)
        else:
            torch.testing.assert_close(maps, method(network, images, targets))
    assert {"grad_cam", "lrp", "full_grad", "guided_backprop"} <= refused
    assert not {"gradient", "smooth_grad", "integrated_gradients"} & refused


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_layers_beside_a_script_are_found_and_what_is_in_it_is_not_watched() -> None:
    images, targets = pictures(2)
    plain, beside = small_cnn().eval(), small_cnn().eval()
    beside[0] = torch.jit.script(beside[0])
    assert torch.equal(GradCAM()(beside, images, targets), GradCAM()(plain, images, targets))
    for method in (LRP(), FullGrad(), GuidedBackprop()):
        with pytest.raises(ValueError, match="script at '0'"):
            method(beside, images, targets)


class Ending(nn.Module):
    def __init__(self, end: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.network, self.end = small_cnn(), end

    def forward(self, images: Tensor) -> Any:
        return self.end(self.network(images))


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (Tensor.long, "floating point, but got torch.int64"),
        (Tensor.to_sparse, "dense, but got torch.sparse_coo"),
        (lambda logits: logits > 0, "floating point, but got torch.bool"),
        (lambda logits: torch.complex(logits, logits), "floating point, but got torch.complex64"),
        (lambda logits: logits[:, :0], r"shape \(B, K\).* got \(\d, 0\)"),
    ],
)
@pytest.mark.parametrize("given", [True, False])
def test_logits_of_another_kind_are_refused(end: Callable[[Tensor], Any], message: str, given: bool) -> None:
    model, (images, targets) = Ending(end), pictures(2)
    for method in (Gradient(), GradCAM(), ScoreCAM("network.8"), FullGrad()):
        with pytest.raises((TypeError, ValueError), match=message):
            explain(model, images, targets if given else None, [method], max_batch_size=2)
    for metric in (RCAP(), Insertion()):
        with pytest.raises((TypeError, ValueError), match=message):
            score(model, images, {"maps": images[:, 0]}, targets, [metric], max_batch_size=2)
    with pytest.raises((TypeError, ValueError), match=message):
        follow(model, images, targets, ["level"], max_batch_size=2)


@pytest.mark.parametrize("mean", ["x", ["a"], b"x", {}, [], object(), [None]])
def test_a_mean_that_is_no_number_is_refused(mean: Any) -> None:
    for arguments in ({"mean": mean, "std": 1.0}, {"mean": 1.0, "std": mean}):
        with pytest.raises(TypeError, match=r"`(mean|std)` must be a number or one for each channel, but got"):
            RCAP(**arguments)


def test_stages_that_never_end_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`interval` must lie in \[0\.001, 1\], but got 1e-09"):
        RCAP(interval=1e-9)
    assert len(RCAP(0.0, 0.001).points) == 1000


@pytest.mark.parametrize("scale", [1e18, 3e37])
@pytest.mark.parametrize("options", [{}, {"normalize": False}, {"scale": False}, {"normalize": False, "scale": False}])
def test_infidelity_of_huge_logits_and_maps_is_finite(scale: float, options: dict[str, Any]) -> None:
    images, targets = pictures(3)
    maps = (torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5) * 2 * 3e38
    model = Ending(lambda logits: logits.clamp(-9, 9) * scale)
    assert Infidelity(**options).scores(model, images, maps, targets).isfinite().all()


@pytest.mark.filterwarnings("ignore:Biases keep")  # they do, with such weights
@pytest.mark.parametrize("rule", ["epsilon", "z_plus", "alpha_beta", "epsilon_plus"])
@pytest.mark.parametrize("size", [1e-20, 1e-38, 1e-40, 1e-45])
def test_relevance_of_tiny_contributions_is_finite(rule: Any, size: float) -> None:
    images, targets = pictures(3)
    assert LRP(rule)(small_cnn(), images * size, targets).isfinite().all()
    model = small_cnn()
    with torch.no_grad():
        for layer in (model[0], model[3], model[7], model[-1]):
            layer.weight.mul_(size)
    assert LRP(rule)(model, images, targets).isfinite().all()


def test_relevance_does_not_depend_on_the_unit_of_images() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4, bias=False))
    images, targets = pictures(3)
    images[1] *= 2.0**-100
    unit = images.clone()
    unit[1] *= 2.0**100
    maps, expected = LRP("z_plus")(model, images, targets), LRP("z_plus")(model, unit, targets)
    assert torch.equal(maps[[0, 2]], expected[[0, 2]])
    torch.testing.assert_close(maps[1] * 2.0**100, expected[1])


def test_a_step_over_views_that_are_no_images_has_relevance() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = small_cnn()

        def forward(self, images: Tensor) -> Tensor:
            return self.network(torch.cat([images, images])).reshape(2, len(images), -1).mean(dim=0)

    images, targets = pictures(3)
    model = Views()
    torch.testing.assert_close(LRP()(model, images, targets), LRP()(model.network, images, targets))


class OfTwo(Classifier):
    """Learns from boolean labels, with two outputs or one."""

    def __init__(self, outputs: int) -> None:
        network = Network()
        network[-1] = nn.Linear(8, outputs)
        super().__init__(network)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self(batch[0]).square().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self(batch[0])


class Booleans(Data):
    def val_dataloader(self) -> Any:
        data = Patterns(12)
        return DataLoader(TensorDataset((data.images - MEAN) / STD, data.targets > 0), self.batch_size)


def watched(make: Callable[[], Any], data: Any = None, **options: Any) -> tuple[Any, Any]:
    monitor = SaliencyMonitor(
        [Gradient(), GradCAM()], [RCAP(mean=MEAN, std=STD)], num_images=6, cues=(), num_panels=0, on_error="raise"
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*are constant")
        return fit([monitor], make, data, **options)


@pytest.mark.parametrize("outputs", [1, 2])
def test_boolean_labels_are_classes(outputs: int) -> None:
    run, _ = watched(lambda: OfTwo(outputs), Booleans(), max_epochs=1)
    assert 0 <= run.callback_metrics["saliency/gradient/rcap"] <= 1


class Lazy(Classifier):
    def __init__(self) -> None:
        convolution, norm = nn.LazyConv2d(8, 3, padding=1), nn.LazyBatchNorm2d()
        super().__init__(
            nn.Sequential(
                convolution, norm, nn.ReLU(), nn.Dropout(0.2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3)
            )
        )


@pytest.mark.parametrize("num_sanity_val_steps", [0, 2])
def test_lazy_modules_train_as_without_the_monitor_and_are_explained(num_sanity_val_steps: int) -> None:
    expected = trace(*fit(make=Lazy, num_sanity_val_steps=num_sanity_val_steps))
    run, module = watched(Lazy, num_sanity_val_steps=num_sanity_val_steps)
    assert_identical(trace(run, module), expected)
    assert run.callback_metrics["saliency/grad_cam/rcap"].isfinite()


def test_lazy_modules_that_have_not_run_are_refused() -> None:
    images, targets = pictures(2)
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(4))
    with pytest.raises(ValueError, match="lazy modules that have not run yet"):
        Gradient()(model, images, targets)
    model(images)
    assert math.prod(Gradient()(model, images, targets).shape) == 128
