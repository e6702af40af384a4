"""How images were normalised is found right or not at all, and the place is told."""

from functools import partial
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, default_collate

from lightning_saliency import SaliencyMonitor, evaluate
from lightning_saliency.methods import Gradient
from tests.callbacks.test_dashboard import read, text_of
from tests.callbacks.training import Classifier, fit

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)
RAW = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
RAW[:, :, 0, 0], RAW[:, :, 0, 1] = 0, 1


class Normalize:
    """Stands for the class of this name that many libraries have."""

    def __init__(self, mean, std, **options):
        self.mean, self.std = mean, std
        vars(self).update(options)

    def __call__(self, image):
        return (image - torch.tensor(self.mean).reshape(-1, 1, 1)) / torch.tensor(self.std).reshape(-1, 1, 1)


class Compose:
    def __init__(self, *transforms):
        self.transforms = list(transforms)

    def __call__(self, image):
        for transform in self.transforms:
            image = transform(image)
        return image


class RandomApply(Compose):
    p = 0.5


class Pictures(Dataset):
    def __init__(self, transform=None, raw=RAW):
        self.transform, self.raw = transform, raw

    def __len__(self):
        return len(self.raw)

    def __getitem__(self, index):
        image = self.raw[index]
        return (image if self.transform is None else self.transform(image)), index % 3


class Colourful(Classifier):
    def __init__(self):
        layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
        super().__init__(nn.Sequential(*layers))


class Module(pl.LightningDataModule):
    """A data module of one loader, which may normalise batches on the device, as torchgeo's do."""

    def __init__(self, loader, augmentation=None, **attributes):
        super().__init__()
        self.loader, self.augmentation = loader, augmentation
        vars(self).update(attributes)

    def val_dataloader(self):
        return self.loader

    def on_after_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        return (images if self.augmentation is None else self.augmentation(images)), labels


def looked_at(data, **options):
    monitor = SaliencyMonitor([Gradient()], num_images=4, **options)
    return monitor.check(Colourful(), data)


def of_dataset(dataset, **options):
    return looked_at(DataLoader(dataset, 4), **options)


def assert_known(preflight, place, mean=MEAN, std=STD):
    assert preflight.normalization is not None, preflight.normalization_source
    assert preflight.normalization.mean == pytest.approx(mean, abs=1e-6)
    assert preflight.normalization.std == pytest.approx(std, abs=1e-6)
    assert place in preflight.normalization_source


def assert_unknown(preflight, reason):
    assert preflight.normalization is None
    assert reason in preflight.normalization_source


IN_DATA_SET = "transforms of the data set"
PLAIN = Normalize(MEAN, STD)
HALVES = (Normalize((0.2, 0.2, 0.2), (0.5, 0.5, 0.5)), Normalize((0.6, 0.4, 0.2), (0.5, 0.4, 0.2)))


class Wrapper(Dataset):
    """Adds a transform to the items of another data set."""

    def __init__(self, dataset, transform):
        self.dataset, self.transform = dataset, transform

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        image, label = self.dataset[index]
        return self.transform(image), label


