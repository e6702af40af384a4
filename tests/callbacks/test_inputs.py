"""Further arguments of a network, channels that are not colours, volumes."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import SaliencyMonitor, evaluate
from lightning_saliency.methods import AblationCAM, GradCAM, Gradient, GuidedAbsoluteGrad, IntegratedGradients, ScoreCAM
from lightning_saliency.metrics import RCAP, Deletion, MaxSensitivity
from tests.callbacks.training import Classifier, Data, assert_identical, fit, trace

torch.manual_seed(0)
IMAGES, LABELS = torch.rand(6, 3, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])
RAMP = torch.linspace(0, 1, 8)
AGES, NOISE = torch.rand(6, 1), torch.rand(6, 2, 3)
METHODS = [GuidedAbsoluteGrad(num_samples=3), IntegratedGradients(4), GradCAM(), ScoreCAM(), AblationCAM("features.2")]
METRICS = [RCAP(), Deletion(3), MaxSensitivity(num_samples=2)]


class WithAge(nn.Module):
    """Logits of an image, of an age, and of more."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Softplus(), nn.Conv2d(6, 6, 3, padding=1))
        self.head = nn.Linear(6 + 1 + 6, 3)

    def forward(self, images, ages, noise):
        rows = (self.features(images).mean(dim=(2, 3)), 5 * ages, noise.flatten(1))
        return self.head(torch.cat(rows, dim=1)) * (1 + ages)


def alone(network, row):
    """Write out what maps and scores of one image are, with its own arguments."""
    ages, noise = AGES[row : row + 1], NOISE[row : row + 1]

    class Bound(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.features = network, network.features

        def forward(self, images):
            return self.inner(images, ages.expand(len(images), -1), noise.expand(len(images), -1, -1))

    data = (IMAGES[row : row + 1], LABELS[row : row + 1])
    return evaluate(Bound(), data, methods=METHODS, metrics=METRICS, cues=())


@pytest.mark.filterwarnings("ignore:.* are constant")
@pytest.mark.parametrize("batch", [(0, 1, None, 2, 3), lambda batch: (batch[0], batch[1], None, *batch[2:])])
@pytest.mark.parametrize("max_batch_size", [2, 64])
def test_row_i_of_a_further_argument_belongs_to_image_i(batch, max_batch_size):
    network = WithAge().eval()
    loader = DataLoader(TensorDataset(IMAGES, LABELS, AGES, NOISE), 4)
    options = {"methods": METHODS, "metrics": METRICS, "max_batch_size": max_batch_size, "cues": ()}
    evaluation = evaluate(network, loader, batch=batch, **options)
    assert sorted(evaluation.indices.tolist()) == list(range(6))
    for place, row in enumerate(evaluation.indices.tolist()):
        expected = alone(network, row)
        for method, maps in expected.maps.items():
            torch.testing.assert_close(evaluation.maps[method][row], maps[0], atol=1e-5, rtol=1e-5)
        for key, scores in expected.scores.items():
            torch.testing.assert_close(evaluation.scores[key][place], scores[0], atol=1e-5, rtol=1e-5)


class Tabular(Classifier):
    """Trains on an image and an age."""

    def __init__(self):
        super().__init__(WithAge())

    def forward(self, images, ages, noise):
        return self.network(images, ages, noise)

    def training_step(self, batch, batch_idx):
        images, labels, ages, noise = batch
        loss = functional.cross_entropy(self(images, ages, noise), labels)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self(batch[0], *batch[2:]).mean())


def tabular():
    data = Data()
    data.train_dataloader = data.val_dataloader = lambda: DataLoader(TensorDataset(IMAGES, LABELS, AGES, NOISE), 3)
    return data


def test_training_with_further_arguments_is_bit_identical():
    monitor = SaliencyMonitor(["gradient", "eigen_cam"], num_images=5, batch=(0, 1, None, 2, 3), cues=())
    run, module = fit([monitor], Tabular, tabular())
    assert 0 < run.callback_metrics["saliency/gradient/rcap"] < 1
    assert_identical(trace(run, module), trace(*fit(make=Tabular, data=tabular())))


