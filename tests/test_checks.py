"""Checks that several members share, and warnings given once."""

import warnings

import pytest

from lightning_saliency._checks import check_choice, check_fraction, check_integer, check_number, warn_once


def test_valid_arguments_pass() -> None:
    check_integer("n", 1, minimum=1)
    check_number("x", -3)
    check_number("x", 0.0, minimum=0, below=1)
    check_fraction("p", 0)
    check_fraction("p", 0.999)
    check_choice("c", "a", ("a", "b"))


@pytest.mark.parametrize("value", [1.0, "1", None, True])
def test_only_whole_numbers_are_whole_numbers(value: object) -> None:
    with pytest.raises(TypeError, match=rf"`n`.*{value!r}"):
        check_integer("n", value, minimum=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1, -1e-9])
def test_numbers_outside_or_infinite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=rf"`x`.*\[0, 1\).*{value}"):
        check_number("x", value, minimum=0, below=1)


@pytest.mark.parametrize(("value", "fraction"), [(85, "0.85"), (2, "0.02"), (99.5, "0.995"), (100, "1")])
def test_what_looks_like_a_percentage_is_recognised(value: float, fraction: str) -> None:
    with pytest.raises(ValueError, match=rf"`p`.*{value}.*{fraction}"):
        check_fraction("p", value)


def test_a_warning_is_said_once() -> None:
    with pytest.warns(UserWarning, match="mind the step"):
        warn_once("mind the step")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_once("mind the step")
    with pytest.warns(UserWarning, match="another"):
        warn_once("another")
