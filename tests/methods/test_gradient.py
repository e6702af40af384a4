"""The plain gradient."""

import pytest
import torch
from captum.attr import Saliency

from lightning_saliency.methods import Gradient
from tests.models import linear_model, pictures, small_cnn


def test_of_a_linear_model_it_is_the_targets_weight() -> None:
    weight, (images, _) = torch.randn(4, 12), pictures(4, size=2)
    targets = torch.tensor([0, 1, 2, 3])
    magnitude = weight.abs().reshape(4, 3, 2, 2)
    model = linear_model(weight, torch.randn(4))
    torch.testing.assert_close(Gradient()(model, images, targets), magnitude.amax(dim=1))
    torch.testing.assert_close(Gradient("sum_abs")(model, images, targets), magnitude.sum(dim=1))


def test_it_is_captums_saliency() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    maps = Gradient()(model, images, targets)
    expected = Saliency(model.eval()).attribute(images.requires_grad_(), targets).amax(dim=1)
    torch.testing.assert_close(maps, expected)


def test_it_is_of_the_logit_and_not_of_the_probability() -> None:
    weight, (images, targets) = torch.randn(4, 12) * 50, pictures(3, size=2)
    maps = Gradient()(linear_model(weight), images, targets)
    torch.testing.assert_close(maps, weight[targets].abs().reshape(3, 3, 2, 2).amax(dim=1))


def test_half_precision_models_have_single_precision_maps() -> None:
    weight, (images, targets) = torch.randn(4, 12), pictures(3, size=2)
    maps = Gradient()(linear_model(weight.bfloat16()), images.bfloat16(), targets)
    torch.testing.assert_close(maps, weight.bfloat16().float()[targets].abs().reshape(3, 3, 2, 2).amax(dim=1))


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`reduce`.*'mean'"):
        Gradient("mean")
