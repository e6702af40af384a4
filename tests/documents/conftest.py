"""Scripts of the examples are imported by the tests of the pages that they make, and forgotten afterwards."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Return a function that imports a script by its path in the examples, such as `studies/metrics_tables`."""
    modules = {*sys.modules}
    monkeypatch.setattr(sys, "path", [*sys.path])  # some scripts add folders

    def import_script(name: str) -> ModuleType:
        path = EXAMPLES / name
        sys.path.insert(0, str(path.parent))
        return importlib.import_module(path.name)

    yield import_script
    for module in {*sys.modules} - modules:
        if EXAMPLES in Path(getattr(sys.modules[module], "__file__", None) or "").parents:
            del sys.modules[module]