def test_one_of_several_images_is_chosen():
    class Pair(nn.Module):
        def forward(self, left, right):
            left_value, right_value = (RAMP * left).sum(dim=(1, 2, 3)), 3 * (RAMP * right).sum(dim=(1, 2, 3))
            return torch.stack([left_value, right_value, left[:, 0, 0, 0]], dim=1)

    loader = DataLoader(TensorDataset(IMAGES, IMAGES.flip(3), torch.ones(6, dtype=torch.int64)), 4)
    options = {"methods": ["gradient"], "metrics": [RCAP()], "cues": ()}
    left = evaluate(Pair(), loader, batch=(0, 2, None, 1), target=0, **options)
    torch.testing.assert_close(left.maps["gradient"][2], RAMP.expand(8, 8), atol=1e-3, rtol=1e-3)
    right = evaluate(
        Pair(), loader, batch=(1, 2, None, 0), model=lambda pair, right, left: pair(left, right), target=1, **options
    )
    torch.testing.assert_close(right.maps["gradient"][2], 3 * RAMP.expand(8, 8), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (lambda batch: (*batch[:2], None, "blue"), TypeError, "further arguments .* as tensors, but got str"),
        (
            lambda batch: (*batch[:2], None, torch.ones(5)),
            ValueError,
            r"row for each of 4 images, but got shape \(5,\)",
        ),
    ],
)
def test_further_arguments_without_a_row_an_image_are_refused(batch, error, message):
    loader = DataLoader(TensorDataset(IMAGES[:4], LABELS[:4]), 4)
    with pytest.raises((error, RuntimeError), match=message):
        evaluate(WithAge(), loader, methods=["gradient"], batch=batch)


def thirteen_bands(**options):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(13, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    images = torch.zeros(3, 13, 8, 8)
    images[:, 3] = torch.linspace(0, 1, 8)
    images[:, 7] = 1
    evaluation = evaluate(
        network, (images, LABELS[:3]), methods=["gradient"], metrics=["rcap"], num_panels=1, **options
    )
    name = next(name for name in evaluation.pictures() if "image" in name)
    # The input is the first tile, below its label.
    return evaluation.pictures()[name][:, 60, :160].float() / 255


def test_pictures_show_the_channels_or_the_picture_of_a_function():
    red, green, blue = thirteen_bands(display=(3, 0, 7))
    assert red[0] == 0
    assert red[-1] == 1
    assert not green.any()
    assert blue.min() == 1
    expected = thirteen_bands(display=lambda image: image[[3, 0, 7]])
    torch.testing.assert_close(torch.stack([red, green, blue]), expected)
    grey = thirteen_bands(display=[3])
    assert torch.equal(grey, red.expand(3, -1))
    mean = thirteen_bands()
    assert torch.equal(mean[0], mean[1])


@pytest.mark.parametrize(
    ("display", "error", "message"),
    [
        ("red", TypeError, "`display`.*'red'"),
        ((1, 2), ValueError, r"`display`.*\(1, 2\)"),
        ((0, 1, 13), ValueError, "channels below 13"),
        (lambda image: image, ValueError, r"`display` must return shape \(3, 8, 8\).*\(13, 8, 8\)"),
        (lambda image: None, TypeError, "`display` must return a tensor, but got NoneType"),
    ],
)
def test_what_cannot_be_shown_is_refused(display, error, message):
    with pytest.raises(error, match=message):
        thirteen_bands(display=display)


class Slices(nn.Module):
    """Logits that depend on three slices of a volume: the fifth most."""

    def forward(self, images):
        weights = torch.zeros(16)
        weights[[2, 5, 9]] = torch.tensor([1.0, 6.0, 3.0])
        value = ((images * torch.linspace(0, 1, 12)).mean(dim=(1, 3, 4)) * weights).sum(dim=1)
        return torch.stack([value, -value], dim=1)


def test_a_volume_is_drawn_by_the_three_slices_with_most_relevance():
    # Each slice is as bright as its number says.
    volumes = (torch.arange(16.0) / 15).reshape(1, 1, 16, 1, 1).expand(2, 1, 16, 12, 12)
    options = {"methods": ["gradient"], "metrics": ["rcap"], "num_panels": 1}
    labels = torch.tensor([0, 1])
    volume, picture = (
        next(
            strip
            for name, strip in evaluate(network, (images, labels), **options).pictures().items()
            if "image" in name
        )
        for network, images in ((Slices(), volumes), (Slice(), volumes[:, :, 0]))
    )
    assert volume.shape[1] > 2.5 * picture.shape[1]
    column = volume[0, :, 80].float() / 255 * 15
    shown = [value for value, rows in zip(*column.unique_consecutive(return_counts=True), strict=True) if rows > 100]
    assert [round(value.item()) for value in shown] == [2, 5, 9]


class Slice(nn.Module):
    """Logits that depend on a picture."""

    def forward(self, images):
        value = (images * torch.linspace(0, 1, 12)).mean(dim=(1, 2, 3))
        return torch.stack([value, -value], dim=1)


def test_gradients_of_a_volume_are_those_of_its_slices():
    volumes = torch.rand(2, 1, 16, 12, 12)
    maps = Gradient()(Slices(), volumes, torch.tensor([0, 1]))
    assert maps.flatten(2).sum(dim=2).ne(0).sum(dim=1).tolist() == [3, 3]
