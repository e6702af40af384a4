"""Everything that TensorBoard gets besides numbers and pictures, read back as TensorBoard reads it."""

import csv
import json
import re
from collections import defaultdict
from functools import partial
from html import unescape
from pathlib import Path
from statistics import mean, stdev

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import ExpectedGradCAM, Gradient
from lightning_saliency.metrics import RCAP, Allegiance, ExplanationMetric, Insertion, Sparseness
from lightning_saliency.monitor import drawing
from lightning_saliency.monitor._compact import compact
from lightning_saliency.monitor._markup import escaped
from lightning_saliency.passes.trials import Measured
from lightning_saliency.visualization import draw_strip
from tests.callbacks.training import MEAN, STD, Classifier, Data, fit

METRICS = [RCAP(mean=MEAN, std=STD), Sparseness()]


def read(logger):
    events = EventAccumulator(logger.log_dir, size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    return events


def watch(tmp_path, callbacks, **options):
    logger = options.pop("logger", None) or TensorBoardLogger(tmp_path, name="")
    fit(callbacks, logger=logger, log_every_n_steps=1, **options)
    return read(logger)


def monitor(methods=None, metrics=None, *, log=("*",), **options):
    return SaliencyMonitor(
        methods or [Gradient()], metrics or METRICS, num_images=6, num_panels=1, log=log, **options, cues=()
    )


def layout_of(events):
    # Every monitor writes the layout of all, so that it does not matter which of them TensorBoard believes.
    (content,) = {event.tensor_proto.string_val[0] for event in events.Tensors("custom_scalars__config__")}
    return layout_pb2.Layout.FromString(content)


def text_of(events, tag):
    return [event.tensor_proto.string_val[0].decode() for event in events.Tensors(f"{tag}/text_summary")]


def watched_by_two(folder, **options):
    gate = GatedCheckpoint(folder, gates={"saliency/gradient/rcap": ">= 0.9"}, on_fail="skip")
    two = [monitor(controls=("random", "edges")), monitor([ExpectedGradCAM(num_samples=2)], name="second", **options)]
    return watch(folder, [*two, gate])


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    return watched_by_two(tmp_path_factory.mktemp("logs"))


LOGS = {"nothing more": (), "some bands": ("*/rcap_vs_random_low",), "bands of RCAP": ("*/rcap_*",), "everything": "*"}


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS)
def test_every_chart_shows_scalars_that_are_there(tmp_path, log):
    events = watched_by_two(tmp_path, log=tuple(log))
    scalars = events.Tags()["scalars"]
    bands = {}
    for category in layout_of(events).category:
        for chart in category.chart:
            for expression in chart.multiline.tag:
                names = [name.replace("\\", "") for name in expression.strip("^$()").split("|")]
                assert set(names) <= set(scalars), chart.title
            for series in chart.margin.series:
                assert {series.value, series.lower, series.upper} <= set(scalars)
            if " over " in chart.title:
                bands[category.title, chart.title.split(" ")[0]] = bool(chart.margin.series)
    every, of_rcap = log == "*", "rcap_*" in "".join(log)
    assert bands == {
        ("saliency", "rcap"): True,
        ("saliency", "sparseness"): True,
        ("second", "rcap"): every or of_rcap,
        ("second", "sparseness"): every,
    }


def test_the_table_of_runs_names_scalars_that_are_there(tmp_path):
    events = watch(tmp_path, [monitor(log=())])
    assert set(entry(events)[0]) <= {"hp_metric", *events.Tags()["scalars"]}


def test_a_score_is_one_chart_of_all_methods_and_controls(events):
    charts = {chart.title: chart for chart in layout_of(events).category[0].chart}
    (expression,) = charts["rcap"].multiline.tag
    visible = {scalar for scalar in events.Tags()["scalars"] if re.search(expression, scalar)}
    assert visible == {f"saliency/{method}/rcap" for method in ("gradient", "random", "edges")}


def test_two_monitors_are_two_categories_of_one_layout(events):
    assert [category.title for category in layout_of(events).category] == ["saliency", "second"]


