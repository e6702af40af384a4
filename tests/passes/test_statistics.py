"""Running values agree with those of the full stack."""

import pytest
import torch
from torch import Tensor

from lightning_saliency.passes.statistics import Activation, Mean, Observation, Statistic, Variance


def folded(statistic: Statistic, gradients: Tensor, weight: float = 1.0) -> Tensor:
    state = None
    for gradient in gradients:
        copy = gradient.clone()
        observation = Observation(gradient, 2 * gradient, gradient.flatten(1).sum(dim=1), weight, None, 0)
        state = statistic.update(state, observation)
        assert torch.equal(gradient, copy), "other statistics read the same observation"
    return statistic.value(state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, 2, 7])
def test_they_are_those_of_the_stack(samples: int, dtype: torch.dtype) -> None:
    stack = torch.randn(samples, 2, 3, 4, 4, dtype=dtype)
    weight = 1 / samples
    torch.testing.assert_close(folded(Mean(), stack, weight), stack.mean(dim=0))
    torch.testing.assert_close(folded(Mean("absolute"), stack, weight), stack.abs().mean(dim=0))
    torch.testing.assert_close(folded(Activation(), stack, weight), 2 * stack.mean(dim=0))
    expected = stack.var(dim=0) if samples > 1 else torch.zeros(2, 3, 4, 4, dtype=dtype)
    torch.testing.assert_close(folded(Variance(), stack), expected)


def test_the_variance_of_values_far_from_zero_does_not_cancel() -> None:
    stack = 1000 + torch.randn(20, 1, 1, 8, dtype=torch.float64)
    torch.testing.assert_close(folded(Variance(), stack.float()).double(), stack.var(dim=0), rtol=1e-3, atol=0)


def test_the_variance_of_what_differs_by_rounding_is_zero() -> None:
    value = torch.full((1, 1, 4), 0.1)
    stack = torch.stack([value, torch.nextafter(value, torch.ones(())), torch.nextafter(value, torch.zeros(()))])
    assert not folded(Variance(), stack).any()
    assert folded(Variance(), stack * torch.tensor([1.0, 1.001, 1]).reshape(3, 1, 1, 1)).all()
