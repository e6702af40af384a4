"""Classes have the names that the data set gives them, and numbers where it gives none."""

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset, random_split

from lightning_saliency import Evaluation, SaliencyMonitor, evaluate
from tests.callbacks.training import MEAN, STD, Classifier, Patterns, trainer
from tests.models import small_cnn

ANIMALS = ["cat", "dog", "owl"]
SIZE = 9


def named(classes, size=SIZE, **attributes):
    """Return a data set with names of classes."""
    dataset = Patterns(size)
    for name, value in {"classes": classes, **attributes}.items():
        setattr(dataset, name, value)
    return dataset


class Wrapped(Dataset):
    """Adds a class in front of those of another data set, which it hides under a usual name."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        image, label = self.dataset[index]
        return image, (label + 1) % 3


def names_of(dataset, network=None, **options):
    """Return the names by number, as every row of the table has them."""
    module = Classifier() if network is None else network
    loader = DataLoader(dataset, 4)
    evaluation = evaluate(
        module, loader, methods=["gradient"], metrics=["rcap"], mean=MEAN, std=STD, **options, cues=()
    )
    return {row["target"]: row["class_name"] for row in evaluation.rows()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda dataset: dataset,
        lambda dataset: Subset(dataset, range(SIZE)),
        lambda dataset: Subset(Subset(dataset, range(SIZE)), [0, 1, 2, 5]),
        lambda dataset: random_split(dataset, [6, 3])[0],
        lambda dataset: ConcatDataset([Subset(dataset, range(3)), dataset]),
    ],
    ids=["plain", "subset", "subset of a subset", "random_split", "concatenated"],
)
def test_names_are_read_through_wrappers_of_torch(wrap):
    names = names_of(wrap(named(ANIMALS)))
    assert names
    assert names == {number: ANIMALS[number] for number in names}


@pytest.mark.parametrize(
    "dataset",
    [
        Patterns(SIZE),
        named(None),
        named([]),
        named("cat"),
        named(["cat", "dog"]),
        named([*ANIMALS, "elk"]),
        named(ANIMALS, target_transform=lambda label: (label + 1) % 3),
        ConcatDataset([named(ANIMALS), named(["elk", "fox", "gnu"])]),
        ConcatDataset([named(ANIMALS), Patterns(SIZE)]),
        Wrapped(named(ANIMALS)),
    ],
    ids=["none", "None", "empty", "text", "too few", "too many", "changed labels", "other", "some", "wrapper"],
)
def test_names_that_may_be_wrong_are_left_out(dataset):
    assert set(names_of(dataset).values()) == {""}


def test_several_names_of_a_class_and_equal_names_of_several_are_told_apart():
    names = names_of(named([("crane", "bird"), ("crane", "machine"), "owl"]))
    assert names == {0: "crane (0)", 1: "crane (1)", 2: "owl"}


def test_captions_have_the_names():
    data = DataLoader(named(ANIMALS), 4)
    options = {"methods": ["gradient"], "metrics": ["rcap"], "mean": MEAN, "std": STD}
    evaluation = evaluate(Classifier(), data, num_panels=SIZE, **options, cues=())
    captions = {index: " ".join(thumbnail.caption) for index, thumbnail in evaluation.thumbnails.items()}
    assert len(captions) == SIZE
    for index, caption in captions.items():
        assert f"true {ANIMALS[index % 3]} (" in caption


def test_shares_keep_the_names_of_all_classes():
    data = DataLoader(named(ANIMALS), 4)
    options = {"methods": ["gradient"], "metrics": ["rcap"], "mean": MEAN, "std": STD}
    parts = [evaluate(Classifier(), data, share=(rank, 3), **options, cues=()) for rank in range(3)]
    assert {row["class_name"] for row in Evaluation.merge(parts).rows()} == set(ANIMALS)


def test_tensors_have_no_names():
    images, labels = torch.rand(6, 3, 8, 8), torch.arange(6) % 3
    evaluation = evaluate(small_cnn(), DataLoader(TensorDataset(images, labels), 2), methods=["gradient"], cues=())
    assert {row["class_name"] for row in evaluation.rows()} == {""}


def test_the_card_has_them_as_text(tmp_path):
    dataset = named(["a cat", "a|b *dog*", "<owl>"])
    monitor = SaliencyMonitor(["gradient"], ["rcap"], num_images=SIZE, num_panels=0, mean=MEAN, std=STD, cues=())
    run = trainer([monitor], logger=TensorBoardLogger(tmp_path, name="", version="log"))
    run.validate(Classifier(), DataLoader(dataset, 4), verbose=False)
    events = EventAccumulator(str(tmp_path / "log")).Reload()
    (card,) = events.Tensors("saliency/card/text_summary")[0].tensor_proto.string_val
    cells = {line.split("|")[1].strip() for line in card.decode().splitlines() if line.count("|") == 4}
    assert {"a cat", r"a&#124;b \*dog\*", "&lt;owl&gt;"} <= cells
