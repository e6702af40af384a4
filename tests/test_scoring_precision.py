"""Scores from forwards in half precision: close to the exact ones, and nothing of it left behind."""

import pytest
import torch
from torch import nn

from lightning_saliency import SaliencyMonitor, explain, score
from lightning_saliency.methods import GradCAM, Gradient, IntegratedGradients, RandomMap
from lightning_saliency.metrics import RCAP, Allegiance, CompletenessGap, Complexity, Deletion, Infidelity, Insertion
from lightning_saliency.passes import precision
from tests.cifar10 import MEAN, STD, confident
from tests.models import pictures, small_cnn
from tests.traces import assert_no_trace, mixed_modes, trace_of

IMAGES, TARGETS = pictures(5)
METRICS = [RCAP(), Allegiance(), Infidelity(num_samples=4), Insertion(4)]


class Seeing(nn.Module):
    """Notes of each forward of images how it goes; those of noise are for finding the way."""

    def __init__(self):
        super().__init__()
        self.network = small_cnn()
        self.halved, self.cast, self.folded, self.channels_last = [], [], [], []

    def forward(self, images):
        self.note(images)
        return self.network(images)

    def note(self, images):
        if bool((images >= 0).all()):
            self.halved.append(torch.is_autocast_enabled(images.device.type))
            self.cast.append(self.network[0].weight.dtype == torch.bfloat16)
            self.folded.append("forward" in vars(self.network[1]))
            self.channels_last.append(images.is_contiguous(memory_format=torch.channels_last))


class Particular(Seeing):
    """Looks at a tensor in a way that asks for one layout."""

    def __init__(self):
        super().__init__()
        self.network[9] = nn.Identity()
        self.network[10] = Viewed()
        self.network[12] = nn.Linear(96, 4)


class Viewed(nn.Module):
    def forward(self, images):
        return images.view(len(images), -1)


class Multiplying(Seeing):
    """Does with a weight what cannot be done with a half of it."""

    def forward(self, images):
        logits = super().forward(images)
        with torch.autocast(images.device.type, enabled=False):
            return logits.float() @ self.network[12].weight[:, :4]


class Adding(Seeing):
    """Reads itself what a normalised convolution makes, which only its logits tell."""

    def forward(self, images):
        self.note(images)
        made = self.network[0](images)
        own = 10 * made.amax(dim=(2, 3))[:, :4]
        return self.network[1:](made) + own


class Reading(Seeing):
    """Reads values in a way that half precision does not have."""

    def forward(self, images):
        logits = super().forward(images)
        return logits + torch.as_tensor(logits.numpy())


class Squeezing(Seeing):
    """Takes no two images."""

    def forward(self, images):
        if len(images) == 2:
            raise ValueError
        return super().forward(images)


class Failing(nn.Sequential):
    """Fails at the third batch of images."""

    def __init__(self):
        super().__init__(*small_cnn())
        self.passed = 0

    def forward(self, images):
        self.passed += bool((images >= 0).all())
        if self.passed == 3:
            raise InterruptedError
        return super().forward(images)


@pytest.fixture
def _device_gains(monkeypatch):
    """Run half precision also where it is emulated."""
    monkeypatch.setattr(precision, "_gains", lambda _device: True)


def scored(model, maps, metrics=METRICS, **options):
    images = IMAGES.to(next(model.parameters()).dtype)
    return score(model, images, maps, TARGETS, metrics, **options)["random"]


def random_maps():
    return explain(small_cnn(), IMAGES, TARGETS, [RandomMap(name="random")])


@pytest.mark.usefixtures("_device_gains")
def test_exact_is_the_default_and_changes_nothing():
    usual, model = Seeing(), Seeing()
    without, exact = scored(usual, random_maps()), scored(model, random_maps(), scoring_precision="exact")
    assert not any(usual.halved + model.halved + usual.channels_last)
    for name, scores in exact.items():
        assert torch.equal(scores, without[name])


@pytest.mark.usefixtures("_device_gains")
def test_auto_predicts_in_half_precision_and_scores_nearly_the_same():
    model = Seeing()
    rough, exact = scored(model, random_maps(), scoring_precision="auto"), scored(small_cnn(), random_maps())
    for happened in (model.halved, model.cast, model.folded, model.channels_last):
        assert all(happened)
    torch.testing.assert_close(rough["rcap"], exact["rcap"], atol=0.05, rtol=0)
    torch.testing.assert_close(rough["insertion"], exact["insertion"], atol=0.05, rtol=0)
    assert not torch.equal(rough["rcap"], exact["rcap"])
    assert rough["rcap"].dtype == torch.float32


@pytest.mark.usefixtures("_device_gains")
@pytest.mark.parametrize(
    ("kind", "halved", "cast", "folded", "channels_last"),
    [
        (Seeing, True, True, True, True),
        (Particular, True, True, True, False),
        (Adding, True, True, False, True),
        (Multiplying, True, False, False, True),
        (Reading, False, False, False, False),
        (Squeezing, False, False, False, False),
    ],
)
def test_auto_goes_as_far_as_the_model_goes_along(kind, halved, cast, folded, channels_last):
    torch.manual_seed(0)
    model = kind()
    rough, exact = (scored(model, random_maps(), scoring_precision=wanted) for wanted in ("auto", "exact"))
    happened = {name: seen[0] for name, seen in vars(model).items() if isinstance(seen, list)}
    assert happened == {"halved": halved, "cast": cast, "folded": folded, "channels_last": channels_last}
    torch.testing.assert_close(rough["rcap"], exact["rcap"], atol=0.05, rtol=0)


