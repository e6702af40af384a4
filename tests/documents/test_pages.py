"""The pages of the documentation: their code runs, and the messages that they explain are those of the package."""

import ast
import re
from pathlib import Path

import lightning.pytorch as pl
import pandas as pd
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import lightning_saliency
from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from tests.documents.test_readme import CLASSES, Classifier, Images
from tests.test_public_api import PUBLIC

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCKS = [
    pytest.param(page, number, block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
]
# Blocks that cannot run here, by words in them.
NEEDS_MORE = {
    "distributed.all_gather_object": "processes",
    "read_csv": "the tables of an earlier training",
    "my_project.py": "a module of its own, which the tests of finished checkpoints write",
    "evaluate_checkpoints": "checkpoints, which the tests of finished checkpoints write",
    "load_digits": "half a minute, in a test of its own",
}
PLACEHOLDER = "…"


class ClassifierWithTest(Classifier):
    """Has a test, too."""

    def test_step(self, batch, batch_idx):
        self.validation_step(batch, batch_idx)


def stand_ins():
    """Return the objects that the pages take for granted."""
    torch.manual_seed(0)
    module = ClassifierWithTest()
    images, labels = torch.rand(64, 3, 8, 8), torch.arange(64) % CLASSES
    loader = DataLoader(TensorDataset(images, labels), 16)
    return {
        "model": module,
        "module": module,
        "network": module.eval(),
        "datamodule": Images(),
        "data": loader,
        "loader": loader,
        "images": images,
        "labels": labels,
        "targets": labels,
        "train": lambda network: None,
        "evaluate": lightning_saliency.evaluate,
        "pandas": pd,
        "functional": functional,
        "rank": 0,
        "torch": torch,
        "trainer": pl.Trainer(max_epochs=1, logger=False, enable_checkpointing=False),
        "Trainer": pl.Trainer,
        "SaliencyMonitor": SaliencyMonitor,
        "GatedCheckpoint": GatedCheckpoint,
    }


@pytest.mark.parametrize(("page", "number", "block"), BLOCKS)
# Networks of these examples have learned nothing, and stand for others.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_code_runs(page, number, block, tmp_path, monkeypatch):
    code = compile(block, f"{page.name}, block {number}", "exec")
    if any(words in block for words in NEEDS_MORE):
        return
    monkeypatch.chdir(tmp_path)
    exec(code, stand_ins())


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_first_hour_catches_the_shortcut_and_refuses_its_checkpoints(tmp_path, monkeypatch):
    (block,) = (param.values[2] for param in BLOCKS if "load_digits" in param.values[2])
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block, "first-hour.md", "exec"), names)
    assert names["trainer"].callback_metrics["saliency/alarm"] == 2
    assert names["trainer"].callback_metrics["val_accuracy"] > 0.9
    assert list(tmp_path.rglob("*.ckpt")) == []


def test_code_that_cannot_run_is_still_there():
    text = "".join(param.values[2] for param in BLOCKS)
    assert [words for words in NEEDS_MORE if words not in text] == []


def test_names_that_pages_import_are_public():
    text = "".join(page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "README.md"])
    imports = re.findall(r"^from (lightning_saliency[\w.]*) import (.+)$", text, re.MULTILINE)
    assert {
        f"{module}.{name}"
        for module, names in imports
        for name in names.split(", ")
        if name not in PUBLIC[module].split()
    } == set()


def strings_of_the_package():
    """List all texts of the package, with placeholders for values and without backquotes."""
    texts = []
    for path in Path(lightning_saliency.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else PLACEHOLDER for part in node.values]
                texts.append("".join(parts).replace("`", ""))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value.replace("`", ""))
    return texts


def test_messages_of_the_troubleshooting_are_those_of_the_package():
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^### `(.*)`$", text, re.MULTILINE)
    assert len(messages) == len(set(messages)) >= 30
    texts = strings_of_the_package()
    # Each message is one text of the package: its fixed words in their order.
    patterns = {
        message: re.compile(".*".join(re.escape(part.strip()) for part in message.split(PLACEHOLDER)), re.DOTALL)
        for message in messages
    }
    assert [message for message, pattern in patterns.items() if not any(map(pattern.search, texts))] == []
