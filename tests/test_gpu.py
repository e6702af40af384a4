"""Only a GPU shows this: agreement with the CPU, mixed precision, memory and time. Skipped where there is none."""

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import SaliencyMonitor, explain, score
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad, SmoothGrad
from lightning_saliency.metrics import RCAP
from tests.callbacks.training import MEAN, STD, assert_identical, fit, trace
from tests.members import METHODS, METRICS, build_method, build_metric, needs_of
from tests.models import pictures, small_cnn

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
DEVICE = "cuda"


@pytest.fixture(autouse=True)
def _exact_products() -> None:
    """Multiply in single precision, as the CPU does, and sum in the same order in each training."""
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_maps_are_those_of_the_cpu(kind: type) -> None:
    method, (images, targets) = build_method(kind), pictures(3)
    expected = method(small_cnn().double(), images.double(), targets)
    maps = method(small_cnn().double().to(DEVICE), images.double().to(DEVICE), targets.to(DEVICE))
    assert maps.device.type == DEVICE
    scale = expected.abs().flatten(1).amax(dim=1).reshape(-1, 1, 1)
    assert ((maps.cpu() - expected).abs() > 1e-5 * scale).float().mean() <= 0.01


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_scores_are_those_of_the_cpu(kind: type) -> None:
    metric, (images, targets), maps = build_metric(kind), pictures(3), torch.rand(3, 8, 8)

    def scores(device: str) -> Tensor:
        moved = {
            name: each.to(device) if isinstance(each, Tensor) else each for name, each in needs_of(metric, maps).items()
        }
        model = small_cnn().double().to(device)
        arguments = (images.double().to(device), {"maps": maps.to(device)}, targets.to(device), {"it": metric})
        return score(model, *arguments, **moved)["maps"]["it"].cpu()

    torch.testing.assert_close(scores(DEVICE), scores("cpu"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed"])
def test_training_in_mixed_precision_is_the_same_with_the_monitor(precision: str) -> None:
    options = {"accelerator": "gpu", "devices": 1, "precision": precision}
    monitor = SaliencyMonitor([SmoothGrad(4), GradCAM()], [RCAP(mean=MEAN, std=STD)], num_images=6, on_error="raise")
    expected = trace(*fit(**options))
    run, module = fit([monitor], **options)
    assert_identical(trace(run, module), expected)
    assert run.callback_metrics["saliency/smooth_grad/rcap"].isfinite()


def test_peak_memory_does_not_depend_on_the_number_of_samples() -> None:
    model, (images, targets) = small_cnn().to(DEVICE), pictures(64, size=64)
    images, targets = images.to(DEVICE), targets.to(DEVICE)
    peaks = [peak(lambda n=n: explain(model, images, targets, [GuidedAbsoluteGrad(n)])) for n in (4, 4, 40)]
    assert peaks[2] <= 1.02 * peaks[1]


def test_noise_takes_little_more_than_its_passes() -> None:
    model, (images, targets) = small_cnn().eval().to(DEVICE), pictures(64, size=128)
    images, targets = images.to(DEVICE), targets.to(DEVICE)

    def passes() -> None:
        for _ in range(20):
            inputs = images.clone().requires_grad_()
            nn.functional.cross_entropy(model(inputs), targets).backward()

    bound = seconds(passes)
    assert seconds(lambda: explain(model, images, targets, [SmoothGrad(20)])) <= 3 * bound


def peak(run: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def seconds(run: Callable[[], object]) -> float:
    run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / 3