@pytest.mark.usefixtures("_device_gains")
@pytest.mark.parametrize("precision", ["auto", "exact"])
def test_metrics_that_predict_nothing_cost_no_pass(precision):
    model = Seeing()
    model.register_forward_pre_hook(lambda *_: pytest.fail("a pass"))
    scored(model, random_maps(), [Complexity()], scoring_precision=precision)


@pytest.mark.usefixtures("_device_gains")
def test_gradients_that_a_metric_takes_stay_exact():
    metrics, methods = [Infidelity(num_samples=4)], [IntegratedGradients(2)]
    maps = explain(small_cnn(), IMAGES, TARGETS, methods)
    seen = []

    class Watching(Infidelity):
        def measure(self, trial):
            found = super().measure(trial)
            seen.append(trial.method.attribute(trial.predict.model, trial.images, trial.targets))
            return found

    for wanted in ("exact", "auto"):
        watching = [Watching(num_samples=4, name=metrics[0].name)]
        score(small_cnn(), IMAGES, maps, TARGETS, watching, methods=methods, scoring_precision=wanted)
    assert torch.equal(*seen)


@pytest.mark.usefixtures("_device_gains")
@pytest.mark.parametrize("fails", [False, True])
def test_auto_leaves_no_trace_on_the_model(fails):
    model = mixed_modes(Failing() if fails else small_cnn())
    before, layouts = trace_of(model), [p.stride() for p in model.parameters()]
    if fails:
        with pytest.raises(InterruptedError):
            score(model, IMAGES, random_maps(), TARGETS, METRICS, scoring_precision="auto", max_batch_size=5)
    else:
        scored(model, random_maps(), scoring_precision="auto")
    assert_no_trace(model, before)
    assert [p.stride() for p in model.parameters()] == layouts
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.usefixtures("_device_gains")
def test_metrics_that_explain_again_stay_exact():
    model, methods = Seeing(), [IntegratedGradients(2)]
    maps = explain(model, IMAGES, TARGETS, methods)
    model.halved.clear()
    metrics = [RCAP(), CompletenessGap(), Allegiance()]
    found = score(model, IMAGES, maps, TARGETS, metrics, methods=methods, scoring_precision="auto")
    gap = score(small_cnn(), IMAGES, maps, TARGETS, [CompletenessGap()], methods=methods)
    assert {True, False} == set(model.halved)
    assert list(found["integrated_gradients"]) == ["rcap", "completeness_gap", "allegiance"]
    torch.testing.assert_close(
        found["integrated_gradients"]["completeness_gap"], gap["integrated_gradients"]["completeness_gap"]
    )


@pytest.mark.usefixtures("_device_gains")
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_in_another_precision_keeps_it(dtype):
    model = Seeing().to(dtype)
    rough, exact = scored(model, random_maps(), scoring_precision="auto"), scored(model, random_maps())
    assert not any(model.halved)
    assert torch.equal(rough["rcap"], exact["rcap"])


def test_auto_is_exact_where_the_device_does_not_gain(monkeypatch):
    monkeypatch.setattr(precision, "_gains", lambda _device: False)
    model = Seeing()
    scored(model, random_maps(), scoring_precision="auto")
    assert not any(model.halved)


@pytest.mark.usefixtures("_device_gains")
def test_a_plain_function_is_left_alone():
    model = Seeing()

    def function(images):
        return model.eval()(images)

    score(function, IMAGES, random_maps(), TARGETS, [RCAP()], scoring_precision="auto")
    assert not any(model.halved)


@pytest.mark.parametrize("value", ["fast", None, True])
def test_another_precision_is_refused(value):
    message = "Expected `scoring_precision` to be one of 'exact', 'auto', but got"
    with pytest.raises(ValueError, match=message):
        scored(small_cnn(), random_maps(), scoring_precision=value)
    with pytest.raises(ValueError, match=message):
        SaliencyMonitor(scoring_precision=value)


def test_the_monitor_takes_it():
    assert SaliencyMonitor().settings.scoring_precision == "exact"
    assert SaliencyMonitor(scoring_precision="auto").settings.scoring_precision == "auto"


@pytest.mark.cifar10
@pytest.mark.usefixtures("_device_gains")
def test_mean_scores_agree_within_a_quarter_of_a_standard_error():
    model, images, targets = confident(24)
    colours = {"mean": MEAN, "std": STD}
    metrics = [RCAP(**colours), Allegiance(**colours), Infidelity(num_samples=10, **colours), Insertion(5), Deletion(5)]
    maps = explain(model, images, targets, [Gradient(), GradCAM()])
    exact = score(model, images, maps, targets, metrics)
    rough = score(model, images, maps, targets, metrics, scoring_precision="auto")
    for method, row in exact.items():
        for metric, scores in row.items():
            error = (rough[method][metric] - scores).double().mean().abs()
            assert error < 0.25 * scores.double().std() / len(scores) ** 0.5, (method, metric)
