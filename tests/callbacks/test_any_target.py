"""The monitor and `evaluate` with targets that are no class, as users meet them."""

import csv

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import Evaluation, SaliencyMonitor, evaluate
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP, Deletion, Insertion
from lightning_saliency.targets import MultiLabel, Region, Regression, Similarity, Value
from tests.callbacks.training import MEAN, STD, Classifier, Data, Network, Patterns, assert_identical, fit, trace

OPTIONS = {"num_images": 6, "cues": (), "mean": MEAN, "std": STD, "log": ["*"]}


class Brightness(Classifier):
    """Learns the mean brightness of its images."""

    def __init__(self):
        network = Network()
        network[-1] = nn.Linear(8, 1)
        super().__init__(network)

    def training_step(self, batch, batch_idx):
        loss = functional.mse_loss(self(batch[0])[:, 0], batch[0].mean(dim=(1, 2, 3)))
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self(batch[0]).mean())


class Segmenter(Brightness):
    """Learns which pixels are bright."""

    def __init__(self):
        Classifier.__init__(self, nn.Sequential(*list(Network())[:-3], nn.Conv2d(8, 2, 1)))

    def training_step(self, batch, batch_idx):
        loss = functional.cross_entropy(self(batch[0]), (batch[0][:, 0] > 0).long())
        self.losses.append(loss.item())
        return loss


def table(folder):
    (path,) = folder.rglob("saliency.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_regression_is_watched_with_metrics_in_its_unit(tmp_path):
    monitor = SaliencyMonitor(["guided_absolute_grad", "gradient"], target=Regression(), **OPTIONS)
    run, module = fit([monitor], Brightness, logger=True, default_root_dir=tmp_path)
    assert_identical(trace(run, module), trace(*fit(make=Brightness)))
    for method in ("guided_absolute_grad", "gradient"):
        for name in ("insertion", "insertion_vs_random", "insertion_vs_edges", "drift_spearman"):
            assert run.callback_metrics[f"saliency/{method}/{name}"].isfinite()
    rows = table(tmp_path)
    assert {(row["target"], row["predicted"], row["class_name"]) for row in rows} == {("output 0", "", "")}


def regressed(**options):
    torch.manual_seed(2)
    network = Network()
    images = (Patterns(12).images - MEAN) / STD
    data = (images, Patterns(12).targets)
    return evaluate(network, data, methods=["gradient"], mean=MEAN, std=STD, cues=(), **options)


@pytest.mark.parametrize(
    "target",
    [
        Regression(1),
        Similarity([1.0, 0.0, 2.0]),
        Value(lambda output: output.square().sum(dim=1)),
        MultiLabel(),
        lambda output, labels: MultiLabel(functional.one_hot(labels, 3)),
        lambda output, labels: output[:, 0] * labels,
    ],
)
def test_parts_of_processes_merge_to_what_one_process_computes(target):
    metrics = [Deletion(4)]
    alone = regressed(target=target, metrics=metrics)
    parts = [regressed(target=target, metrics=metrics, share=(rank, 2)) for rank in (0, 1)]
    together = Evaluation.merge(parts)
    columns = ("index", "target", "predicted", "class_name", "score")
    for mine, theirs in zip(together.rows(), alone.rows(), strict=True):
        for column in columns[:-1]:
            assert mine[column] == theirs[column]
        assert mine["score"] == pytest.approx(theirs["score"], abs=1e-5)
    assert len(together.rows()) == 36


def test_labels_of_several_classes_are_written_as_their_numbers():
    flags = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 0]]).repeat(4, 1)
    images = (Patterns(12).images - MEAN) / STD
    options = {"methods": ["gradient"], "metrics": ["rcap"], "mean": MEAN, "std": STD}
    evaluation = evaluate(Network(), (images, flags), target=MultiLabel(), **options)
    assert {row["index"] % 3: row["target"] for row in evaluation.rows()} == {0: "0 2", 1: "1", 2: "none"}


def test_a_segmentation_is_watched_where_a_class_is_predicted(tmp_path):
    monitor = SaliencyMonitor(["gradient"], target=Region(1), **OPTIONS)
    run, module = fit([monitor], Segmenter, logger=True, default_root_dir=tmp_path)
    assert_identical(trace(run, module), trace(*fit(make=Segmenter)))
    assert 0 < run.callback_metrics["saliency/gradient/rcap"] < 1
    assert {row["target"] for row in table(tmp_path)} == {"1"}


