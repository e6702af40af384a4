"""Shares of channels: closed forms on a linear model, and what a monitor logs of them."""

import pytest
import torch
from torch import nn

from lightning_saliency import evaluate, score
from lightning_saliency.methods import GradCAM, Gradient, InputXGradient, IntegratedGradients
from lightning_saliency.metrics import ChannelShare
from tests.models import small_cnn


def linear(channels=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * 4, 3, bias=False)).double()


def shares(metrics, method, model, images):
    targets = torch.zeros(len(images), dtype=torch.int64)
    maps = {"it": images[:, 0]}
    return score(model, images, maps, targets, metrics, methods={"it": method})["it"]


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_shares_of_a_linear_model_are_those_of_weight_times_input(channels):
    model, images = linear(channels), torch.rand(5, channels, 2, 2, dtype=torch.float64)
    products = (model[1].weight[0].reshape(channels, 2, 2) * images).abs().sum(dim=(2, 3)).detach()
    expected = products / products.sum(dim=1, keepdim=True)
    result = shares([ChannelShare(channel) for channel in range(channels)], InputXGradient(), model, images)
    torch.testing.assert_close(torch.stack(list(result.values()), dim=1), expected)
    assert list(result) == ["channel_share", *(f"channel_share_{channel}" for channel in range(1, channels))]


def test_shares_of_several_channels_are_added_and_those_of_all_are_one():
    model, images = linear(), torch.rand(5, 4, 2, 2, dtype=torch.float64)
    metrics = [ChannelShare(0), ChannelShare(2), ChannelShare((0, 2)), ChannelShare((0, 1, 2, 3), name="all")]
    one, other, both, everything = shares(metrics, IntegratedGradients(3), model, images).values()
    torch.testing.assert_close(both, one + other)
    torch.testing.assert_close(everything, torch.ones(5, dtype=torch.float64))


def test_without_relevance_all_channels_are_alike():
    (result,) = shares([ChannelShare(1)], InputXGradient(), linear(), torch.zeros(2, 4, 2, 2).double()).values()
    torch.testing.assert_close(result, torch.full((2,), 0.25, dtype=torch.float64))


def test_methods_that_attribute_nothing_to_channels_have_no_score():
    model, images = small_cnn(), torch.rand(2, 3, 8, 8)
    for method in (Gradient(), GradCAM()):
        assert all(each.isnan().all() for each in shares([ChannelShare(0)], method, model, images).values())


def test_channels_that_are_none_are_refused():
    with pytest.raises(ValueError, match="`channels` must be a channel or several"):
        ChannelShare(())
    with pytest.raises(ValueError, match="`channels`"):
        ChannelShare(-1)
    with pytest.raises(TypeError, match="`channels`"):
        ChannelShare(0.5)
    with pytest.raises(ValueError, match="`channels` must lie below 4"):
        shares([ChannelShare(4)], InputXGradient(), linear(), torch.rand(2, 4, 2, 2).double())


@pytest.mark.parametrize(("channels", "display"), [(1, (0,)), (2, (1,)), (4, (2, 1, 0)), (13, (3, 2, 1)), (4, None)])
def test_a_monitor_scores_and_draws_images_of_any_number_of_channels(channels, display):
    images = torch.rand(6, channels, 8, 8)
    network = nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    evaluation = evaluate(
        network,
        (images, torch.arange(6) % 3),
        methods=["input_x_gradient"],
        metrics=[ChannelShare(channel) for channel in range(channels)],
        num_panels=1,
        display=display,
    )
    scores = [scores for (method, _), scores in evaluation.scores.items() if method == "input_x_gradient"]
    assert len(scores) == channels
    torch.testing.assert_close(torch.stack(scores).sum(dim=0), torch.ones(6, dtype=torch.float64))
    picture = next(picture for name, picture in evaluation.pictures().items() if "image" in name)
    index = next(int(name.rsplit("_", 1)[1]) for name in evaluation.pictures() if "image" in name)
    chosen = images[index][list(display)] if display else images[index].mean(dim=0, keepdim=True)
    expected = (chosen.expand(3, 8, 8) * 255).repeat_interleave(20, dim=1).repeat_interleave(20, dim=2)
    # The input is the first tile, below its label.
    torch.testing.assert_close(picture[:, 25:185, :160].float(), expected, atol=1.0, rtol=0)
