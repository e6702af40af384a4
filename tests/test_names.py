"""The vocabulary of what is logged: what is written can be read back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_saliency import SaliencyMonitor
from lightning_saliency.drift import DriftMeasure
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP
from lightning_saliency.names import (
    COSTS,
    COUNTS,
    RESERVED,
    SINCE,
    LoggedName,
    check_quantity,
    gates_in,
    monitors_in,
    passed_name,
    staged,
)

words = st.text(st.characters(categories=("L", "Nd"), include_characters="_-. "), min_size=1, max_size=12)
quantities = words.filter(lambda word: not RESERVED.fullmatch(word))
methods = st.lists(words, min_size=1, max_size=2).map("/".join)
stages = st.sampled_from(["fit", "test"])
errors = st.sampled_from(["value", "stderr"])


@st.composite
def names(draw):
    kind = draw(st.sampled_from(["cost", "count", "score", "margin", "drift"]))
    monitor, method, stage = draw(words), draw(methods), draw(stages)
    if kind == "cost":
        return LoggedName(monitor, draw(st.sampled_from(COSTS)), stage=stage)
    if kind == "count":
        return LoggedName(monitor, draw(st.sampled_from(COUNTS)), method, stage=stage)
    quantity = draw(quantities)
    if kind == "score":
        return LoggedName(monitor, quantity, method, part=draw(errors), stage=stage)
    if kind == "drift":
        since = draw(st.sampled_from(list(SINCE)))
        return LoggedName(monitor, quantity, method, since=since, part=draw(errors), stage=stage)
    part = draw(st.sampled_from(["value", "stderr", "low", "high"]))
    return LoggedName(monitor, quantity, method, draw(st.sampled_from(["random", "edges"])), part=part, stage=stage)


@given(names())
def test_what_is_written_is_read_back(name):
    assert LoggedName.parse(str(name), name.monitor) == name


@given(words, st.text(min_size=1, max_size=30))
def test_what_is_read_is_written_back(monitor, rest):
    text = f"{monitor}/{rest}"
    name = LoggedName.parse(text, monitor)
    assert name is None or str(name) == text


@pytest.mark.parametrize("text", ["val_loss", "saliency", "saliency/", "saliency2/a/rcap", ""])
def test_what_a_monitor_did_not_log_is_no_name(text):
    assert LoggedName.parse(text, "saliency") is None


@pytest.mark.parametrize(
    ("text", "kind", "direction"),
    [
        ("saliency/seconds", "cost", None),
        ("saliency/a/blank", "count", False),
        ("saliency/a/infidelity", "score", False),
        ("saliency/a/rcap", "score", True),
        ("saliency/a/rcap_stderr", "score", None),
        ("saliency/a/infidelity_vs_random", "margin", True),
        ("saliency/a/drift_shift_first", "drift", False),
        ("test_saliency/a/drift_shift", "drift", False),
    ],
)
def test_a_name_has_a_kind_and_a_direction(text, kind, direction):
    name = LoggedName.parse(text, "saliency")
    assert name.kind == kind
    assert name.higher_is_better({"rcap": True, "infidelity": False, "shift": False}) is direction


@pytest.mark.parametrize("name", ["drift_x", "a_vs_b", "a_stderr", "a_low", "a_first", "blank", "a/b", "x_best"])
def test_names_that_would_be_read_as_something_else_are_refused(name):
    with pytest.raises(ValueError, match=f"`metrics`.*{re.escape(repr(name))}"):
        check_quantity("metrics", name)
    with pytest.raises(ValueError, match=f"`metrics`.*{re.escape(repr(name))}"):
        SaliencyMonitor([Gradient()], {name: RCAP()})
    with pytest.raises(ValueError, match=f"`drift`.*{re.escape(repr(name))}"):
        DriftMeasure(name, lambda first, second: first, 1.0, True, "nothing")


def test_monitors_and_gates_are_told_from_other_names():
    logged = ["val/seconds", "a/seconds", "a/grad/invalid", "b/seconds", "b/invalid", passed_name("gate"), "/passed"]
    assert monitors_in(logged) == ["a"]
    assert gates_in(logged) == ["gate"]


def test_only_tests_have_a_prefix():
    assert [staged("saliency", stage) for stage in ("fit", "validate", "test")] == [
        "saliency",
        "saliency",
        "test_saliency",
    ]