def test_a_function_chooses_regions_by_labels():
    images = (Patterns(12).images - MEAN) / STD
    masks = (images[:, 0] > 0).long()
    torch.manual_seed(2)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    options = {"methods": ["gradient"], "metrics": [RCAP(mean=MEAN, std=STD)], "controls": (), "cues": ()}
    chosen = evaluate(network, (images, masks), target=lambda _, labels: Region(1, labels == 1), **options)
    maps = Gradient()(network, images[chosen.indices], Region(1, masks[chosen.indices] == 1))
    for index, saliency in zip(chosen.indices.tolist(), maps, strict=True):
        torch.testing.assert_close(chosen.maps["gradient"][index], saliency, atol=1e-3, rtol=1e-2)


def test_default_metrics_that_do_not_suit_a_function_s_target_are_left_out_with_a_warning():
    with pytest.warns(UserWarning, match=r"Metrics \['rcap'\] are left out.*Regression"):
        evaluation = regressed(target=lambda output, labels: Regression(1))
    assert not evaluation.scores
    assert len(evaluation.maps["gradient"]) == 12


@pytest.mark.parametrize("metric", ["rcap", "average_drop", "allegiance", "class_sensitivity"])
def test_metrics_that_the_user_named_are_refused_in_the_constructor(metric):
    need = "classes" if metric in ("allegiance", "class_sensitivity") else "probability"
    with pytest.raises(TypeError, match=rf"must have {need} for '{metric}', but got Regression"):
        SaliencyMonitor(metrics=[metric], target=Regression(1))
    with pytest.raises(TypeError, match=rf"must have {need} for '{metric}', but got Regression"):
        regressed(metrics=[metric], target=lambda output, labels: Regression(1))


def test_a_least_probability_needs_a_probability():
    with pytest.raises(TypeError, match=r"probability for 'min_confidence', but got Similarity"):
        SaliencyMonitor(target=Similarity([1.0]), min_confidence=0.5)


def test_a_class_in_place_of_an_instance_is_refused():
    with pytest.raises(TypeError, match=r"`target` must be a target, but got the class MultiLabel.  Make an instance"):
        SaliencyMonitor(target=MultiLabel)


def test_a_segmentation_without_a_target_is_told_of_targets():
    with pytest.raises(ValueError, match=r"got \(2, 2, 8, 8\).*pass a `target` from `lightning_saliency.targets`"):
        fit([SaliencyMonitor(["gradient"], **OPTIONS)], Segmenter)


def test_labels_of_several_classes_are_told_of_multi_label():
    data = Data()
    images, flags = Patterns(18).images, functional.one_hot(Patterns(18).targets, 3).float()
    data.val_dataloader = lambda: DataLoader(TensorDataset(images, flags), 6)
    with pytest.raises(ValueError, match=r"`MultiLabel\(\)`"):
        fit([SaliencyMonitor(["gradient"], **OPTIONS)], Brightness, data)


@pytest.mark.filterwarnings("ignore:(?s).*(JSONARGPARSE_DEPRECATION|removed in v5)")
@pytest.mark.parametrize(
    ("yaml", "kind", "metrics"),
    [
        (
            "{class_path: lightning_saliency.targets.Regression, init_args: {column: 1}}",
            Regression,
            [Insertion],
        ),
        ("{class_path: Regression, init_args: {column: 1}}", Regression, [Insertion]),
        ("Regression", Regression, [Insertion]),
        ("lightning_saliency.targets.MultiLabel", MultiLabel, None),
        ("{class_path: Region, init_args: {classes: 2}}", Region, None),
        ("{class_path: Similarity, init_args: {reference: [1.0, 2.0]}}", Similarity, [Insertion]),
    ],
)
def test_targets_are_named_in_yaml(yaml, kind, metrics):
    parser = ArgumentParser()
    parser.add_class_arguments(SaliencyMonitor, "monitor")
    settings = parser.instantiate_classes(parser.parse_string(f"monitor: {{target: {yaml}}}")).monitor.settings
    assert isinstance(settings.target, kind)
    if metrics is not None:
        assert [type(metric) for metric in settings.metrics.values()] == metrics


@pytest.mark.parametrize("labels", [torch.linspace(0.1, 2.7, 6)[:, None], torch.arange(2.0, 8.0)[:, None]])
def test_a_regression_of_one_column_is_told_its_target(labels):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    data = (torch.rand(6, 1, 8, 8), labels)
    with pytest.raises(ValueError, match=r"`Regression\(0\)`"):
        evaluate(network, data, methods=["gradient"], metrics=[Deletion(4)], cues=())
    told = evaluate(network, data, methods=["gradient"], metrics=[Deletion(4)], cues=(), target=Regression(0))
    assert len(told.scores["gradient", "deletion"]) == 6
