"""The images with the worst scores are drawn, whichever process explains them."""

import csv
from functools import partial

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.loggers import CSVLogger
from PIL import Image, ImageChops

from lightning_saliency import Evaluation, SaliencyMonitor, evaluate
from lightning_saliency.methods import GradCAM, Gradient
from lightning_saliency.metrics import RCAP, Deletion, ExplanationMetric, Measured
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, Classifier, Data, Network, trainer

METRICS = {"rcap": RCAP(mean=MEAN, std=STD), "deletion": Deletion(mean=MEAN, std=STD)}
SIZE = 9


class Equal(ExplanationMetric):
    """Gives the same score to every map."""

    name = "equal"
    higher_is_better = True

    def measure(self, trial):
        return Measured(torch.ones(len(trial.images)))


def validate(folder, metrics, *, devices=1, **options):
    """Watch a network of fixed weights."""
    options = {"num_images": SIZE, "num_panels": SIZE, "mean": MEAN, "std": STD, **options}
    monitor = SaliencyMonitor([Gradient(), GradCAM()], metrics, **options, cues=())
    strategy = {"strategy": "ddp", "devices": devices} if devices > 1 else {}
    run = trainer([monitor], logger=CSVLogger(folder, name="", version="log"), **strategy)
    seed_everything(3, verbose=False)
    run.validate(Classifier(), Data(SIZE), verbose=False)


def validated(folder, metrics, **options):
    """Watch it, and return the folder of the pictures and the rows of scores."""
    validate(folder, metrics, **options)
    with (folder / "log" / "saliency.csv").open(newline="") as file:
        return folder / "log" / "pictures" / "saliency", list(csv.DictReader(file))


def ranked(rows, method, metric, *, higher_is_better):
    """List the images from the worst to the best."""
    sign = 1 if higher_is_better else -1
    rows = [row for row in rows if (row["method"], row["metric"]) == (method, metric)]
    return [index for _, index in sorted((sign * float(row["score"]), int(row["index"])) for row in rows)]


def is_same_picture(first, second):
    with Image.open(*first.iterdir()) as one, Image.open(*second.iterdir()) as other:
        return one.size == other.size and ImageChops.difference(one, other).getbbox() is None


@pytest.mark.parametrize("names", [["rcap", "deletion"], ["deletion", "rcap"]])
def test_images_with_the_worst_scores_of_the_first_metric_are_drawn_for_each_method(tmp_path, names):
    pictures, rows = validated(tmp_path, {name: METRICS[name] for name in names}, num_worst=2)
    for method in ("gradient", "grad_cam"):
        worst = ranked(rows, method, names[0], higher_is_better=names[0] == "rcap")
        for place in range(2):
            assert is_same_picture(pictures / method / f"worst_{place}", pictures / method / f"image_{worst[place]}")
        assert not (pictures / method / "worst_2").exists()


def test_one_is_drawn_by_default_and_none_on_request(tmp_path):
    for folder, options, number in (("default", {}, 1), ("none", {"num_worst": 0}, 0)):
        pictures, _ = validated(tmp_path / folder, METRICS, **options)
        assert len(list(pictures.glob("gradient/worst_*"))) == number


def test_of_equal_scores_the_first_images_are_drawn(tmp_path):
    pictures, rows = validated(tmp_path, [Equal()], num_worst=2)
    first, second, *_ = sorted({int(row["index"]) for row in rows})
    for place, index in enumerate((first, second)):
        assert is_same_picture(pictures / "gradient" / f"worst_{place}", pictures / "gradient" / f"image_{index}")


def test_an_image_without_a_score_is_not_the_worst(tmp_path):
    def odd(model, images, targets):
        maps = images.mean(dim=1)
        maps[0] = torch.nan
        return maps

    monitor = SaliencyMonitor({"odd": odd}, METRICS, num_images=1, num_panels=1, cues=())
    with pytest.warns(UserWarning, match="not finite"):
        trainer([monitor], logger=CSVLogger(tmp_path, name="", version="log")).validate(
            Classifier(), Data(SIZE), verbose=False
        )
    assert not list(tmp_path.rglob("worst_*"))


def test_the_same_images_are_drawn_by_three_processes(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    options = {"num_worst": 2, "num_panels": 0}
    pictures, _ = validated(ours, METRICS, **options)
    spawn(partial(validate, theirs, METRICS, devices=3, **options), tmp_path, world_size=3)
    names = sorted(path.relative_to(pictures) for path in pictures.rglob("worst_*"))
    assert len(names) == 4
    for name in names:
        assert is_same_picture(pictures / name, theirs / "log" / "pictures" / "saliency" / name)


def test_evaluate_draws_them_from_the_shares_of_all_processes():
    data, model = Data(SIZE).val_dataloader(), Network().eval()
    options = {"methods": [Gradient()], "metrics": METRICS, "num_images": SIZE, "num_panels": 0, "num_worst": 2}
    together = evaluate(model, data, **options, cues=())
    parts = Evaluation.merge([evaluate(model, data, share=(rank, 3), **options, cues=()) for rank in range(3)])
    names = ["saliency/gradient/worst_0", "saliency/gradient/worst_1"]
    assert [name for name in together.pictures() if "curves" not in name] == names
    for name in names:
        assert torch.equal(parts.pictures()[name], together.pictures()[name])
    worst = together.scores["gradient", "rcap"].argsort(stable=True)[:2]
    assert set(together.indices[worst].tolist()) == set(together.thumbnails)
