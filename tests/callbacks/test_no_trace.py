import functools

import lightning.pytorch.callbacks as lightning_callbacks
import pytest
import torch

from lightning_saliency import SaliencyMonitor, methods
from lightning_saliency.methods import GuidedAbsoluteGrad, SmoothGrad
from tests.callbacks.training import MEAN, STD, Classifier, assert_identical, fit, trace

MODES = {
    "plain": {},
    "no sanity run": {"num_sanity_val_steps": 0},
    "accumulation and validation in mid-epoch": {"accumulate_grad_batches": 4, "val_check_interval": 0.5},
    "validation every second epoch": {"check_val_every_n_epoch": 2},
    "bf16-mixed": {"precision": "bf16-mixed"},
}


@functools.cache
def untouched(mode):
    return trace(*fit(**MODES[mode]))


def monitor(*args, **options):
    return SaliencyMonitor(*args, **{"num_images": 6, "mean": MEAN, "std": STD, **options})


@pytest.mark.parametrize("mode", MODES)
def test_training_is_bit_identical_with_and_without_the_monitor(mode):
    run, module = fit([monitor()], **MODES[mode])
    assert "saliency/grad_cam/rcap" in run.callback_metrics
    assert_identical(trace(run, module), untouched(mode))


def exported_methods():
    return [
        getattr(methods, name)
        for name in methods.__all__
        if isinstance(getattr(methods, name), type) and name != "Method"
    ]


@pytest.mark.parametrize("method", exported_methods())
def test_every_method_leaves_no_trace(method):
    run, module = fit([monitor([method()])])
    assert any(name.endswith("rcap") for name in run.callback_metrics)
    assert_identical(trace(run, module), untouched("plain"))


def test_an_explanation_that_raises_leaves_no_trace():
    calls = []

    def moody(model, images, targets):
        model(images.requires_grad_()).sum()
        torch.rand(1)
        calls.append(len(images))
        raise RuntimeError("not today")

    watcher = monitor({"moody": moody, "smooth_grad": SmoothGrad(num_samples=2)})
    with pytest.warns(UserWarning, match="RuntimeError: not today"):
        run, module = fit([watcher])
    assert len(calls) == 3
    assert not any(name.startswith("saliency/moody") for name in run.callback_metrics)
    assert_identical(trace(run, module), untouched("plain"))


def test_a_monitor_told_to_raise_stops_and_gives_everything_back():
    def broken(model, images, targets):
        raise RuntimeError("broken")

    module = Classifier()
    module.network[1].weight.requires_grad_(False)
    with pytest.raises(RuntimeError, match="broken"):
        fit([monitor({"broken": broken}, on_error="raise")], lambda: module)
    assert [p.requires_grad for p in module.network.parameters()].count(False) == 1
    assert not any(part._forward_hooks for part in module.modules())


def test_an_averaged_model_is_what_is_explained_and_training_does_not_notice():
    averaging = getattr(lightning_callbacks, "EMAWeightAveraging", None)
    if averaging is None:
        pytest.skip("this Lightning has no weight averaging")
    alone = trace(*fit([averaging(decay=0.9)]))
    scores = []
    for order in (1, -1):
        run, module = fit([monitor([GuidedAbsoluteGrad(num_samples=2)]), averaging(decay=0.9)][::order])
        scores.append(run.callback_metrics["saliency/guided_absolute_grad/rcap"])
        assert_identical(trace(run, module), alone)
    assert scores[0] == scores[1]
