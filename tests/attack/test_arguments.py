"""Any value for any argument of any public callable gives a result, or a sentence."""

import importlib
import inspect
import random
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lightning_saliency
from lightning_saliency import score
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP
from tests.attack.seeds import SEED
from tests.members import METHODS, METRICS, build_method, build_metric, needs_of
from tests.models import pictures, small_cnn
from tests.test_public_api import PUBLIC
from tests.traces import assert_no_trace, trace_of

PACKAGE = str(Path(lightning_saliency.__file__).parent)
# `place_map` documents a KeyError. Loggers take whatever the other library takes.
EXCEPTIONS: tuple[type[Exception], ...] = (TypeError, ValueError)
LEFT_OUT = {"lightning_saliency.loggers", "lightning_saliency.extend", "lightning_saliency.names"}


def odd_values(seed: int) -> list[Any]:
    """Make values of many kinds; numbers and shapes depend on the seed."""
    chance = random.Random(seed)
    sizes = [chance.randint(1, 4) for _ in range(4)]
    size, half = chance.uniform(-2, 2), torch.rand(sizes[:2]).half()
    numbers = [0, -1, 1, chance.randint(2, 9), 2**70, size, 0.5, float("nan"), float("inf"), 1e-9, 1e308, 1j, True]
    texts = ["", "x", "\0", "a/../b", "label", "all", "é" * 300, b"x", Path("/x"), chance.choice("=+-@")]
    holders = [[], [1], ["x"], ["x", "x"], (), (0.1, 0.2), {}, {"x": 1}, {1: 2}, set(), [None], [[1]], [float("nan")]]
    tensors = [torch.tensor(1.0), torch.zeros(0), torch.rand(sizes), torch.full((2, 3, 8, 8), torch.nan), half]
    tensors += [torch.zeros(2, dtype=torch.int64), torch.tensor([0, 99]), torch.zeros(2, dtype=torch.bool)]
    tensors += [torch.rand(2, 3, 8, 8).cfloat(), torch.rand(2, 3, 8, 8).to_sparse(), {"a": torch.rand(2, 8, 8)}]
    others = [None, object(), int, torch.device("cpu"), torch.float32, iter([1]), range(3), np.zeros(3), np.int64(2)]
    return [*numbers, *texts, *holders, *tensors, *others, np.float32(1)]


def callables() -> dict[str, Any]:
    """List public classes and functions by name."""
    members = {}
    for module, names in PUBLIC.items():
        for name in names.split() if module not in LEFT_OUT else ():
            member = getattr(importlib.import_module(module), name)
            is_error = inspect.isclass(member) and issubclass(member, Exception)
            is_description = inspect.isabstract(member) or getattr(member, "_is_protocol", False)
            if callable(member) and not is_error and not is_description:
                members.setdefault(id(member), (f"{module}.{name}", member))
    return dict(members.values())


def usual_arguments(name: str) -> dict[str, Any]:
    images, targets = pictures(2)
    maps = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    return {
        "model": small_cnn(),
        "images": images,
        "targets": targets,
        "labels": targets,
        "maps": {"a": maps} if name.endswith(".score") else maps,
        "first": maps,
        "second": maps,
        "methods": [Gradient()],
        "metrics": [RCAP()],
        "references": images,
    }


