"""Data as real projects have them: splits by sampler, sizes of their own, broken items, loaders of all kinds."""

import csv

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import CombinedLoader
from torch.nn import functional
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
)

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import GradCAM, Gradient
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, assert_identical, fit, trace, trainer

RCAP = "saliency/gradient/rcap"
TWO = {"rcap": "rcap", "allegiance": "allegiance"}


def monitor(methods=None, **options):
    return SaliencyMonitor(
        methods or [Gradient()],
        **{"num_images": 18, "mean": MEAN, "std": STD, "metrics": ["rcap"], "cues": (), **options},
    )


def validated_on(loader):
    data = Data()
    data.val_dataloader = loader
    return data


def ours(warnings):
    return [str(warning.message) for warning in warnings if "SaliencyMonitor" in str(warning.message)]


def rows_of(folder):
    with (folder / "saliency.csv").open() as file:
        return list(csv.DictReader(file))


def explained(watcher):
    """Spy on the images that a monitor explains: numbers of pictures by their pixels."""
    return sorted(index for index in watcher.memory.fingerprints)


# Samplers


EVEN = list(range(0, 18, 2))


class Backwards(Sampler):
    """A sampler of the user's, which may not be asked twice."""

    def __init__(self, size):
        self.size = size
        self.calls = 0

    def __iter__(self):
        self.calls += 1
        return iter(range(self.size - 1, -1, -1))

    def __len__(self):
        return self.size


SPLITS = {
    "a subset": lambda data: {"sampler": SubsetRandomSampler(EVEN), "batch_size": 4},
    "a subset as a tensor": lambda data: {"sampler": SubsetRandomSampler(torch.tensor(EVEN)), "batch_size": 4},
    "a list": lambda data: {"sampler": EVEN, "batch_size": 4},
    "a list of batches": lambda data: {"batch_sampler": [EVEN[:4], EVEN[4:]]},
    "batches of a subset": lambda data: {"batch_sampler": BatchSampler(SubsetRandomSampler(EVEN), 4, drop_last=False)},
    "weights": lambda data: {
        "sampler": WeightedRandomSampler([float(index % 2 == 0) for index in range(18)], 40),
        "batch_size": 4,
    },
}


@pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")
@pytest.mark.parametrize("split", SPLITS)
def test_only_images_that_the_sampler_holds_are_explained(split):
    dataset = Patterns(18)
    watcher = monitor(num_images=9)
    fit([watcher], data=validated_on(lambda: DataLoader(dataset, **SPLITS[split](dataset))), max_epochs=1)
    assert explained(watcher) == EVEN


@pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")
@pytest.mark.parametrize(
    "sampler",
    [
        SequentialSampler,
        RandomSampler,
        lambda data: BatchSampler(RandomSampler(data), 4, drop_last=False),
        lambda data: DistributedSampler(data, num_replicas=2, rank=1),
    ],
)
def test_a_sampler_of_all_images_changes_nothing(sampler):
    dataset = Patterns(18)
    made = sampler(dataset)
    options = {"batch_sampler": made} if isinstance(made, BatchSampler) else {"sampler": made, "batch_size": 4}
    watcher, plain = monitor(num_images=7), monitor(num_images=7)
    fit([watcher], data=validated_on(lambda: DataLoader(dataset, **options)), max_epochs=1)
    fit([plain], max_epochs=1, data=validated_on(lambda: DataLoader(dataset, 4)))
    assert explained(watcher) == explained(plain)


def test_a_split_is_balanced_over_its_classes():
    labels = Patterns(18).targets
    received = []

    def spy(model, images, targets):
        received.extend(targets.tolist())
        return images.mean(dim=1)

    split = [index for index in range(18) if labels[index] == 0] + [1, 4, 2]
    watcher = monitor({"spy": spy}, num_images=5, max_batch_size=5)
    loader = DataLoader(Patterns(18), 4, sampler=SubsetRandomSampler(split))
    fit([watcher], data=validated_on(lambda: loader), max_epochs=1, num_sanity_val_steps=0)
    assert sorted(received[:5]) == [0, 0, 1, 1, 2]


