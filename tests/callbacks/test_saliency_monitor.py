import csv
import dataclasses
import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import Gradient, RandomMap, SmoothGrad
from lightning_saliency.metrics import RCAP, Allegiance
from tests.callbacks.training import CLASSES, MEAN, STD, Classifier, Data, Network, Patterns, fit, trainer


def quick(*args, **options):
    return SaliencyMonitor(
        *args or [[Gradient()]], **{"num_images": 6, "mean": MEAN, "std": STD, "log": ("*",), **options}, cues=()
    )


def scores_of(run, prefix="saliency/"):
    return {name: value.item() for name, value in run.callback_metrics.items() if name.startswith(prefix)}


def test_the_default_monitor_scores_a_network_on_normalised_images():
    monitor = SaliencyMonitor(mean=MEAN, std=STD, num_images=12, cues=())
    run, _ = fit([monitor])
    scores = scores_of(run)
    for method in ("guided_absolute_grad", "grad_cam"):
        assert 0 < scores[f"saliency/{method}/rcap"] < 1
        assert 0 <= monitor.history[-1].errors[f"saliency/{method}/rcap"] < 0.2
        assert {f"saliency/{method}/rcap_vs_random", f"saliency/{method}/rcap_vs_edges"} <= scores.keys()
        assert f"saliency/{method}/allegiance" not in scores
    assert all(math.isfinite(value) for value in scores.values())


def test_the_score_is_that_of_the_chosen_images():
    data = Data(num_val=12)
    data.val_dataloader = lambda: DataLoader(Patterns(12), 5)
    run, module = fit([quick(num_images=12)], data=data)
    images, labels = next(iter(DataLoader(Patterns(12), 12)))
    expected = RCAP(mean=MEAN, std=STD).scores(module, images, Gradient()(module, images, labels), labels)
    # The weights have not moved since the last validation.
    assert scores_of(run)["saliency/gradient/rcap"] == pytest.approx(expected.mean().item(), rel=1e-5)


