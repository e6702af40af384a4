"""The report of a log that a monitor and a gate wrote: both sides use the same names."""

import re

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import GradCAM, Gradient
from lightning_saliency.metrics import RCAP, Insertion
from tests.callbacks.training import MEAN, STD, fit
from tests.report.pages import chart_of, page_of

METHODS, METRICS, CONTROLS = ["gradient", "grad_cam"], ["rcap", "insertion"], ["random", "edges"]
MEASURES = ["spearman", "ssim", "top_k_iou", "center_shift"]
OTHERS = ["val_loss"]


RUNS = {
    "every step logged": (1, ()),
    "few steps logged": (50, ()),
    "every value logged": (1, ("*",)),
    "values in event files alone": (1, ("*",)),
}


@pytest.fixture(scope="module", params=RUNS)
def folder(request, tmp_path_factory):
    every_n_steps, log = RUNS[request.param]
    folder = tmp_path_factory.mktemp("run")
    watch = SaliencyMonitor(
        [Gradient(), GradCAM()],
        [RCAP(mean=MEAN, std=STD), Insertion(mean=MEAN, std=STD)],
        controls=CONTROLS,
        num_images=6,
        num_panels=2,
        num_drifted=1,
        drift=MEASURES,
        best="gradient/rcap",
        log=log,
        cues=(),
    )
    gate = GatedCheckpoint(folder / "checkpoints", gates={"saliency/gradient/drift_spearman": ">= -1"})
    fit([watch, gate], logger=TensorBoardLogger(folder, name="run"), log_every_n_steps=every_n_steps, max_epochs=3)
    if "alone" in request.param:  # as earlier versions wrote them
        next(folder.rglob("evaluations.csv")).unlink()
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return page_of(folder)


def test_methods_metrics_and_controls_are_told_apart(page):
    assert re.search("Where it stands gradient grad_cam random edges rcap .* insertion .* drift: ", page.text)
    margins = [f"{metric} over {control}" for metric in METRICS for control in CONTROLS]
    drift = [f"{measure} since the {since}" for measure in MEASURES for since in ("previous", "first", "best")]
    for title in (*METRICS, *margins, *drift):
        names = [group.findtext("title") for group in chart_of(page, title).iterfind(".//g")]
        assert names == (METHODS + CONTROLS if title in METRICS else METHODS)
    assert page.tags["svg"] - page.source.count('aria-hidden="true"') == len([*METRICS, *margins, *drift, *OTHERS])


def test_every_score_has_a_band_of_its_standard_error(page):
    for metric in METRICS:
        bands = [path for path in chart_of(page, metric).iterfind(".//path") if path.get("class") == "band"]
        assert len(bands) == len(METHODS + CONTROLS)


def test_values_of_others_are_shown_apart(page):
    _, others = page.source.split("Other values of the run")
    titles = re.findall('<svg [^>]*aria-label="(.*?)"', others)
    assert titles == OTHERS


def test_decisions_and_pictures_are_placed_in_the_epochs_they_belong_to(page):
    marks = [mark for mark in chart_of(page, "rcap").iterfind(".//title") if "gate" in (mark.text or "")]
    assert [mark.text for mark in marks] == ["epoch 0: gate refused", "epoch 1: gate passed", "epoch 2: gate passed"]
    assert [alt for alt in page.values("alt") if alt.startswith("drifted_0, gradient")] == [
        "drifted_0, gradient, epoch 1",
        "drifted_0, gradient, epoch 2",
    ]
    assert [alt for alt in page.values("alt") if alt.startswith("worst_0, gradient")] == [
        "worst_0, gradient, epoch 0",
        "worst_0, gradient, epoch 1",
        "worst_0, gradient, epoch 2",
    ]


def test_scores_by_class_are_those_of_the_last_evaluation(page):
    assert "Scores by class" in page.headings
    captions = re.findall('<table class="classes">\\s*<caption>(.*?)</caption>', page.source)
    assert captions == METRICS
    assert page.source.count('<tr><th scope="row">0</th><td>2</td>') == len(METRICS), "six images of three classes"


def test_the_page_has_it_all(page):
    assert "3 evaluations, the last at epoch 2 · gate passed in 2 of 3 validations" in page.text
    assert "insertion over edges" in page.text
    assert "drifted_0, grad_cam, epoch 2" in page.values("alt")