def test_a_sampler_of_the_users_is_read_through_the_users_loop_only():
    dataset, sampler, watcher = Patterns(18), Backwards(18), monitor(num_images=4)
    loader = DataLoader(dataset, 6, sampler=sampler)
    received = []

    def spy(model, images, targets):
        received.append(images.clone())
        return images.mean(dim=1)

    watcher = monitor({"spy": spy}, num_images=4)
    fit([watcher], data=validated_on(lambda: loader), max_epochs=2)
    assert sampler.calls == 3  # the sanity run and two validations
    expected = torch.stack([dataset[index][0] for index in (17, 16, 15, 14)])
    assert torch.equal(received[-1], expected)


def test_the_choice_is_the_same_whatever_was_drawn_before():
    chosen = []
    for draws in (0, 5):
        torch.rand(draws)
        watcher = monitor(num_images=5)
        loader = DataLoader(Patterns(18), 4, sampler=SubsetRandomSampler(EVEN))
        trainer([watcher], max_epochs=1, num_sanity_val_steps=0).fit(Classifier(), Data().train_dataloader(), loader)
        chosen.append(explained(watcher))
    assert chosen[0] == chosen[1]


# Images of several sizes


class Sizes(Dataset):
    """Patterns in three sizes and shapes."""

    SHAPES = ((8, 8), (12, 8), (16, 16))

    def __init__(self, size=18):
        self.patterns = Patterns(size)

    def __len__(self):
        return len(self.patterns)

    def __getitem__(self, index):
        image, label = self.patterns[index]
        shape = self.SHAPES[index % 3]
        return functional.interpolate(image[None], shape, mode="nearest")[0], label


@pytest.mark.parametrize("options", [{}, {"max_batch_size": 1}, {"max_batch_size": 4}, {"max_kept_bytes": 100}])
def test_images_of_several_sizes_are_explained_compared_drawn_and_kept_in_checkpoints(tmp_path, options):
    watcher = monitor([Gradient(), GradCAM()], metrics=["rcap", "insertion"], log=["*"], **options)
    saving = ModelCheckpoint(tmp_path, save_top_k=-1)
    logger = CSVLogger(tmp_path, name="", version="")
    run, _ = fit([watcher, saving], data=validated_on(lambda: DataLoader(Sizes(), 1)), logger=logger)
    assert explained(watcher) == list(range(18))
    assert {"saliency/gradient/insertion", "saliency/grad_cam/drift_spearman"} <= run.callback_metrics.keys()
    state = torch.load(saving.best_model_path, weights_only=True)["callbacks"][watcher.state_key]
    again = monitor([Gradient(), GradCAM()], **options)
    again.load_state_dict(state)
    for index in range(18):
        kept, loaded = (one.memory.maps["previous"]["gradient"][index] for one in (watcher, again))
        assert tuple(loaded.values.shape) == Sizes.SHAPES[index % 3]
        assert torch.equal(loaded.values, kept.values)
    rows = rows_of(tmp_path)
    assert len({row["index"] for row in rows}) == 18


def test_scores_of_images_of_several_sizes_do_not_depend_on_the_batch_size():
    scores = []
    for batch_size in (1, 4, 64):
        torch.manual_seed(5)
        run = trainer([monitor(max_batch_size=batch_size)])
        run.validate(Classifier(), DataLoader(Sizes(), 1), verbose=False)
        scores.append(run.callback_metrics[RCAP].item())
    assert scores == pytest.approx([scores[0]] * 3, rel=1e-5)


# Broken items


class Broken(Dataset):
    """Patterns of which two are broken in some way."""

    BROKEN = (5, 17)

    def __init__(self, kind):
        self.kind = kind
        self.patterns = Patterns(18)

    def __len__(self):
        return 18

    def __getitem__(self, index):
        image, label = self.patterns[index]
        if index not in self.BROKEN:
            return image, label
        match self.kind:
            case "missing":
                return None
            case "torn":
                raise OSError("a torn file")
            case "ignored":
                return image, -1
            case "without a class":
                return image, 7
            case "not finite":
                return image / 0, label
            case "of another shape":
                return image.flatten(), label
        raise AssertionError(self.kind)