class Folder(Dataset):
    """Reads from another data set, whose transform it shows as its own, as wrappers of folders do."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return self.dataset[index]

    @property
    def transform(self):
        return getattr(self.dataset, "transform", None) or self.dataset.dataset.transform


@pytest.mark.parametrize(
    "dataset",
    [
        Pictures(PLAIN),
        Pictures(Compose(torch.clone, Compose(PLAIN))),
        Subset(Pictures(Compose(PLAIN)), range(12)),
        ConcatDataset([Pictures(PLAIN), Pictures(Compose(PLAIN))]),
        Wrapper(Pictures(), Compose(PLAIN)),
        Wrapper(Pictures(HALVES[0]), HALVES[1]),
        Pictures(Compose(*HALVES)),
    ],
    ids=["plain", "nested", "subset", "concatenated", "wrapped", "inside and outside", "two in a row"],
)
def test_the_transforms_of_a_data_set_tell(dataset):
    assert_known(of_dataset(dataset), IN_DATA_SET)


def test_the_card_tells_what_was_read_and_where(tmp_path):
    monitor = SaliencyMonitor([Gradient()], ["rcap"], num_images=4)
    logger = pl.loggers.TensorBoardLogger(tmp_path, name="", version="")
    data = Module(DataLoader(Pictures(Compose(PLAIN)), 4))
    data.train_dataloader = data.val_dataloader
    run, _ = fit([monitor], Colourful, data, logger=logger, max_epochs=1, log_every_n_steps=1)
    card = text_of(read(run.logger), "saliency/card")[0]
    assert "0.5, 0.4, 0.3" in card
    assert IN_DATA_SET in card


class AlmostNormalize(Normalize):
    """Has another name."""


@pytest.mark.parametrize(
    ("transform", "raw", "reason"),
    [
        (RandomApply(PLAIN), RAW, "RandomApply normalizes some images only"),
        (Normalize(MEAN, STD, p=0.5), RAW, "some images only"),
        (Normalize(MEAN, STD, normalization="image"), RAW, "values of each image"),
        (Normalize(MEAN, STD, normalization="min_max"), RAW, "values of each image"),
        (Normalize((123.0, 117.0, 104.0), (58.0, 57.0, 57.0)), 255 * RAW, "does not lead back to pixels in [0, 1]"),
        (PLAIN, 255 * RAW, "does not lead back"),
        (PLAIN, RAW / 255, "does not lead back"),
        (AlmostNormalize(MEAN, STD), RAW, "no `Normalize` was found"),
    ],
)
def test_what_cannot_be_undone_is_unknown(transform, raw, reason):
    assert_unknown(of_dataset(Pictures(transform, raw)), reason)


def test_concatenated_data_sets_that_differ_are_unknown():
    other = Pictures(Normalize((0.1, 0.1, 0.1), (0.3, 0.3, 0.3)))
    assert_unknown(of_dataset(ConcatDataset([Pictures(PLAIN), other])), "differ")


def test_pixels_in_the_unit_range_are_raw_whatever_else_is_there():
    data = Module(DataLoader(Pictures(), 4), mean=torch.tensor(0), std=torch.tensor(255))
    assert_known(looked_at(data), "pixels", (0,), (1,))


class Reading:
    """A collate function that normalises."""

    def __init__(self, transform):
        self.steps = transform

    def __call__(self, items):
        return default_collate([(self.steps(image), label) for image, label in items])


def collate_by(transform):
    def collate(items):
        return default_collate([(transform(image), label) for image, label in items])

    return collate


def collate_with(transform, items):
    return collate_by(transform)(items)


OF_THE_MODULE = Compose(PLAIN)


def collate_by_a_global(items):
    return default_collate([(OF_THE_MODULE(image), label) for image, label in items])


@pytest.mark.parametrize(
    "collate",
    [Reading(Compose(PLAIN)), collate_by(PLAIN), partial(collate_with, PLAIN), collate_by_a_global],
    ids=["attribute", "closure", "partial", "global"],
)
def test_a_collate_function_tells(collate):
    assert_known(looked_at(DataLoader(Pictures(), 4, collate_fn=collate)), "`Normalize` in")


def apply_the_global(image):
    return OF_THE_MODULE(image)


def test_a_function_of_the_data_set_tells():
    assert_known(of_dataset(Pictures(apply_the_global)), "`Normalize` in Pictures")


class Layer(nn.Module):
    def __init__(self, mean=MEAN, std=STD):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images):
        return (images - self.mean.reshape(-1, 1, 1)) / self.std.reshape(-1, 1, 1)


Layer.__name__ = "Normalize"


@pytest.mark.parametrize("augmentation", [Layer(), nn.Sequential(nn.Identity(), nn.Sequential(Layer()))])
def test_what_a_data_module_applies_to_batches_tells(augmentation):
    assert_known(looked_at(Module(DataLoader(Pictures(), 4), augmentation)), "`Normalize` in Module")


def test_two_in_a_row_on_the_device_are_one():
    augmentation = nn.Sequential(*(Layer(half.mean, half.std) for half in HALVES))
    assert_known(looked_at(Module(DataLoader(Pictures(), 4), augmentation)), "`Normalize` in Module")


def test_mean_and_std_of_a_data_module_tell():
    data = Module(DataLoader(Pictures(), 4), AlmostNormalize(MEAN, STD), mean=torch.tensor(MEAN), std=list(STD))
    assert_known(looked_at(data), "of Module")


@pytest.mark.parametrize("unit", [255.0, 10_000.0])
def test_mean_and_std_in_other_units_are_not_taken(unit):
    scaled = Normalize([unit * value for value in MEAN], [unit * value for value in STD])
    data = Module(
        DataLoader(Pictures(raw=unit * RAW), 4),
        AlmostNormalize(scaled.mean, scaled.std),
        mean=torch.tensor(scaled.mean),
        std=torch.tensor(scaled.std),
    )
    assert_unknown(looked_at(data), "by `mean` and `std` of Module pixels do not come back to [0, 1]")


def processor(**options):
    return SimpleNamespace(**{"image_mean": list(MEAN), "image_std": list(STD), "do_normalize": True, **options})


class Processed(Pictures):
    def __init__(self, holder, transform):
        super().__init__(transform)
        self.holder = holder


@pytest.mark.parametrize("holder", [processor(), SimpleNamespace(image_processor=processor(), tokenizer="text")])
def test_an_image_processor_tells(holder):
    assert_known(of_dataset(Processed(holder, AlmostNormalize(MEAN, STD))), "SimpleNamespace in Processed")


def test_an_image_processor_that_does_not_normalise_tells_nothing():
    dataset = Processed(processor(do_normalize=False), AlmostNormalize(MEAN, STD))
    assert_unknown(of_dataset(dataset), "no `Normalize` was found")


def test_places_that_contradict_each_other_are_unknown():
    other = processor(image_mean=[0.45, 0.4, 0.3])
    dataset = Processed([processor(), other], AlmostNormalize(MEAN, STD))
    assert_unknown(of_dataset(dataset), "2 different normalizations")


@pytest.mark.parametrize(
    ("mean", "std"),
    [((127.0, 102.0, 76.0), (64.0, 51.0, 25.0)), (0, 1), ((0.5, 0.4, 0.3), (2.0, 2.0, 2.0))],
    ids=["0 to 255", "none", "too wide"],
)
def test_values_of_the_users_that_do_not_lead_back_to_raw_pixels_are_refused(mean, std):
    with pytest.raises(ValueError, match=r"`mean` and `std` must lead back to raw pixels in \[0, 1\], but got pixels"):
        of_dataset(Pictures(PLAIN), mean=mean, std=std)
    with pytest.raises(ValueError, match="must lead back to raw pixels"):
        evaluate(Colourful(), DataLoader(Pictures(PLAIN), 4), methods=["gradient"], mean=mean, std=std)


def test_values_of_the_users_are_taken_before_all_others():
    preflight = of_dataset(Pictures(PLAIN), mean=0.5, std=(0.2, 0.2, 0.1))
    assert_known(preflight, "arguments", (0.5,), (0.2, 0.2, 0.1))


def test_a_metric_that_needs_raw_colours_says_why_they_are_unknown():
    dataset = Pictures(Normalize(MEAN, STD, normalization="image"))
    monitor = SaliencyMonitor([Gradient()], ["rcap"], num_images=4)
    with pytest.raises(ValueError, match=r"normalization='image' uses values of each image: pass `mean` and `std`"):
        monitor.check(Colourful(), DataLoader(dataset, 4))


# The classes themselves, where they are installed.


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_torchvision(version):
    transforms = pytest.importorskip("torchvision.transforms" + (".v2" if version == "v2" else ""))
    transform = transforms.Compose([transforms.RandomHorizontalFlip(0.0), transforms.Normalize(list(MEAN), list(STD))])
    assert_known(of_dataset(Pictures(transform)), IN_DATA_SET)
    nested = nn.Sequential(transforms.Resize(8, antialias=True), nn.Sequential(transforms.Normalize(MEAN, STD)))
    assert_known(of_dataset(Pictures(nested)), IN_DATA_SET)
    some = transforms.RandomApply([transforms.Normalize(MEAN, STD)], p=0.5)
    assert_unknown(of_dataset(Pictures(transforms.Compose([some]))), "RandomApply")


def test_transforms_that_come_with_weights_of_torchvision():
    presets = pytest.importorskip("torchvision.transforms._presets")
    preset = presets.ImageClassification(crop_size=8, resize_size=8, mean=MEAN, std=STD)
    assert_known(of_dataset(Pictures(preset)), IN_DATA_SET)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_kornia():
    augmentation = pytest.importorskip("kornia.augmentation")
    enhance = pytest.importorskip("kornia.enhance")
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    for layer in (
        augmentation.Normalize(mean=mean, std=std),
        enhance.Normalize(mean=mean, std=std),
        augmentation.AugmentationSequential(augmentation.Normalize(mean=mean, std=std), data_keys=["input"]),
        nn.Sequential(augmentation.RandomHorizontalFlip(p=0.0), enhance.Normalize(mean=mean, std=std)),
    ):
        assert_known(looked_at(Module(DataLoader(Pictures(), 4), layer)), "`Normalize` in Module")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("options", "values", "is_known"),
    [
        ({}, "bytes", True),
        ({"max_pixel_value": 1.0}, "floats", True),
        ({"max_pixel_value": 1.0}, "bytes", False),
        ({}, "floats", False),
        ({"normalization": "image"}, "bytes", False),
        ({"normalization": "min_max_per_channel"}, "bytes", False),
    ],
)
def test_albumentations(options, values, is_known):
    albumentations = pytest.importorskip("albumentations")
    compose = albumentations.Compose([albumentations.NoOp(), albumentations.Normalize(MEAN, STD, **options)])

    class Images(Pictures):
        def __getitem__(self, index):
            image = self.raw[index].permute(1, 2, 0)
            array = ((255 * image).to(torch.uint8) if values == "bytes" else image).numpy()
            return torch.from_numpy(self.transform(image=array)["image"]).float().permute(2, 0, 1), index % 3

    preflight = of_dataset(Images(compose))
    if is_known:
        assert_known(preflight, IN_DATA_SET)
    else:
        assert preflight.normalization is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_an_image_processor_of_transformers():
    transformers = pytest.importorskip("transformers")
    vit = transformers.ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=list(MEAN), image_std=list(STD))

    def collate(items):
        images = [(255 * image).to(torch.uint8) for image, _ in items]
        pixels = vit(images, return_tensors="pt")["pixel_values"]
        return {"pixel_values": pixels, "labels": torch.tensor([label for _, label in items])}

    assert_known(looked_at(DataLoader(Pictures(), 4, collate_fn=collate)), "ViTImageProcessor")


@pytest.mark.parametrize(
    "wrap", [Folder, lambda inner: Folder(Subset(inner, range(8))), lambda inner: Folder(Folder(inner))]
)
def test_a_transform_that_a_wrapper_shows_is_applied_once(wrap):
    assert_known(of_dataset(wrap(Pictures(Compose(PLAIN)))), IN_DATA_SET)


def test_a_wrapper_that_passes_attributes_on_applies_nothing_itself():
    class Delegating(Wrapper):
        def __init__(self, dataset):
            self.dataset = dataset

        def __getitem__(self, index):
            return self.dataset[index]

        def __getattr__(self, name):
            return getattr(self.dataset, name)

    assert_known(of_dataset(Delegating(Pictures(PLAIN))), IN_DATA_SET)


def test_two_equal_transforms_are_applied_twice():
    halves = [Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)) for _ in range(2)]
    assert_known(of_dataset(Wrapper(Pictures(halves[0]), halves[1])), IN_DATA_SET, (0.75,) * 3, (0.25,) * 3)
