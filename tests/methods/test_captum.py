"""Captum as the oracle, fed the same points."""

import pytest
import torch

from lightning_saliency.methods import (
    ExpectedGradients,
    Gradient,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
    SquareGrad,
    VarGrad,
)
from tests.methods.tiny import network, pictures

attr = pytest.importorskip("captum.attr")

MODEL, IMAGES, TARGETS = network(), pictures(), torch.tensor([0, 1, 2, 4])


def test_gradient_is_saliency():
    expected = attr.Saliency(MODEL).attribute(IMAGES.clone().requires_grad_(), TARGETS).amax(dim=1)
    torch.testing.assert_close(Gradient()(MODEL, IMAGES, TARGETS), expected.float(), rtol=1e-5, atol=0)


def test_input_x_gradient():
    expected = attr.InputXGradient(MODEL).attribute(IMAGES.clone().requires_grad_(), TARGETS).detach()
    torch.testing.assert_close(InputXGradient().attribute(MODEL, IMAGES, TARGETS), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("rule", "theirs"), [("gauss_legendre", "gausslegendre"), ("left", "riemann_left")])
@pytest.mark.parametrize("baseline", [0.0, 1.0, 0.4])
def test_integrated_gradients(rule, theirs, baseline):
    start = torch.full_like(IMAGES[0], baseline)
    expected = attr.IntegratedGradients(MODEL).attribute(IMAGES, start[None], TARGETS, n_steps=9, method=theirs)
    result = IntegratedGradients(9, baseline=start, rule=rule).attribute(MODEL, IMAGES, TARGETS)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "kind"), [(SmoothGrad(5), "smoothgrad"), (SquareGrad(5), "smoothgrad_sq"), (VarGrad(5), "vargrad")]
)
def test_noise_methods(method, kind, monkeypatch):
    """The noise of `NoiseTunnel` is replaced by ours; its variance is the biased one."""
    noise = method.readings[0].points
    copies = torch.stack([noise.sample(IMAGES, step).inputs for step in range(5)], dim=1).flatten(0, 1)
    tunnel = attr.NoiseTunnel(attr.Saliency(MODEL))
    monkeypatch.setattr(torch, "normal", lambda mean, std: copies - IMAGES.repeat_interleave(5, dim=0))
    expected = tunnel.attribute(IMAGES.clone(), nt_type=kind, nt_samples=5, stdevs=1.0, target=TARGETS, abs=False)
    scale = 5 / 4 if kind == "vargrad" else 1
    result = method(MODEL, IMAGES, TARGETS)
    torch.testing.assert_close(result, (scale * expected).abs().sum(dim=1).detach().float(), rtol=1e-5, atol=0)


def test_expected_gradients_are_gradient_shap_with_our_draws(monkeypatch):
    references = pictures(3, seed=3)
    method = ExpectedGradients(references, num_samples=6)
    path = method.path
    expected = torch.zeros_like(IMAGES)
    for step in range(6):
        point, weight, direction, *_ = path.sample(IMAGES, step)
        gradient = attr.Saliency(MODEL).attribute(point.requires_grad_(), TARGETS, abs=False)
        expected += weight * gradient.detach() * direction
    torch.testing.assert_close(method.attribute(MODEL, IMAGES, TARGETS), expected, rtol=1e-5, atol=1e-12)
    torch.manual_seed(0)
    shap = attr.GradientShap(MODEL).attribute(IMAGES, references, n_samples=1500, stdevs=0.0, target=TARGETS)
    many = ExpectedGradients(references, num_samples=300).attribute(MODEL, IMAGES, TARGETS)
    assert (many - shap).norm() < 0.1 * many.norm()