def attacks(name: str, member: Any, seed: int) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Replace one argument after the other by one odd value after the other."""
    usual = usual_arguments(name)
    parameters = [each for each in inspect.signature(member).parameters.values() if each.kind in (1, 3)]
    needed = {each.name: usual.get(each.name) for each in parameters if each.default is inspect.Parameter.empty}
    for parameter in parameters:
        if all(value is not None for key, value in needed.items() if key != parameter.name):
            for value in odd_values(seed):
                yield parameter.name, value, {**needed, parameter.name: value}


def fault_of(call: Callable[[], Any], value: Any) -> str:
    """Return what is wrong with the exception of a call; empty if there is none or it is a sentence."""
    try:
        call()
    except EXCEPTIONS as error:
        text = str(error)
        is_sentence = len(text) > 20 and (text[0] in "`'\"" or text[0].isupper())
        if is_sentence and ("but got" in text or "must" in text or "Expected" in text):
            return ""
        return "" if _is_of_others(error) else f"{type(error).__name__}: {text[:120]}"
    except (KeyError, OSError) as error:
        return "" if isinstance(value, str | dict | Path) else f"{type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 - what this test is about
        return "" if _is_of_others(error) else f"{type(error).__name__}: {error}"
    return ""


def _is_of_others(error: Exception) -> bool:
    """Whether the network raised, for instance since images are of another type than its weights."""
    frames = traceback.extract_tb(error.__traceback__)
    while frames[-1].name == "__torch_function__":  # sees the operations of the network, one of which raises
        frames.pop()
    return not frames[-1].filename.startswith(PACKAGE) and any(frame.name == "_call_impl" for frame in frames)


@pytest.mark.parametrize("name", callables())
@pytest.mark.parametrize("seeds", [1, pytest.param(40, marks=pytest.mark.long)])
def test_any_value_of_an_argument_gives_a_result_or_a_sentence(
    name: str, seeds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried: Callable[[str, int], None]
) -> None:
    monkeypatch.chdir(tmp_path)  # some arguments are names of files
    count, faults = 0, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(SEED, SEED + seeds):
            for argument, value, arguments in attacks(name, callables()[name], seed):
                if argument in LARGE and isinstance(value, int) and value > 100:
                    continue
                count += 1
                fault = fault_of(lambda given=arguments: callables()[name](**given), value)
                if fault:
                    faults[f"{argument}={value!r:.60}"] = fault
    tried("odd arguments", count)
    assert not faults


# Numbers of passes that the user asks for; it is right to be busy for long.
LARGE = {"steps", "num_stages", "num_samples", "num_steps", "num_hosts", "max_batch_size"}


def variants(kind: type, chance: random.Random) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield members with odd, but accepted, values of some of their arguments."""
    build = build_method if kind in METHODS else build_metric
    names = [each.name for each in inspect.signature(kind).parameters.values() if each.kind in (1, 3)]
    for name in names:
        for value in odd_values(chance.randrange(10**6)):
            if (isinstance(value, int) and value > 100) or name in ("name", "call", "layer"):
                continue
            try:
                yield build(kind, **{name: value}), {name: value}
            except EXCEPTIONS:
                continue


@pytest.mark.parametrize("kind", [*METHODS, *METRICS], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.long)])
def test_accepted_values_give_maps_and_scores_without_nan_and_leave_no_trace(
    kind: type, rounds: int, tried: Callable[[str, int], None]
) -> None:
    (images, targets), model = pictures(2), small_cnn()
    maps = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(1))
    before, count = trace_of(model), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(SEED, SEED + rounds):
            for member, arguments in variants(kind, random.Random(seed)):
                count += 1
                result = applied(member, model, images, maps, targets)
                if result is not None:
                    assert result.shape == (maps.shape if kind in METHODS else (2,)), arguments
                    assert is_plain(result, member), arguments
                before["chance"] = trace_of(model)["chance"]  # type checks of containers draw random numbers
                assert_no_trace(model, before)
    tried("odd methods and metrics", count)


def applied(member: Any, model: nn.Module, images: Any, maps: Any, targets: Any) -> Any:
    """Return maps or scores, `None` where images do not fit and a sentence says so."""
    results: list[Any] = []

    def apply() -> None:
        if type(member) in METHODS:
            results.append(member(model, images, targets))
        else:
            needs = needs_of(member, maps)
            results.append(score(model, images, {"maps": maps}, targets, {"it": member}, **needs)["maps"]["it"])

    assert not fault_of(apply, None), member
    return results[0] if results else None


def is_plain(result: torch.Tensor, member: Any) -> bool:
    """Whether all is finite; scores that a metric documents as left out are NaN for whole images."""
    may_be_left_out = ("ChannelShare", "CompletenessGap", "ParameterRandomization")
    return bool(result.isfinite().all()) or type(member).__name__ in may_be_left_out
