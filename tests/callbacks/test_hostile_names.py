"""Names and cells that would leave the folder of logs or be computed by a spreadsheet."""

import csv
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.drift import DriftMeasure
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP
from tests.callbacks.training import MEAN, STD, Data, fit

HOSTILE = [
    "../../../../x",
    "/tmp/x",
    "..",
    ".hidden",
    "a\\b",
    "=cmd()",
    "+1",
    "-1",
    "@x",
    "a\0b",
    "a\nb",
    "a\udc80b",
    "a b",
    "",
    "x" * 101,
    "日" * 90,
    "a,b",
    '"',
]


def monitor(**options):
    arguments = {
        "methods": [Gradient()],
        "metrics": [RCAP(mean=MEAN, std=STD)],
        "num_images": 4,
        "num_panels": 0,
        "cues": (),
    }
    return SaliencyMonitor(**{**arguments, **options})


def measure(name):
    return DriftMeasure(
        name, lambda now, before: (now - before).flatten(1).mean(1), 0.0, higher_is_better=True, text=""
    )


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "build",
    [
        lambda name: monitor(methods={name: Gradient()}),
        lambda name: monitor(metrics={name: RCAP(mean=MEAN, std=STD)}),
        lambda name: monitor(drift=[measure(name)]),
        lambda name: monitor(name=name),
        lambda name: GatedCheckpoint(gates={"score": ">= 0.5"}, name=name),
    ],
    ids=["method", "metric", "measure", "monitor", "gate"],
)
def test_names_that_are_no_plain_words_are_refused_where_they_are_given(build, name):
    with pytest.raises(ValueError, match=r"^`\w+` must .* but got") as caught:
        build(name)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["a/../../x", "/a", "a/", "a//b", "a/-b", "metrics", "evaluations"])
def test_the_parts_of_a_name_are_plain_words_too(name):
    with pytest.raises(ValueError, match="`name` must"):
        monitor(name=name)


@pytest.mark.parametrize("name", ["grad_cam", "GradCAM-2.layer4", "_x", "7", "größe", "日本", "x" * 100])
def test_plain_words_are_names(name):
    assert list(monitor(methods={name: Gradient()}, name=name).settings.methods) == [name]


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+a", "-a", "@a", "\ta", "plain", "a\udc80"], ids=ascii)
def test_classes_are_no_formulas_in_tables(tmp_path, name):
    data = Data()
    loader = data.val_dataloader()
    loader.dataset.classes = [name] * 10
    data.val_dataloader = lambda: loader
    fit([monitor()], data=data, logger=CSVLogger(tmp_path, name="", version="log"), max_epochs=1)
    for path in Path(tmp_path, "log").glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t")) or cell == "-a"]
