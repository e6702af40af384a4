"""The grammar of gates: what is written can be read back, and bounds are monotonic."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_saliency.monitor.gates import parse_gates

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: float(f"{value:.4g}"))
amounts = numbers.map(abs)


def parse(rule):
    (gate,) = parse_gates({"score": rule})
    return gate


def values_of(value, error=0.0):
    return {"score": value, "score_stderr": error}.get


@given(st.sampled_from([">=", "<="]), numbers, amounts)
def test_a_bound_that_is_written_is_read_back(comparison, bound, stderrs):
    gate = parse(f"  {comparison}{bound!r}  by {stderrs!r} stderr ")
    assert (gate.comparison, gate.bound, gate.stderrs) == (comparison, bound, stderrs)
    assert parse(str(gate)) == parse(str(parse(str(gate))))


@given(amounts)
def test_a_relative_gate_that_is_written_is_read_back(percent):
    gate = parse(f"worsens<={percent!r} %")
    assert gate.tolerance == pytest.approx(percent / 100)
    assert parse(str(gate)).tolerance == pytest.approx(gate.tolerance, rel=1e-4)


@given(st.text(max_size=20).filter(lambda text: ">=" not in text and "<=" not in text))
def test_a_text_without_a_comparison_is_refused_with_the_text(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse(text)


@pytest.mark.parametrize(
    "rule",
    [">= 1e400", "<= -1e400", ">= 0.5 by 1e999 stderr", "worsens <= 1e999%", ">= 0.5 by -1 stderr", "worsens <= -1%"],
)
def test_numbers_that_are_not_finite_or_amounts_below_zero_are_refused(rule):
    with pytest.raises(ValueError, match=f"with finite numbers x and k, but got {re.escape(repr(rule))}"):
        parse(rule)


@given(numbers, numbers, amounts, st.integers(0, 5))
def test_a_lower_bound_passes_from_its_margin_on(value, bound, error, stderrs):
    verdict = parse(f">= {bound!r} by {stderrs} stderr").judge(values_of(value, error), None)
    assert verdict.passed == (value - stderrs * error >= bound)
    mirrored = parse(f"<= {-bound!r} by {stderrs} stderr").judge(values_of(-value, error), None)
    assert mirrored.passed == verdict.passed


@given(numbers, numbers, st.integers(0, 50), st.booleans())
def test_a_relative_gate_compares_with_the_best(value, best, percent, higher_is_better):
    gate = replace(parse(f"worsens <= {percent}%"), higher_is_better=higher_is_better)
    loss = best - value if higher_is_better else value - best
    verdict = gate.judge(values_of(value), best)
    if not math.isclose(loss, percent / 100 * abs(best), rel_tol=1e-9, abs_tol=1e-9):
        assert verdict.passed == (loss <= percent / 100 * abs(best))
    assert gate.judge(values_of(value), None).passed, "the first value"


@pytest.mark.parametrize("rule", [">= 0.5", "<= 0.5 by 1 stderr", "worsens <= 5%"])
def test_a_value_that_is_missing_or_not_a_number_never_passes(rule):
    gate = parse(rule)
    assert not gate.judge({}.get, None).passed
    for value in (math.nan, math.inf, -math.inf):
        verdict = gate.judge(values_of(value), None)
        assert not verdict.passed
        assert str(value) in verdict.reason
    if "stderr" in rule:
        assert not gate.judge({"score": 0.0}.get, None).passed
