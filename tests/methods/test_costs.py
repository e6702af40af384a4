"""Costs of methods: passes are shared and counted, and memory does not grow with the number of samples."""

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lightning_saliency import explain
from lightning_saliency.methods import (
    IDGI,
    ActiveGradient,
    BlurIntegratedGradients,
    EdgeMap,
    ExpectedGradients,
    Gradient,
    GuidedAbsoluteGrad,
    GuidedIntegratedGradients,
    InactiveGradient,
    InputXGradient,
    IntegratedGradients,
    NegativeGradient,
    PositiveGradient,
    RandomMap,
    SmoothGrad,
    SquareGrad,
    VarGrad,
)
from tests.methods.tiny import Counting, network, pictures

REFERENCES = ExpectedGradients(pictures(3)).references


@pytest.mark.parametrize(
    ("methods", "forwards", "backwards"),
    [
        ([Gradient(), PositiveGradient(), NegativeGradient(), InputXGradient()], 1, 1),
        ([ActiveGradient(), InactiveGradient(), Gradient(), PositiveGradient()], 1, 5),
        ([ActiveGradient(2), InactiveGradient(2)], 1, 3),
        ([SmoothGrad(6), VarGrad(6), SquareGrad(6), GuidedAbsoluteGrad(6)], 6, 6),
        ([SmoothGrad(6), SmoothGrad(6, aggregation="positive", guide="mask", name="guided")], 6, 6),
        ([SmoothGrad(6), SmoothGrad(6, seed=1, name="other")], 12, 12),
        ([IntegratedGradients(6), IntegratedGradients(6, aggregation="absolute", name="absolute")], 6, 6),
        ([ExpectedGradients(REFERENCES, 6), ExpectedGradients(REFERENCES, 6, guide="mask", name="guided")], 6, 6),
        ([BlurIntegratedGradients(6)], 6, 6),
        ([GuidedIntegratedGradients(6)], 6, 6),
        ([IDGI(IntegratedGradients(6))], 7, 7),
        ([IDGI(GuidedIntegratedGradients(6))], 7, 7),
        ([RandomMap(), EdgeMap()], 0, 0),
    ],
)
@pytest.mark.parametrize("max_batch_size", [1, 3, 64])
def test_each_image_costs_as_many_passes_as_documented(methods, forwards, backwards, max_batch_size):
    model, images = Counting(network()), pictures(5)
    explain(model, images, torch.tensor([0, 1, 2, 3, 4]), methods, max_batch_size)
    assert (model.forwards, model.backwards) == (5 * forwards, 5 * backwards)
    assert model.largest <= max_batch_size


def test_a_small_batch_shares_passes_between_steps():
    model, images = Counting(network()), pictures(2)
    SmoothGrad(20)(model, images, torch.tensor([0, 1]), max_batch_size=20)
    assert model.largest == 20


def test_methods_called_alone_keep_to_their_chunks():
    for method in (GuidedIntegratedGradients(2), IDGI(BlurIntegratedGradients(2)), GuidedAbsoluteGrad(2)):
        model = Counting(network())
        maps = method(model, pictures(5), max_batch_size=2)
        assert model.largest == 2
        torch.testing.assert_close(maps, method(network(), pictures(5)))


class Live(TorchDispatchMode):
    """Sums the bytes of all tensors that are alive at once."""

    def __init__(self):
        super().__init__()
        self.held = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for storage in (leaf.untyped_storage() for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)):
            self.held[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.held = {key: kept for key, kept in self.held.items() if not kept[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.held.values()))
        return out


def peak_of(*methods):
    model, images = network(), pictures(6)
    with Live() as live:
        explain(model, images, None, methods, max_batch_size=4)
    return live.peak


def streams(number):
    noise = [kind(number) for kind in (SmoothGrad, VarGrad, SquareGrad, GuidedAbsoluteGrad)]
    paths = [IntegratedGradients(number), BlurIntegratedGradients(number), ExpectedGradients(REFERENCES, number)]
    return [*noise, *paths, ActiveGradient(), InactiveGradient()]


def walks(number):
    return [GuidedIntegratedGradients(number), IDGI(IntegratedGradients(number))]


@pytest.mark.parametrize("methods", [streams, walks])
def test_peak_memory_does_not_grow_with_the_number_of_samples(methods):
    few, many = peak_of(*methods(10)), peak_of(*methods(40))
    assert few > 10_000
    assert abs(many - few) < 0.05 * few
