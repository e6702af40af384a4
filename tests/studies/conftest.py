"""Examples run in the process of the tests, which has imported most of what they import."""

import runpy
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Return a function that runs an example with options as `python` does, and returns what it prints."""
    paths, modules = [*sys.path], {*sys.modules}

    def run(name: str, *options: object) -> str:
        path = EXAMPLES / name
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, options)])
        monkeypatch.setattr(sys, "path", [str(path.parent), *paths])
        with warnings.catch_warnings():
            warnings.resetwarnings()
            runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    yield run
    for module in {*sys.modules} - modules:
        if EXAMPLES in Path(getattr(sys.modules[module], "__file__", None) or "").parents:
            del sys.modules[module]