def test_margins_have_bands_of_one_standard_error_at_the_same_steps(events):
    name = "saliency/gradient/rcap_vs_edges"
    value, error, low, high = (events.Scalars(name + suffix) for suffix in ("", "_stderr", "_low", "_high"))
    for one, spread, lower, upper in zip(value, error, low, high, strict=True):
        assert one.step == lower.step == upper.step
        assert (lower.value, upper.value) == pytest.approx((one.value - spread.value, one.value + spread.value))


def test_bands_are_logged_only_if_they_are_asked_for():
    run, _ = fit([monitor(log=("gradient/rcap_vs_random_low",))])
    bands = [name for name in run.callback_metrics if name.endswith(("_low", "_high"))]
    assert bands == ["saliency/gradient/rcap_vs_random_low"]


def test_a_card_says_once_what_the_scores_mean(events):
    (card,) = text_of(events, "saliency/card")
    assert "**rcap**: Mean over recovery stages" in card
    assert "0 to 1, higher is better, random 0." in card
    assert "edges 0." in card
    assert "**sparseness**: Gini index" in card
    assert "reduce='max_abs'" in card
    assert "Indices in the data:" in card


def test_the_card_has_the_scores_of_each_class_of_the_first_evaluation(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    watcher = monitor({"a.b": Gradient()}, [RCAP(mean=MEAN, std=STD)])
    fit([watcher], logger=logger, max_epochs=2)
    (card,) = text_of(read(logger), "saliency/card")
    scores = defaultdict(list)
    with (Path(logger.log_dir) / "saliency.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if (row["epoch"], row["method"], row["metric"]) == ("0", "a.b", "rcap"):
                scores[row["target"]].append(float(row["score"]))
    rows = [
        f"| {target} | 2 | {mean(values):.3f} ± {stdev(values) / 2**0.5:.3f} |"
        for target, values in sorted(scores.items(), key=lambda item: mean(item[1]))
    ]
    assert len(rows) == 3
    assert "\n".join(["| class | images | a.b rcap |", "| --- | --- | --- |", *rows]) in card


def test_the_card_of_expected_grad_cam_says_what_is_ours(events):
    (card,) = text_of(events, "second/card")
    assert "Our reading" in card
    assert "num_samples=2" in card
    assert "Our reading" not in text_of(events, "saliency/card")[0]


def test_each_decision_of_a_gate_is_told_with_its_reason(events):
    decisions = text_of(events, "gate/decisions")
    assert len(decisions) == 2
    assert decisions[0].startswith("**refused** in epoch 0, at step 6")
    assert re.search(r"saliency/gradient/rcap is 0\.\d+, required &gt;= 0\.9", decisions[0])


@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")
@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a|b", "`code`", "*bold*", "__init__", "# title", "a\nb", "&amp;", "[a](b)"]
)
def test_names_are_no_marks_of_their_own(name):
    from tensorboard.plugin_util import markdown_to_safe_html

    visible = markdown_to_safe_html(escaped(name))
    assert unescape(visible) == f"<p>{name}</p>".replace("\n", " ")
    assert "<" not in visible.removeprefix("<p>").removesuffix("</p>")


def test_curves_of_all_methods_are_drawn_in_every_evaluation(tmp_path):
    metrics = [RCAP(mean=MEAN, std=STD), Allegiance(mean=MEAN, std=STD), Insertion(), Sparseness()]
    events = watch(tmp_path, [monitor(metrics=metrics)])
    pictured = [tag for tag in events.Tags()["images"] if tag.startswith("saliency/curves/")]
    assert sorted(pictured) == [f"saliency/curves/{name}" for name in ("allegiance", "insertion", "rcap")]
    assert [event.step for event in events.Images("saliency/curves/rcap")] == [6, 12]


def test_a_common_scale_spans_all_maps_of_a_method_present_and_remembered(tmp_path, monkeypatch):
    pictured = []

    def spy(image, maps, caption, *, change=None, limits=None):
        pictured.append((maps, limits))
        return draw_strip(image, maps, caption, change=change, limits=limits)

    monkeypatch.setattr(drawing, "draw_strip", spy)
    watcher = SaliencyMonitor([Gradient()], METRICS, num_images=6, num_panels=6, num_drifted=0, scale="common", cues=())
    watch(tmp_path, [watcher])
    last = pictured[-6:]
    (limits,) = {text for _, text in last}
    tiles = [tile for maps, _ in last for tile in maps.values()]
    assert limits[0] == pytest.approx(min(tile.min().item() for tile in tiles), abs=1e-5)
    assert limits[1] == pytest.approx(max(tile.max().item() for tile in tiles), rel=1e-3)


def test_a_scale_of_another_name_is_refused():
    with pytest.raises(ValueError, match="Expected `scale` to be one of 'image', 'common'"):
        monitor(scale="mine")


def test_a_method_named_like_the_pictures_of_curves_is_refused():
    with pytest.raises(ValueError, match="but got 'curves'"):
        monitor({"curves": Gradient()})


@pytest.mark.parametrize("name", ["_hidden", "日本", "a.b-c"])
def test_methods_of_unusual_names_are_drawn(tmp_path, name):
    events = watch(tmp_path, [monitor({name: Gradient()})])
    assert "saliency/curves/rcap" in events.Tags()["images"]


def test_a_single_image_is_enough(tmp_path):
    events = watch(tmp_path, [SaliencyMonitor([Gradient()], METRICS, num_images=1, cues=())])
    assert "saliency/curves/rcap" in events.Tags()["images"]


def squared(model, images, targets):
    """Squared colours, summed over channels."""
    return images.square().sum(dim=1)


class Darkness(ExplanationMetric):
    """Mean darkness of maps."""

    higher_is_better = False

    def __init__(self):
        super().__init__(name="darkness")

    def measure(self, trial):
        return Measured(1 - trial.normalized.flatten(1).mean(dim=1))


def test_the_card_knows_methods_and_metrics_of_the_users_own(tmp_path):
    methods = {"mine": squared, "part": partial(squared), "unsaid": lambda model, images, targets: images.sum(dim=1)}
    (card,) = text_of(watch(tmp_path, [monitor(methods, [Darkness()])]), "saliency/card")
    assert "- **mine**: Squared colours, summed over channels.\n" in card
    assert "- **part**: Squared colours, summed over channels.\n" in card
    assert "- **unsaid**: \n" in card
    assert "- **darkness**: Mean darkness of maps. Any number, lower is better" in card


def test_a_test_after_training_has_no_card_of_its_own(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    run, module = fit([monitor()], logger=logger, log_every_n_steps=1)
    run.test(module, Data(), verbose=False)
    assert len(text_of(read(logger), "saliency/card")) == 1


def test_a_first_write_that_fails_is_made_up_for(tmp_path, monkeypatch):
    attempts, add_text = [], SummaryWriter.add_text

    def once_away(writer, tag, *arguments, **options):
        attempts.append(tag)
        if len(attempts) == 1:
            raise ConnectionError("the logger is away")
        return add_text(writer, tag, *arguments, **options)

    monkeypatch.setattr(SummaryWriter, "add_text", once_away)
    with pytest.warns(UserWarning, match="could not be logged: ConnectionError"):
        events = watch(tmp_path, [monitor()])
    assert attempts[0] == "saliency/card"
    assert len(text_of(events, "saliency/card")) == 1


class Saving(Classifier):
    def __init__(self, lr=0.05, layers=(1, 2)):
        super().__init__()
        self.save_hyperparameters()


class OwnEntry(Saving):
    def on_train_start(self):
        self.logger.log_hyperparams(self.hparams, {"own": 0.0})


def entry(events):
    """Read the entry that TensorBoard believes: the first."""
    content = events.summary_metadata["_hparams_/experiment"].plugin_data.content
    session = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    metrics = [info.name.tag for info in HParamsPluginData.FromString(content).experiment.metric_infos]
    return metrics, dict(HParamsPluginData.FromString(session).session_start_info.hparams)


def test_the_table_of_runs_knows_the_modules_hyperparameters_and_the_scores(tmp_path):
    metrics, values = entry(watch(tmp_path, [monitor()], make=Saving))
    assert {"hp_metric", "saliency/gradient/rcap", "saliency/gradient/rcap_vs_random"} <= set(metrics)
    assert values["lr"].number_value == 0.05
    assert values["layers"].string_value == "(1, 2)"
    assert values["saliency/methods"].string_value == "gradient"


def test_a_module_without_hyperparameters_is_in_the_table_too(tmp_path):
    metrics, values = entry(watch(tmp_path, [monitor()]))
    assert "saliency/gradient/rcap" in metrics
    assert "hp_metric" not in metrics
    assert values["saliency/num_images"].number_value == 6


def test_an_entry_of_the_users_own_is_left_alone(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", default_hp_metric=False)
    metrics, _ = entry(watch(tmp_path, [monitor()], make=OwnEntry, logger=logger))
    assert metrics == ["own"]


def test_an_entry_of_the_users_own_is_left_alone_where_lightning_makes_none(tmp_path):
    class Entry(Classifier):
        def on_train_start(self):
            self.logger.log_hyperparams({"lr": 1}, {"own": 0.0})

    metrics, values = entry(watch(tmp_path, [monitor()], make=Entry))
    assert metrics == ["own"]
    assert list(values) == ["lr"]


def test_hyperparameters_that_are_not_to_be_logged_are_not(tmp_path):
    class Secret(Classifier):
        def __init__(self, token="s3cret"):
            super().__init__()
            self.save_hyperparameters(logger=False)

    _, values = entry(watch(tmp_path, [monitor()], make=Secret))
    assert sorted(values) == ["saliency/methods", "saliency/num_images"]


def test_where_the_user_makes_no_entry_ours_comes_at_the_end(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", default_hp_metric=False)
    metrics, _ = entry(watch(tmp_path, [monitor()], make=Saving, logger=logger))
    assert "saliency/gradient/rcap" in metrics


def test_a_remembered_map_keeps_its_unit():
    maps = torch.rand(2, 5, 7) * torch.tensor([1e-6, 30.0]).reshape(2, 1, 1) - 3e-7
    for small, original in zip(compact(maps), maps, strict=True):
        torch.testing.assert_close(small.raw(), original, rtol=0, atol=1e-3 * (original.max() - original.min()).item())


class OwnLayout(Classifier):
    """Lays out charts of its own, at some moment."""

    def lay_out(self):
        self.logger.experiment.add_custom_scalars({"mine": {"loss": ["Multiline", ["val_loss"]]}})


def titles_in_tensorboard(folder):
    """Ask TensorBoard itself what it shows."""
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin

    runs = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(folder))
    runs.Reload()
    context = TBContext(
        logdir=str(folder), multiplexer=runs, data_provider=data_provider.MultiplexerDataProvider(runs, str(folder))
    )
    layout = json.loads(CustomScalarsPlugin(context).layout_impl(RequestContext(), ""))
    return {category["title"]: [chart["title"] for chart in category["chart"]] for category in layout["category"]}


@pytest.mark.parametrize("moment", ["on_fit_start", "on_train_epoch_end", "on_train_end", "on_fit_end"])
def test_a_layout_of_the_users_own_and_ours_both_stand(tmp_path, moment):
    module = type("Module", (OwnLayout,), {moment: OwnLayout.lay_out})
    folder = tmp_path / "runs [1]"
    fit([monitor(), monitor(name="second")], make=module, logger=TensorBoardLogger(folder, name=""))
    titles = titles_in_tensorboard(folder)
    assert titles["mine"] == ["loss"]
    assert set(titles) == {"mine", "saliency", "second"}
    assert all(len(charts) == len(set(charts)) for charts in titles.values())
    assert titles["saliency"][0] == "rcap"


def test_a_second_training_in_the_same_folder_adds_no_chart_twice(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="run")
    fit([monitor()], logger=logger)
    first = titles_in_tensorboard(tmp_path)
    fit([monitor()], logger=TensorBoardLogger(tmp_path, name="", version="run"))
    assert titles_in_tensorboard(tmp_path) == first