def without_none(items):
    return default_collate([item for item in items if item is not None])


REASONS = {
    "missing": "cannot be read",
    "torn": "a torn file",
    "ignored": "the target is -1, and the model has 3 classes",
    "without a class": "the target is 7, and the model has 3 classes",
    "not finite": "values that are not finite",
    "of another shape": "shape",
}


class Lenient(Classifier):
    """Validates what it can."""

    def validation_step(self, batch, batch_idx):
        """Validate nothing."""


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("options", [{}, {"max_batch_size": 1}, {"max_batch_size": 5}, {"max_kept_bytes": 100}])
@pytest.mark.parametrize("kind", REASONS)
def test_what_an_item_does_wrong_leaves_out_the_item_and_is_counted(tmp_path, kind, options, workers):
    if workers and options:
        pytest.skip("one run with workers is enough")
    watcher = monitor(log=["*"], on_error="raise", **options)
    logger = CSVLogger(tmp_path, name="", version="")
    loader = DataLoader(Broken(kind), 3, collate_fn=without_none, num_workers=workers)
    with pytest.warns(UserWarning, match=f"2 of 18 images are left out of all scores.*{REASONS[kind]}") as warnings:
        run, module = fit(
            [watcher],
            Lenient,
            data=validated_on(lambda: loader),
            logger=logger,
            limit_val_batches=1,
            max_epochs=2,
            log_every_n_steps=100,
        )
    assert len(ours(warnings)) == 1
    assert run.callback_metrics["saliency/left_out"] == 2
    rows = rows_of(tmp_path)
    assert {int(row["index"]) for row in rows} == set(range(18)) - {5, 17}
    alone = trainer([monitor(num_images=18)])
    alone.validate(module, DataLoader(Patterns(18), 6), verbose=False)
    expected = {int(row["index"]): row["target"] for row in rows}
    assert all(int(expected[index]) == Patterns(18).targets[index] for index in expected)


