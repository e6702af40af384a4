"""Recipes for other kinds of networks and data: they train as without the monitor, and draw."""

import random
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from lightning_saliency import SaliencyMonitor
from tests.callbacks.training import assert_identical

FOLDER = Path(__file__).parents[2] / "examples" / "recipes"
# The library that each recipe needs, and what its rows of `saliency.csv` say is explained.
RECIPES = {
    "bands": ("timm", {"0", "1", "2"}),
    "clip": ("transformers", {"similarity"}),
    "detection": ("torchvision", {"1"}),
    "dinov2": ("transformers", {"0", "1", "2"}),
    "multi_label": ("timm", {"0 2", "1", "0 1 2", "2"}),
    "regression": ("timm", {"output 0"}),
    "segmentation": ("torchvision", {"1"}),
    "streams": ("webdataset", {"0", "1"}),
    "tabular": ("torch", {"0", "1"}),
    "video": ("torchvision", {"0", "1", "2"}),
    "vit": ("transformers", {"0", "1", "2"}),
    "volumes": ("monai", {"0", "1"}),
}
# What the libraries themselves, and untrained networks, are warned of.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return a function that runs the file of a recipe, and skips where a library is missing."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def run(name: str) -> Any:
        pytest.importorskip(RECIPES[name][0] if name in RECIPES else "timm")
        torch.manual_seed(0)
        return SimpleNamespace(**runpy.run_path(str(FOLDER / f"{name}.py"), run_name=name))

    return run


def items_of(module: Any, folder: Path) -> Any:
    if hasattr(module, "ITEMS"):
        return module.ITEMS
    path = folder / "items.tar"
    if not path.exists():
        module.write(path)
    return module.items(path)


def trained(module: Any, folder: Path, monitors: list[pl.Callback]) -> tuple[dict[str, Any], pl.Trainer]:
    """Train from a fixed seed, and return everything that training owns at its end."""
    items = items_of(module, folder)
    pl.seed_everything(3, verbose=False)
    task = module.task()
    options = {"collate_fn": module.collate} if hasattr(module, "collate") else {}
    logger = CSVLogger(folder, name=f"{len(monitors)}")
    trainer = pl.Trainer(
        max_epochs=1,
        callbacks=monitors,
        logger=logger,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(task, DataLoader(items, 2, **options), DataLoader(items, 2, **options))
    return trace(task, trainer.optimizers[0]), trainer


def trace(network: Any, optimizer: Any) -> dict[str, Any]:
    return {
        "weights": {name: value.clone() for name, value in network.state_dict().items()},
        "optimizer": optimizer.state_dict()["state"],
        "flags": {name: parameter.requires_grad for name, parameter in network.named_parameters()},
        "modes": {name: part.training for name, part in network.named_modules()},
        "hooks": [len(part._forward_hooks) + len(part._backward_hooks) for part in network.modules()],
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1],
    }


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_as_without_its_monitor_and_draws(
    recipe: Callable[[str], Any], name: str, tmp_path: Path
) -> None:
    module = recipe(name)
    monitor = module.monitor()
    with_monitor, trainer = trained(module, tmp_path, [monitor])
    without, _ = trained(module, tmp_path, [])
    assert_identical(with_monitor, without)
    last = monitor.last
    assert {str(row["target"]) for row in last.rows()} <= RECIPES[name][1] | {"no detection"}
    assert {str(row["target"]) for row in last.rows()} & RECIPES[name][1]
    assert last.scores
    method = next(iter(last.maps))
    assert any(saliency.std() > 0 for saliency in last.maps[method].values())
    assert any(Path(trainer.log_dir).rglob(f"pictures/saliency/{method}/image_*/*.png"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_at_most_three_lines_more_than_the_plain_monitor(recipe: Callable[[str], Any], name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text()
    call = source.split("return SaliencyMonitor(")[1].split("\n\n")[0].strip().strip("()")
    assert len([line for line in call.splitlines() if line.strip(" ()")]) <= 4
    assert isinstance(recipe(name).monitor(), SaliencyMonitor)


def test_a_loop_of_fabric_trains_as_without_evaluations(recipe: Callable[[str], Any]) -> None:
    module = recipe("fabric")
    results = []
    for watched in (True, False):
        pl.seed_everything(3, verbose=False)
        network, optimizer, evaluations = module.train(watched=watched)
        results.append(trace(network, optimizer))
        assert [len(evaluation.indices) for evaluation in evaluations] == [4] * watched
    assert_identical(*results)
