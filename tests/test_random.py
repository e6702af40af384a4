"""Private random state."""

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import torch

from lightning_saliency._random import keyed_generator, keyed_normal, private_random_state
from tests.traces import chance

CPU = torch.device("cpu")


def test_states_come_back_also_after_an_exception() -> None:
    before = chance()

    def fail() -> None:
        torch.rand(2)
        random.random()
        np.random.rand()
        raise KeyError

    with pytest.raises(KeyError), private_random_state(1, CPU):
        fail()
    assert chance() == before


def test_states_come_back_when_uses_in_two_threads_overlap() -> None:
    before = chance()
    first_began, second_began, first_ended = Event(), Event(), Event()

    def first() -> None:
        with private_random_state(1, CPU):
            first_began.set()
            assert second_began.wait(10)
        first_ended.set()

    def second() -> None:
        assert first_began.wait(10)
        with private_random_state(2, CPU):
            second_began.set()
            assert first_ended.wait(10)

    with ThreadPoolExecutor(2) as pool:
        for use in [pool.submit(first), pool.submit(second)]:
            use.result()
    assert chance() == before


def test_a_use_within_another_restores_the_states_of_the_outer_one() -> None:
    before = chance()
    with private_random_state(1, CPU):
        expected = torch.rand(2), random.random(), np.random.rand()
    with private_random_state(1, CPU):
        with private_random_state(2, CPU):
            torch.rand(5)
        actual = torch.rand(2), random.random(), np.random.rand()
    assert torch.equal(actual[0], expected[0])
    assert actual[1:] == expected[1:]
    assert chance() == before


@pytest.mark.parametrize("seed", [0, 7, 2**32 + 1])
def test_seeds_of_any_size_are_taken(seed: int) -> None:
    with private_random_state(seed, CPU):
        first = torch.rand(()), random.random(), np.random.rand()
    with private_random_state(seed, CPU):
        assert (torch.rand(()), random.random(), np.random.rand()) == first


def test_keys_give_distinct_numbers_and_leave_the_global_state_alone() -> None:
    before = chance()
    keys = [("a", 0), ("a", 1), ("b", 0), ("a", 0, 0), ("a0",)]
    draws = [torch.rand((), generator=keyed_generator(*key)).item() for key in keys]
    assert len(set(draws)) == len(keys)
    assert torch.rand((), generator=keyed_generator("a", 0)).item() == draws[0]
    assert chance() == before


def test_keyed_numbers_are_standard_normal() -> None:
    draw = keyed_normal((100, 100), "test")
    assert draw.shape == (100, 100)
    assert abs(draw.mean().item()) < 0.03
    assert draw.std().item() == pytest.approx(1, rel=0.03)