def test_rows_belong_to_the_images_that_the_collate_function_kept(tmp_path):
    module = Classifier()
    tables = []
    for name, loader in (
        ("broken", DataLoader(Broken("missing"), 3, collate_fn=without_none)),
        ("complete", DataLoader(Patterns(18), 3)),
    ):
        run = trainer([monitor()], logger=CSVLogger(tmp_path, name="", version=name))
        if name == "broken":
            with pytest.warns(UserWarning, match="2 of 18 images are left out"):
                run.validate(module, loader, verbose=False)
        else:
            run.validate(module, loader, verbose=False)
        rows = rows_of(tmp_path / name)
        tables.append({(row["index"], row["method"]): float(row["score"]) for row in rows})
    broken, complete = tables
    assert len(broken) == len(complete) - 2 * 3
    assert broken == pytest.approx({key: complete[key] for key in broken}, rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*images are left out")
@pytest.mark.parametrize("kind", ["missing", "ignored", "torn", "not finite"])
def test_broken_items_leave_training_bit_identical(kind):
    def made():
        return validated_on(lambda: DataLoader(Broken(kind), 3, collate_fn=without_none))

    watched = trace(*fit([monitor()], Lenient, made(), limit_val_batches=1))
    assert_identical(watched, trace(*fit([], Lenient, made(), limit_val_batches=1)))


class Fragile(Broken):
    """Nearly everything is broken."""

    BROKEN = tuple(range(1, 18))


def test_a_single_readable_image_is_explained():
    watcher = monitor()
    with pytest.warns(UserWarning, match="17 of 18 images are left out of all scores"):
        fit([watcher], Lenient, validated_on(lambda: DataLoader(Fragile("torn"), 1)), limit_val_batches=1)
    assert explained(watcher) == [0]


class Hopeless(Broken):
    BROKEN = tuple(range(18))


@pytest.mark.parametrize(
    ("kind", "message"), [("ignored", "18 of 18 images are left out"), ("not finite", "not finite")]
)
def test_data_without_any_image_that_can_be_used_skip_the_evaluation_with_the_reason(kind, message):
    with pytest.warns(UserWarning, match=f"Skipped the explanations.*{message}"):
        run, _ = fit(
            [monitor()],
            Lenient,
            validated_on(lambda: DataLoader(Hopeless(kind), 1)),
            limit_val_batches=1,
            num_sanity_val_steps=0,
        )
    assert not any(name.startswith("saliency") for name in run.callback_metrics)


def test_labels_that_no_image_has_a_class_for_are_a_wrong_set_up():
    loader = DataLoader(Hopeless("without a class"), 4)
    with pytest.raises(ValueError, match="since the model has 3 classes, but got 7"):
        fit([monitor()], Lenient, validated_on(lambda: loader))


class Labels(torch.Tensor):
    """A tensor with a class of its own."""


class Dressed(Patterns):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image.as_subclass(Labels), torch.tensor(label).as_subclass(Labels)


def dressed(items):
    images, labels = zip(*items, strict=True)
    return torch.stack(images).as_subclass(Labels), torch.stack(labels).as_subclass(Labels)


def test_tensors_of_a_subclass_are_tensors(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="")
    plain, _ = fit([monitor()], max_epochs=1)
    loader = DataLoader(Dressed(18), 8, collate_fn=dressed)
    run, _ = fit([monitor()], data=validated_on(lambda: loader), max_epochs=1, logger=logger)
    assert run.callback_metrics[RCAP] > 0
    assert plain.callback_metrics.keys() == run.callback_metrics.keys()


def test_captions_of_images_without_a_class_do_no_harm():
    received = monitor(target="predicted")
    loader = DataLoader(Broken("ignored"), 3)
    fit([received], Lenient, validated_on(lambda: loader), max_epochs=1)
    assert explained(received) == list(range(18))


class Spoiling(IterableDataset):
    """A stream in which an image has a value that is no number."""

    def __iter__(self):
        dataset = Patterns(18)
        for index in range(18):
            image, label = dataset[index]
            yield (image * torch.nan if index == 2 else image), label


def test_an_image_of_a_stream_is_left_out():
    watcher = monitor(num_images=6)
    with pytest.warns(UserWarning, match=r"1 of 6 images are left out.*Image 2"):
        fit([watcher], Lenient, validated_on(lambda: DataLoader(Spoiling(), 2)), max_epochs=1)
    assert explained(watcher) == [0, 1, 3, 4, 5]


# What the batch must be


def images_in_a_list(items):
    return [image for image, _ in items], default_collate([label for _, label in items])


def nested(items):
    return default_collate(items), torch.zeros(len(items))


def triple(items):
    images, labels = default_collate(items)
    return torch.arange(len(items)), images, labels


def of_bytes(items):
    images, labels = default_collate(items)
    return (images * 255).to(torch.uint8), labels


def of_rows(items):
    images, labels = default_collate(items)
    return images.flatten(1)[:, :32], labels


@pytest.mark.parametrize(
    ("collate", "shown"),
    [
        (images_in_a_list, "list"),
        (nested, "list"),
        (triple, r"\(Tensor \(2,\), Tensor \(2, 1, 8, 8\)"),
        (of_bytes, "uint8"),
        (of_rows, r"shape \(B, C, \*S\) with no empty dimension, but got \(2, 32\)"),
    ],
)
def test_a_batch_in_which_no_images_are_found_names_the_monitor_and_the_way_out(collate, shown):
    loader = DataLoader(Patterns(18), 6, collate_fn=collate)
    with pytest.raises((TypeError, ValueError), match=rf"(?s)SaliencyMonitor.*{shown}.*Pass `batch`.*`model`"):
        fit([monitor()], Lenient, validated_on(lambda: loader))


class Options(Classifier):
    def forward(self):
        return self.network(self.images)

    def training_step(self, batch, batch_idx):
        return functional.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        """Validate nothing."""


class WholeBatch(Options):
    def forward(self, batch):
        return self.network(batch["image"])


class TwoInputs(Options):
    def forward(self, images, sizes):
        return self.network(images)


@pytest.mark.parametrize("kind", [Options, WholeBatch, TwoInputs])
def test_a_forward_that_does_not_take_images_names_the_argument_for_it(kind):
    with pytest.raises(TypeError, match=rf"{kind.__name__} must map images.*Pass `model`"):
        fit([monitor()], kind)
    run, _ = fit([monitor(model="network")], kind)
    assert run.callback_metrics[RCAP] > 0


# Loaders as users write them


class Opened(Patterns):
    def __init__(self, size):
        super().__init__(size)
        self.file = None

    def __getitem__(self, index):
        if get_worker_info().dataset.file is None:
            raise RuntimeError("closed")
        return super().__getitem__(index)


def open_file(worker):
    get_worker_info().dataset.file = worker


def test_workers_and_items_meet_the_users_data_set():
    loader = DataLoader(Opened(18), 8, num_workers=1, worker_init_fn=open_file)
    run, _ = fit([monitor()], data=validated_on(lambda: loader), max_epochs=1)
    assert run.callback_metrics[RCAP] > 0


class Many(Dataset):
    """Reads several items at once, and only so."""

    def __init__(self, size):
        self.patterns = Patterns(size)

    def __len__(self):
        return len(self.patterns)

    def __getitems__(self, indices):
        return [self.patterns[index] for index in indices]


class Collated(Many):
    def __getitems__(self, indices):
        return default_collate(super().__getitems__(indices))


def same(batch):
    return batch


@pytest.mark.parametrize(("kind", "collate"), [(Many, None), (Collated, same)])
def test_data_sets_that_read_several_items_at_once(kind, collate):
    scores = []
    for dataset, collate_fn in ((Patterns(18), None), (kind(18), collate)):
        torch.manual_seed(5)
        run = trainer([monitor(num_images=7, max_batch_size=3)])
        run.validate(Classifier(), DataLoader(dataset, 4, collate_fn=collate_fn), verbose=False)
        scores.append(run.callback_metrics[RCAP].item())
    # Without labels at hand the choice is not balanced, and with them it is.
    assert all(0 < score < 1 for score in scores)


class Stream(IterableDataset):
    def __init__(self, level):
        self.level = level

    def __iter__(self):
        for index in range(12):
            yield torch.full((1, 8, 8), self.level) + 0.001 * index, index % 3


class TwoParts(Classifier):
    """Validates batches of two parts."""

    def validation_step(self, batch, batch_idx):
        assert set(batch) == {"bright", "dark"}


class Transferring(TwoParts):
    """Needs both parts of a batch in its transfer hook."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        if self.trainer.validating or self.trainer.sanity_checking:
            assert set(batch) == {"bright", "dark"}
        return batch


def levels(level):
    images = torch.full((12, 1, 8, 8), level) + 0.001 * torch.arange(12)[:, None, None, None]
    return torch.utils.data.TensorDataset(images, torch.arange(12) % 3)


@pytest.mark.parametrize("mode", ["min_size", "max_size", "max_size_cycle"])
@pytest.mark.parametrize("make", [TwoParts, Transferring])
@pytest.mark.parametrize("kind", [Stream, levels])
@pytest.mark.parametrize(("index", "level"), [(0, 0.75), (1, 0.25)])
def test_a_part_of_a_combined_batch_is_watched(mode, make, kind, index, level):
    received = []

    def spy(model, images, targets):
        received.append(images.clone())
        return images.mean(dim=1) + torch.linspace(0, 1, 8)

    watcher = monitor({"spy": spy}, num_images=6, dataloader_idx=index, mean=0, std=1)
    loaders = CombinedLoader({"bright": DataLoader(kind(0.75), 3), "dark": DataLoader(kind(0.25), 4)}, mode)
    run = trainer([watcher], max_epochs=1)
    run.fit(make(), Data().train_dataloader(), loaders)
    images = received[-1]
    assert images.mean().item() == pytest.approx(level, abs=0.02)
    assert len({round(image.mean().item(), 5) for image in images}) == len(images) == 6
