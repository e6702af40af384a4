"""A drift measure of a user: listing it is all that it takes."""

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.drift import DRIFT_MEASURES, DriftMeasure
from lightning_saliency.methods import Gradient
from lightning_saliency.report import write_report
from tests.callbacks.training import MEAN, STD, fit


def mean_difference(first, second):
    return (first - second).abs().flatten(1).mean(dim=1)


DIFFERENCE = DriftMeasure("difference", mean_difference, 0.0, False, "mean absolute difference")


def monitor(*drift):
    options = {"num_images": 6, "mean": MEAN, "std": STD, "best": "gradient/rcap"}
    return SaliencyMonitor([Gradient()], ["rcap"], drift=drift, **options, cues=())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drift")
    gate = GatedCheckpoint(folder / "gate", gates={"saliency/gradient/drift_difference": "worsens <= 1000%"})
    logger = TensorBoardLogger(folder, name="run", version="")
    fitted, _ = fit([monitor(DIFFERENCE), gate], logger=logger, log_every_n_steps=1)
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    return folder, fitted, gate, events


def test_it_is_logged_and_no_other_is(run):
    _, fitted, _, _ = run
    drift = {name for name in fitted.callback_metrics if "drift" in name and not name.endswith("_stderr")}
    assert drift == {f"saliency/gradient/drift_difference{since}" for since in ("", "_first", "_best")}
    assert 0 < fitted.callback_metrics["saliency/gradient/drift_difference"] < 1


def test_gates_know_it_and_its_direction(run):
    _, _, gate, _ = run
    assert [decision.passed for decision in gate.decisions] == [False, True]


def test_it_decides_which_image_moved_most_and_has_charts_and_a_line_in_the_card(run):
    _, _, _, events = run
    assert "saliency/gradient/drifted_0" in events.Tags()["images"]
    (card,) = (tensor.tensor_proto.string_val[0].decode() for tensor in events.Tensors("saliency/card/text_summary"))
    assert "drift\\_difference" in card or "drift_difference" in card
    assert "mean absolute difference" in card
    layout = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0].decode(errors="ignore")
    assert "saliency/gradient/drift_difference" in layout.replace("\\", "")


def test_the_report_takes_it_for_drift(run):
    folder, _, _, _ = run
    write_report(folder / "run", folder / "report.html")
    page = (folder / "report.html").read_text()
    assert "drift: difference" in page
    assert "difference since the first" in page


def test_of_equal_maps_every_measure_says_so():
    maps = torch.rand(3, 8, 8)
    for measure in [*DRIFT_MEASURES.values(), DIFFERENCE]:
        torch.testing.assert_close(measure.function(maps, maps), torch.full((3,), measure.no_change))


@pytest.mark.parametrize(
    ("drift", "error", "value"),
    [
        (["pearson"], ValueError, "'pearson'"),
        ("ssim", TypeError, "'ssim'"),
        ([mean_difference], TypeError, "mean_difference"),
        ([DIFFERENCE, DIFFERENCE], ValueError, "'difference'"),
    ],
)
def test_what_is_no_measure_is_refused(drift, error, value):
    with pytest.raises(error, match=f"`drift`.*{value}"):
        SaliencyMonitor(drift=drift, cues=())


def test_no_measure_means_no_drift():
    fitted, _ = fit([monitor()])
    assert not any("drift" in name for name in fitted.callback_metrics)
