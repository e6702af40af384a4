"""Path methods say once how far their attributions are from the change of the logit, and what helps."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import explain, score
from lightning_saliency.methods import (
    IDGI,
    BlurIntegratedGradients,
    GuidedIntegratedGradients,
    IntegratedGradients,
    SaliencyMethod,
)
from lightning_saliency.metrics import MaxSensitivity, ParameterRandomization
from lightning_saliency.passes.path_statistics import AccountedChange
from lightning_saliency.passes.points import Clean
from lightning_saliency.passes.stream import Reading, read_streams
from lightning_saliency.targets import ClassLogit
from tests.methods.tiny import network, pictures

TARGETS = torch.tensor([0, 0])
CHECKERS = torch.tensor([[1.0, 0.0] * 4, [0.0, 1.0] * 4] * 4, dtype=torch.float64).expand(2, 1, 8, 8)


def climbing(low: float, high: float, height: float = 10.0) -> Callable[[Tensor], Tensor]:
    """A logit that climbs between two contrasts of the checkers and is flat elsewhere."""

    def model(images: Tensor) -> Tensor:
        contrast = (images * (2 * CHECKERS[0] - 1)).flatten(1).sum(dim=1) / 32
        value = height * ((contrast - low) / (high - low)).clamp(0, 1)
        return torch.stack([value, -value], dim=1)

    return model


@pytest.mark.parametrize(
    ("method", "way_out"),
    [
        (IntegratedGradients(baseline="black"), "Use more `num_steps`, or `IDGI`"),
        (IntegratedGradients(rule="left", baseline="black", aggregation="positive"), "Use more `num_steps`"),
        (GuidedIntegratedGradients(baseline="black"), r"`IDGI\(GuidedIntegratedGradients\(\)\)`"),
        (BlurIntegratedGradients(max_sigma=8), "a smaller `max_sigma`"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_climb_between_two_steps_is_missed_and_said_once(method: SaliencyMethod, way_out: str) -> None:
    model = climbing(0.6101, 0.6102)
    with pytest.warns(UserWarning, match=f"^20 steps of '{method.name}' leave .* about 100 %: .*{way_out}"):
        maps = method(model, CHECKERS, TARGETS)
    assert not maps.any()
    method(model, CHECKERS, TARGETS)  # warnings are errors: it is not said again


def test_the_share_is_that_of_the_rule() -> None:
    """Of three points only the middle one, of weight 4/9, lies on a climb over .6 of the path: 4/9 / .6 = .74."""
    method = IntegratedGradients(3, baseline="black", name="of three steps")
    model = climbing(0.2, 0.8)
    torch.testing.assert_close(
        method.attribute(model, CHECKERS, TARGETS).flatten(1).sum(dim=1),
        torch.full((2,), 10 * 4 / 9 / 0.6, dtype=torch.float64),
    )
    with pytest.warns(UserWarning, match="about 30 %"):
        method(model, CHECKERS, TARGETS)


@pytest.mark.parametrize("num_steps", [1, 2, 20])
def test_a_quadratic_network_is_exact_with_any_number_of_steps(num_steps: int) -> None:
    def model(images: Tensor) -> Tensor:
        value = images.flatten(1).sum(dim=1) ** 2
        return torch.stack([value, -value], dim=1)

    method = IntegratedGradients(num_steps, baseline="black")
    method(model, CHECKERS, TARGETS)  # warnings are errors
    expected = torch.full((2,), 32.0**2, dtype=torch.float64)
    torch.testing.assert_close(method.attribute(model, CHECKERS, TARGETS).flatten(1).sum(dim=1), expected)


def test_small_changes_and_complete_methods_are_silent() -> None:
    IntegratedGradients(baseline="black")(climbing(0.6101, 0.6102, height=0.9), CHECKERS, TARGETS)
    IDGI(IntegratedGradients(baseline="black"))(climbing(0.6101, 0.6102), CHECKERS, TARGETS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_silent_here(value: float) -> None:
    def model(images: Tensor) -> Tensor:
        total = images.flatten(1).sum(dim=1) * value
        return torch.stack([total, total], dim=1)

    IntegratedGradients(baseline="black").maps(model, CHECKERS, ClassLogit(TARGETS), 2)


def test_maps_that_a_metric_makes_to_compare_are_silent() -> None:
    steep = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Sigmoid(), nn.Linear(1, 2)).eval()
    with torch.no_grad():
        steep[1].weight.fill_(40 / 64)
        steep[1].bias.fill_(-20)
        steep[3].weight.copy_(torch.tensor([[10.0], [-10.0]]))
    images = 0.9 + 0.1 * torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    method = IntegratedGradients(2, baseline="black", name="of two steps")
    with pytest.warns(UserWarning, match="2 steps of 'of two steps' leave"):
        method(steep, images, torch.tensor([0, 1]))
    compared = replace(method, name="compared")
    maps = {"compared": images[:, 0]}
    metrics = [ParameterRandomization(), MaxSensitivity(num_samples=2)]
    score(steep, images, maps, torch.tensor([0, 1]), metrics, methods=[compared])  # warnings are errors


def paths() -> dict[str, Any]:
    return {
        "gauss_legendre": IntegratedGradients(baseline="black"),
        "left": IntegratedGradients(200, baseline="black", rule="left"),
        "blur": BlurIntegratedGradients(200, 5.0),
    }


@pytest.mark.parametrize("name", paths())
def test_the_change_is_known_without_a_pass_at_the_ends(name: str) -> None:
    method = paths()[name]
    model, images, targets = network(smooth=True), pictures(), torch.tensor([0, 1, 2, 3])
    (start,) = method.baselines(images)
    with torch.no_grad():
        change = (model(images) - model(start)).gather(1, targets[:, None])[:, 0]
    (reading,) = (one for one in method.readings if isinstance(one.statistic, AccountedChange))
    ((_, values),) = read_streams(model, images, ClassLogit(targets), [reading], 64)
    torch.testing.assert_close(values[reading].change, change, rtol=1e-3, atol=1e-4)
    total = method.attribute(model, images, targets).flatten(1).sum(dim=1)
    torch.testing.assert_close(values[reading].total, total)


def test_it_costs_no_pass_and_points_without_a_path_are_refused() -> None:
    model, calls = network(), list[int]()
    model.register_forward_hook(lambda _module, inputs, _output: calls.append(len(inputs[0])))
    methods = [IntegratedGradients(6), IntegratedGradients(6, aggregation="positive", name="positive")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explain(model, pictures(2), torch.tensor([0, 1]), methods)
    assert sum(calls) == 2 * 6
    reading = Reading(Clean(), AccountedChange((0.0, 0.0)))
    with pytest.raises(TypeError, match="points on a path"):
        list(read_streams(model, pictures(2), ClassLogit(torch.tensor([0, 1])), [reading], 64))
