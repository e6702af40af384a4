"""The examples of extensions are short, and import public names only."""

import ast
import importlib
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("own_*.py"))
PACKAGE = "lightning_saliency"
MOST_LINES = 65


def offences(source):
    """List what a module takes from the package that is not public, by import or by attribute."""
    listed = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            listed += [
                alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE and is_private(alias.name)
            ]
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == PACKAGE):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            listed += [name for name in names if node.level or is_private(name) or not is_exported(name)]
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            listed.append(f".{node.attr}")
    return listed


def is_private(name):
    return any(part.startswith("_") for part in name.split("."))


def is_exported(name):
    module, _, member = name.rpartition(".")
    return member in getattr(importlib.import_module(module), "__all__", ())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_imports_public_names_only(path):
    source = path.read_text(encoding="utf-8")
    assert f"{PACKAGE}.extend" in source
    assert offences(source) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    "source",
    [
        "from lightning_saliency._checks import warn_once",
        "from lightning_saliency.methods._lrp import LRP",
        "from lightning_saliency.passes.points import Clean",
        "from lightning_saliency import _checks",
        "import lightning_saliency._model",
        "import lightning_saliency.methods._lrp as lrp",
        "from . import strips",
        "import lightning_saliency\nlightning_saliency._model.explaining",
        "from lightning_saliency.extend import *",
    ],
)
def test_private_names_are_noticed(source):
    assert offences(source)


def test_public_names_are_let_pass():
    assert (
        offences("import torch\nimport lightning_saliency\nfrom lightning_saliency.extend import Noise, Reading") == []
    )