def test_what_is_on_disk_is_what_checkpoints_see(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    run, _ = fit([quick(num_panels=2, best="gradient/rcap")], logger=logger, log_every_n_steps=1)
    events = EventAccumulator(logger.log_dir, size_guidance={"images": 0})
    events.Reload()
    scalars = {tag for tag in events.Tags()["scalars"] if tag.startswith("saliency/")}
    assert scalars == set(scores_of(run))
    for tag in scalars:
        series = events.Scalars(tag)
        # Lightning counts the steps before the batch after which it validates; drift starts with the second.
        assert [event.step for event in series] == ([11] if "drift" in tag else [5, 11])
        assert series[-1].value == pytest.approx(run.callback_metrics[tag].item())
    pictures = {tag: events.Images(tag) for tag in events.Tags()["images"]}
    panels = sorted(tag for tag in pictures if tag.startswith("saliency/gradient/image_"))
    assert len(panels) == 2
    assert [event.step for event in pictures[panels[0]]] == [6, 12]
    # Input and now; then input, first, best, previous, now and change.
    assert [event.width for event in pictures[panels[0]]] == [2 * 160 + 10, 6 * 160 + 5 * 10]
    others = {
        "saliency/gradient/drifted_0",
        "saliency/gradient/worst_0",
        "saliency/curves/rcap",
    }
    assert set(pictures) - set(panels) == others


def test_every_score_of_every_image_is_a_row_of_a_table(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    run, _ = fit([quick(num_images=5, metrics=[RCAP()], drift=["spearman", "ssim"])], logger=logger)
    with (Path(logger.log_dir) / "saliency.csv").open() as file:
        table = list(csv.DictReader(file))
    columns = ["schema", "stage", "run", "step", "epoch", "index", "target", "predicted", "class_name", "method"]
    columns += ["metric", "score"]
    assert list(table[0]) == columns
    last = [
        float(row["score"])
        for row in table
        if (row["epoch"], row["method"], row["metric"]) == ("1", "gradient", "rcap")
    ]
    assert len(last) == 5
    assert sum(last) / 5 == pytest.approx(scores_of(run)["saliency/gradient/rcap"])
    assert {row["metric"] for row in table if row["epoch"] == "0"} == {"rcap"}
    assert {"rcap", "drift_ssim", "drift_ssim_first"} <= {row["metric"] for row in table if row["epoch"] == "1"}


def test_the_margin_over_the_control_is_paired_and_positive_for_the_better():
    def worse(model, images, targets):
        return RandomMap()(model, images) * (images[:, 0] < 0)

    metrics = [RCAP(), Allegiance()]
    run, _ = fit([quick([RandomMap()], metrics, num_images=9), quick({"worse": worse}, metrics, name="other")])
    scores = scores_of(run, "")
    for metric in ("rcap", "allegiance"):
        assert scores[f"saliency/random_map/{metric}"] == scores[f"saliency/random/{metric}"]
        assert scores[f"saliency/random_map/{metric}_vs_random"] == 0
        assert scores[f"saliency/random_map/{metric}_vs_random_stderr"] == 0
        sign = 1 if metric == "rcap" else -1
        difference = sign * (scores[f"other/worse/{metric}"] - scores[f"other/random/{metric}"])
        assert scores[f"other/worse/{metric}_vs_random"] == pytest.approx(difference, abs=1e-6)


def test_the_same_images_are_used_in_every_epoch_and_balanced_over_classes():
    received = []

    def spy(model, images, targets):
        received.append((images.clone(), targets.clone()))
        return images.mean(dim=1)

    fit([quick({"spy": spy})], num_sanity_val_steps=0, max_epochs=3)
    assert len(received) == 3
    assert all(torch.equal(images, received[0][0]) for images, _ in received)
    assert torch.bincount(received[0][1]).tolist() == [2, 2, 2]


def test_the_sanity_run_checks_on_two_images_and_logs_nothing():
    sizes = []

    def spy(model, images, targets):
        sizes.append(len(images))
        return images.mean(dim=1)

    run = trainer([quick({"spy": spy})], max_epochs=0)
    run.fit(Classifier(), Data())
    assert not scores_of(run)
    fit([quick({"spy": spy})], max_epochs=1)
    assert sizes == [2, 2, 6]


def test_every_second_epoch_is_watched():
    received = []

    def spy(model, images, targets):
        received.append(model.training)
        return images.mean(dim=1)

    fit([quick({"spy": spy}, every_n_epochs=2)], num_sanity_val_steps=0, max_epochs=5)
    assert received == [False, False]


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_validate_and_test_work_without_a_flag(stage):
    run = trainer([quick([SmoothGrad(num_samples=2)])])
    getattr(run, stage)(Classifier(), Data(), verbose=False)
    name = "test_saliency/smooth_grad/rcap" if stage == "test" else "saliency/smooth_grad/rcap"
    assert 0 < scores_of(run, "")[name] < 1
    assert run.validate_loop.inference_mode
    assert run.test_loop.inference_mode


def test_the_loops_are_given_back_after_an_exception():
    def broken(model, images, targets):
        raise ValueError("broken")

    run = trainer([quick({"broken": broken})])
    with pytest.raises(ValueError, match="broken"):
        run.validate(Classifier(), Data(), verbose=False)
    assert run.validate_loop.inference_mode


def test_more_images_than_there_are_means_all_and_one_warning():
    with pytest.warns(UserWarning, match="`num_images` is 500, but there are only 18") as warnings:
        fit([quick(num_images=500)])
    assert len([w for w in warnings if "num_images" in str(w.message)]) == 1


def test_images_without_a_finite_gradient_are_left_out_and_counted():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = Network()

        def forward(self, images):
            # Images brighter than others in one corner take a root whose slope there is infinite.
            bright = (images[:, 0, 0, 0] > 0).nonzero().flatten()
            roots = images.new_zeros(len(images), 1)
            roots[bright] = (images[bright, 0, 0, :1] * 0).abs().sqrt()
            return self.network(images) + roots

    data = Data()
    data.val_dataloader = lambda: DataLoader(Patterns(18), 6)
    with pytest.warns(UserWarning, match="6 of 18 maps of 'gradient' are not finite and left out"):
        run, _ = fit([quick(num_images=18)], lambda: Classifier(Root()), data)
    scores = scores_of(run)
    assert scores["saliency/gradient/invalid"] == 6
    assert all(math.isfinite(value) for value in scores.values())


def test_blank_maps_are_counted_and_explained_once():
    def blank(model, images, targets):
        return torch.ones(len(images), *images.shape[2:])

    with pytest.warns(UserWarning, match="6 of 6 maps of 'blank' are constant") as warnings:
        run, _ = fit([quick({"blank": blank})])
    assert len([w for w in warnings if "constant" in str(w.message)]) == 1
    assert scores_of(run)["saliency/blank/blank"] == 6
    assert scores_of(run)["saliency/blank/rcap"] == 0


def test_images_outside_raw_space_raise_for_a_metric_that_the_user_named():
    with pytest.raises(ValueError, match=r"normalised for metric 'rcap'.*pass `mean` and `std`"):
        fit([SaliencyMonitor([Gradient()], [RCAP()], cues=())])


def test_images_outside_raw_space_leave_the_default_metrics_out_with_a_warning():
    with pytest.warns(UserWarning, match=r"Metrics \['rcap'\] are left out"):
        run, _ = fit([SaliencyMonitor([Gradient()], num_images=6, cues=())])
    assert not any("rcap" in name for name in scores_of(run))
    assert scores_of(run)["saliency/gradient/blank"] == 0


def test_a_metric_that_knows_its_colours_is_asked_as_it_is():
    run, _ = fit([SaliencyMonitor([Gradient()], [RCAP(mean=MEAN, std=STD)], num_images=6, cues=())])
    assert "saliency/gradient/rcap" in scores_of(run)


@pytest.mark.parametrize(
    ("choice", "classes"),
    [
        ("label", [0, 1, 2]),
        ("predicted", None),
        (1, [1]),
        (lambda logits, labels: (labels + 1) % CLASSES, [0, 1, 2]),
    ],
)
def test_targets_are_labels_predictions_a_class_or_computed(choice, classes):
    received = []

    def spy(model, images, targets):
        received.append((images, targets, model(images).argmax(dim=1)))
        return images.mean(dim=1)

    fit([quick({"spy": spy}, target=choice)], max_epochs=1)
    _, targets, predicted = received[-1]
    if choice == "predicted":
        assert torch.equal(targets, predicted)
    else:
        assert sorted(set(targets.tolist())) == classes


def test_unsure_images_are_left_out_and_the_share_used_is_logged():
    data = Data()
    data.val_dataloader = lambda: DataLoader(Patterns(18), 6)
    run, module = fit([quick(min_confidence=0.34, num_images=18)], data=data)
    images, labels = next(iter(DataLoader(Patterns(18), 18)))
    confidence = module.eval()(images).softmax(dim=1).gather(1, labels[:, None])
    share = (confidence >= 0.34).float().mean().item()
    assert 0 < share < 1
    assert scores_of(run)["saliency/used"] == pytest.approx(share)


@dataclasses.dataclass
class Batch:
    image: torch.Tensor
    label: torch.Tensor


def collated(kind):
    def collate(items):
        images = torch.stack([image for image, _ in items])
        labels = torch.tensor([label for _, label in items])
        return {
            "tuple": (images, labels),
            "dict": {"pixel_values": images, "labels": labels},
            "dataclass": Batch(images, labels),
            "own keys": {"a": images, "b": labels},
        }[kind]

    return collate


class AnyBatch(Classifier):
    def validation_step(self, batch, batch_idx):
        """Validate nothing."""


@pytest.mark.parametrize("kind", ["tuple", "dict", "dataclass", "own keys"])
def test_batches_of_many_kinds_are_understood(kind):
    options = {"batch": ("a", "b")} if kind == "own keys" else {}
    data = Data()
    data.val_dataloader = lambda: DataLoader(Patterns(18), 6, collate_fn=collated(kind))
    run, _ = fit([quick(**options)], AnyBatch, data)
    assert "saliency/gradient/rcap" in scores_of(run)


class Stream(IterableDataset):
    def __iter__(self):
        items = Patterns(18)
        return (items[index] for index in range(18))


def test_data_that_only_come_through_the_loader_are_kept_from_the_first_validation():
    received = []

    def spy(model, images, targets):
        received.append(images.clone())
        return images.mean(dim=1)

    data = Data()
    data.val_dataloader = lambda: DataLoader(Stream(), 4)
    run, _ = fit([quick({"spy": spy})], data=data)
    assert [len(images) for images in received] == [2, 6, 6]
    assert torch.equal(received[1], received[2])
    assert "saliency/spy/rcap" in scores_of(run)


def test_a_stream_shorter_than_wanted_is_used_whole():
    data = Data()
    data.val_dataloader = lambda: DataLoader(Stream(), 4)
    run, _ = fit([quick(num_images=500, num_panels=0)], data=data)
    assert scores_of(run)["saliency/gradient/blank"] == 0
    assert "saliency/gradient/rcap" in scores_of(run)


def test_a_stream_keeps_to_its_budget():
    sizes = []

    def spy(model, images, targets):
        sizes.append(len(images))
        return images.mean(dim=1)

    data = Data()
    data.val_dataloader = lambda: DataLoader(Stream(), 4)
    watcher = quick({"spy": spy}, max_seconds=1e-6)
    with pytest.warns(UserWarning, match="6 images took"):
        fit([watcher], data=data, num_sanity_val_steps=0)
    assert sizes == [6, 1]


def test_the_second_of_several_loaders_can_be_watched():
    received = []

    def spy(model, images, targets):
        received.append(images)
        return images.mean(dim=1)

    class Many(Classifier):
        def validation_step(self, batch, batch_idx, dataloader_idx):
            """Validate nothing."""

    data = Data()
    dark = TensorDataset(torch.full((9, 1, 8, 8), -2.0), torch.zeros(9, dtype=torch.int64))
    data.val_dataloader = lambda: [DataLoader(Patterns(18), 6), DataLoader(dark, 4)]
    with pytest.warns(UserWarning, match="constant"):
        fit([quick({"spy": spy}, dataloader_idx=1)], Many, data)
    assert all((images == -2).all() for images in received)
    with pytest.raises(ValueError, match=r"`dataloader_idx`.* but got 2"):
        fit([quick(dataloader_idx=2)], Many, data)


class Wrapped(Classifier):
    """Gives logits in a dictionary and has no useful forward."""

    def forward(self, images):
        return {"logits": self.network(images), "features": images}

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        """Validate nothing."""


@pytest.mark.parametrize(
    "options",
    [
        {"model": "network"},
        {"output": "logits"},
        {"output": lambda output: output["logits"]},
        {"model": lambda module, images: module.network(images)},
    ],
)
def test_the_network_and_its_logits_are_found_where_the_user_says(options):
    plain, _ = fit([quick()], num_sanity_val_steps=0)
    run, _ = fit([quick(**options)], Wrapped, num_sanity_val_steps=0)
    expected = scores_of(plain)["saliency/gradient/rcap"]
    assert scores_of(run)["saliency/gradient/rcap"] == pytest.approx(expected, rel=1e-4)


def test_logits_of_another_kind_are_refused_in_the_sanity_run():
    with pytest.raises(TypeError, match=r"tensor of logits, but got dict with keys \['logits', 'features'\]"):
        fit([quick()], Wrapped)


def test_a_module_without_forward_is_told_to_name_its_network():
    class Silent(Wrapped):
        forward = LightningModule.forward

    with pytest.raises(
        ValueError, match=r"Silent must have a `forward`.*Pass `model`.*Attributes with .*: 'network'\."
    ):
        fit([quick()], Silent)


def test_an_unknown_attribute_path_is_refused_with_the_modules_there_are():
    with pytest.raises(ValueError, match="'backbone': its modules are network"):
        fit([quick(model="backbone")])
    with pytest.raises(TypeError, match="'losses' is a list"):
        fit([quick(model="losses")])


def test_labels_out_of_range_are_refused():
    data = Data()
    data.val_dataloader = lambda: DataLoader(TensorDataset(torch.rand(6, 1, 8, 8), torch.full((6,), 7)), 6)
    with pytest.raises(ValueError, match=r"`targets` to lie in \[0, 2\].*but got 7"):
        fit([quick()], AnyBatch, data)


def test_two_monitors_do_not_collide_unless_they_have_one_name():
    run, _ = fit([quick(), quick([SmoothGrad(num_samples=2)], name="second")])
    assert {"saliency/gradient/rcap", "second/smooth_grad/rcap"} <= run.callback_metrics.keys()
    with pytest.raises(ValueError, match="SaliencyMonitor, but got 'saliency' more than once"):
        fit([quick(), quick()])


def test_two_monitors_have_tables_and_state_of_their_own(tmp_path):
    monitors = [quick(), quick([SmoothGrad(num_samples=2)], name="second")]
    fit(monitors, logger=TensorBoardLogger(tmp_path, name="", version="run"))
    for name, method in (("saliency", "gradient"), ("second", "smooth_grad")):
        with (tmp_path / "run" / f"{name}.csv").open() as file:
            assert {row["method"] for row in csv.DictReader(file)} == {method, "random", "edges"}
    assert [list(monitor.memory.maps["first"]) for monitor in monitors] == [["gradient"], ["smooth_grad"]]


def test_a_fault_late_in_training_is_survived_with_one_warning():
    calls = []

    def late(model, images, targets):
        calls.append(1)
        if len(calls) > 2:
            raise ValueError("an unlucky moment")
        return images.mean(dim=1)

    with pytest.warns(UserWarning, match="ValueError: an unlucky moment") as warnings:
        run, _ = fit([quick({"late": late})], max_epochs=4)
    assert len([w for w in warnings if "unlucky" in str(w.message)]) == 1
    assert run.current_epoch == 4


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_images": 0}, ValueError, "`num_images` to be at least 1, but got 0"),
        ({"num_images": 2.5}, TypeError, "`num_images` to be a whole number, but got 2.5"),
        ({"every_n_epochs": 0}, ValueError, "`every_n_epochs`"),
        ({"min_confidence": 90}, ValueError, r"`min_confidence` to lie in \[0, 1\), but got 90"),
        ({"on_error": "ignore"}, ValueError, "`on_error` to be one of 'warn', 'raise', but got 'ignore'"),
        ({"target": "labels"}, ValueError, "`target` to be one of 'label', 'predicted', None, but got 'labels'"),
        ({"target": -1}, ValueError, "`target` to be at least 0, but got -1"),
        ({"mean": 0.5, "std": None}, ValueError, "both `mean` and `std`"),
        ({"std": 0.0}, ValueError, "`std` to be positive, but got 0.0"),
        ({"batch": "image"}, TypeError, "`batch` to be keys or a function, but got 'image'"),
        ({"batch": ("image",)}, ValueError, "`batch` to be two or three keys"),
        ({"name": ""}, ValueError, "`name`"),
        ({"methods": []}, ValueError, "`methods` to have distinct names, but got none"),
        ({"methods": [Gradient(), Gradient()]}, ValueError, r"\['gradient'\] more than once"),
        ({"methods": [Gradient]}, TypeError, "`methods` to hold instances"),
        ({"methods": Gradient()}, TypeError, "`methods` to be a sequence or a mapping"),
        ({"metrics": [Allegiance(), Allegiance()]}, ValueError, r"`metrics` .*\['allegiance'\] more than once"),
    ],
)
def test_wrong_arguments_are_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        SaliencyMonitor(**{"mean": MEAN, "std": STD, **options}, cues=())
