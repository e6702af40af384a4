"""The order of positions, and what happens to equal values."""

import torch

from lightning_saliency.passes.ranking import descending_order, ranks_of


def test_ranks_invert_the_order():
    maps = torch.rand(3, 4, 5)
    order = descending_order(maps)
    ranks = ranks_of(order, maps).flatten(1)
    assert torch.equal(ranks.gather(1, order), torch.arange(20).expand(3, 20))
    assert bool((maps.flatten(1).gather(1, order).diff(dim=1) <= 0).all())


def test_equal_values_are_ordered_alike_in_every_map_and_batch():
    flat = torch.zeros(3, 10, 10)
    order = descending_order(flat)
    assert torch.equal(order[0], order[2])
    assert torch.equal(order[0], descending_order(flat[:1])[0])
    assert not torch.equal(order[0], torch.arange(100))
    top = ranks_of(order, flat)[0] < 50
    assert 0.2 < top[:5].float().mean() < 0.8
