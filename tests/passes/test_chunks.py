"""How many images go through a network together."""

import pytest
import torch
from torch import nn

from lightning_saliency import explain, score
from lightning_saliency.methods import (
    LRP,
    AblationCAM,
    FullGrad,
    Gradient,
    GuidedIntegratedGradients,
    IntegratedGradients,
    ScoreCAM,
    SmoothGrad,
)
from lightning_saliency.metrics import RCAP
from lightning_saliency.passes import chunks
from lightning_saliency.passes.chunks import chunk_size


@pytest.mark.parametrize(
    ("size", "most", "expected"),
    [
        ((32, 32), 64, 64),
        ((64, 64), 64, 64),
        ((224, 224), 64, 10),
        ((224, 224), 4, 4),
        ((512, 512), 64, 8),
        ((5,), 9, 9),
    ],
)
def test_large_images_make_smaller_passes(size, most, expected):
    assert chunk_size(torch.empty(2, 3, *size), most) == expected


def test_other_devices_take_what_they_are_given():
    assert chunk_size(torch.empty(2, 3, 512, 512, device="meta"), 64) == 64


def test_maps_and_scores_do_not_depend_on_it(monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 3)).double()
    images, targets = torch.rand(20, 3, 8, 8, dtype=torch.float64), torch.arange(20) % 3
    sizes = []
    model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))

    def everything():
        maps = explain(model, images, targets, [Gradient(), SmoothGrad(num_samples=3)])
        scores = score(model, images, maps, targets, [RCAP()])
        return maps["smooth_grad"], scores["smooth_grad"]["rcap"]

    together = everything()
    assert max(sizes) == 60
    sizes.clear()
    monkeypatch.setattr(chunks, "POSITIONS_TOGETHER", 1)
    apart = everything()
    assert max(sizes) == chunks.SMALLEST
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "explained",
    [
        ScoreCAM("0"),
        AblationCAM("0"),
        IntegratedGradients(2),
        GuidedIntegratedGradients(2),
        FullGrad(),
        LRP(),
        LRP().attribute_to_biases,
    ],
    ids=lambda each: getattr(each, "name", "attribute_to_biases"),
)
def test_a_method_that_is_called_alone_has_no_larger_passes(monkeypatch, explained):
    monkeypatch.setattr(chunks, "POSITIONS_TOGETHER", 1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    sizes = []
    model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    explained(model, torch.rand(20, 3, 8, 8), torch.arange(20) % 3)
    assert max(sizes) == chunks.SMALLEST
