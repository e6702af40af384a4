"""Modules get other parameters for a moment, and their own back."""

import pytest
import torch
from torch import nn

from lightning_saliency.passes.lending import Loan, calls_of, in_half_precision, is_plain, lent
from tests.models import small_cnn


class Standardized(nn.Conv2d):
    """A convolution that makes something of its weight."""


def loans_of(model: nn.Sequential) -> list[Loan]:
    weights = {"weight": torch.ones(8, 3, 3, 3), "bias": torch.ones(8)}
    return [Loan(model[0], weights), Loan(model[1], {}, lambda images: images)]


def test_what_is_lent_is_used_while_the_block_runs() -> None:
    model = small_cnn().eval()
    with lent(loans_of(model)):
        found = model[:2](torch.ones(1, 3, 8, 8))
    assert found[0, :, 4, 4].tolist() == [28.0] * 8  # 27 ones and the bias, and nothing normalised


def broken() -> None:
    raise KeyError


def belongings(model: nn.Module) -> list[tuple[list[str], list[tuple[str, int]]]]:
    """Name everything that modules have, and tell which objects their parameters are."""
    return [(list(vars(m)), [(name, id(p)) for name, p in m._parameters.items()]) for m in model.modules()]


def test_everything_is_given_back_also_after_an_error() -> None:
    model = small_cnn()
    model[0].bias = None
    before = belongings(model)
    with lent(loans_of(model)):
        assert belongings(model) != before
    assert belongings(model) == before
    with pytest.raises(KeyError), lent(loans_of(model)):
        broken()
    assert belongings(model) == before


def test_plain_are_convolutions_and_linear_layers_that_are_nothing_else() -> None:
    assert all(is_plain(module) for module in (nn.Conv1d(1, 1, 1), nn.Conv3d(1, 1, 1), nn.Linear(1, 1, bias=False)))
    assert not any(
        is_plain(module) for module in (nn.BatchNorm1d(1), nn.ConvTranspose2d(1, 1, 1), Standardized(1, 1, 1))
    )
    assert not is_plain(nn.utils.parametrizations.weight_norm(nn.Linear(1, 1)))


def test_who_is_watched_or_holds_a_part_only_is_not_plain() -> None:
    watched, asked, replaced, shard = (nn.Linear(2, 2) for _ in range(4))
    watched.register_forward_hook(lambda *_: None)
    asked.register_forward_pre_hook(lambda *_: None)
    replaced.forward = lambda images: images
    shard.weight = nn.Parameter(shard.weight.detach().flatten()[:2])
    assert not any(is_plain(module) for module in (watched, asked, replaced, shard))


def test_halves_are_of_the_weights_and_of_what_is_lent() -> None:
    model = small_cnn()
    loans = in_half_precision([model[0], model[-1], model[-1]], loans_of(model))
    assert [loan.module for loan in loans] == [model[0], model[-1], model[1]]
    assert {tensor.dtype for loan in loans for tensor in loan.parameters.values()} == {torch.bfloat16}
    assert bool((loans[0].parameters["weight"] == 1).all())
    assert loans[1].parameters.keys() == {"weight", "bias"}
    assert not loans[2].parameters, "who is passed by needs no weights"
    assert loans[2].forward is not None
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_halves_of_2d_convolutions_are_laid_out_as_images_are() -> None:
    model = small_cnn()
    (convolution, linear) = in_half_precision([model[0], model[-1]], [], torch.channels_last)
    assert convolution.parameters["weight"].is_contiguous(memory_format=torch.channels_last)
    assert linear.parameters["weight"].is_contiguous()


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore::DeprecationWarning")
def test_scripted_modules_are_not_plain() -> None:
    assert not is_plain(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)))


def test_calls_are_noted_in_their_order_with_what_was_seen_and_made() -> None:
    model = small_cnn().eval()
    calls, logits = calls_of(model, torch.ones(1, 3, 8, 8), is_plain)
    assert [call.module for call in calls] == [model[0], model[3], model[7], model[12]]
    assert calls[-1].seen is not None
    assert calls[-1].seen.tensor.shape == (1, 6)
    assert calls[-1].made is not None
    assert calls[-1].made.tensor is logits
    assert not any(module._forward_hooks for module in model.modules())


def test_who_gets_a_tensor_that_was_written_to_does_not_see_what_was_made() -> None:
    model = small_cnn().eval()
    wanted = [model[0], model[1], model[3]]
    (first, norm, second), _ = calls_of(model, torch.ones(1, 3, 8, 8), lambda module: module in wanted)
    assert norm.seen == first.made
    assert second.seen != norm.made, "the activation between them works in place"
