"""RCAP: the official code's numbers, closed forms, and the definition written out naively."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from lightning_saliency import normalize
from lightning_saliency.metrics import RCAP
from tests.models import pictures, small_cnn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RAMP = torch.arange(10.0).reshape(1, 2, 5)
RAW = torch.linspace(0.1, 1, 30).reshape(1, 3, 2, 5)
ONE = torch.tensor([1])


def channels(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).reshape(1, -1, 1, 1)


def normalised(images: Tensor) -> Tensor:
    return (images - channels(MEAN)) / channels(STD)


def constant(probability: float) -> Callable[[Tensor], Tensor]:
    """Give class 0 the same probability whatever is shown."""
    odds = math.log(probability / (1 - probability))
    return lambda images: torch.tensor([[odds, 0.0]]).expand(len(images), 2)


def brightness(images: Tensor) -> Tensor:
    """Logits (0, sum of the raw pixels) of a model that is fed normalised ones."""
    raw = (images * channels(STD) + channels(MEAN)).flatten(1).sum(dim=1)
    return torch.stack([torch.zeros_like(raw), raw], dim=1)


def by_definition(model: Callable[[Tensor], Tensor], image: Tensor, saliency: Tensor, target: int) -> float:
    """Write the definition out for one raw image (C, H, W), pixel by pixel."""
    values = (saliency - saliency.min()) / (saliency.max() - saliency.min())
    ascending, stages = sorted(values.flatten().tolist()), []
    for quantile in (0.9, 0.8, 0.7, 0.6, 0.5):
        threshold = ascending[int(len(ascending) * quantile) - 1]
        threshold = 0 if threshold == 1 else threshold
        shown, kept = torch.zeros_like(image), 0.0
        for row in range(values.shape[0]):
            for column in range(values.shape[1]):
                if values[row, column] > threshold:
                    shown[:, row, column] = image[:, row, column]
                    kept += values[row, column].item()
        stages.append(kept / sum(ascending) * model(shown[None]).softmax(dim=1)[0, target].item())
    return sum(stages) / len(stages)


def test_the_official_numbers_of_a_constant_model() -> None:
    metric = RCAP()
    metric.update(constant(0.75), torch.zeros(1, 1, 2, 5), RAMP, torch.tensor([0]))
    assert metric.compute().item() == pytest.approx(0.3833333, abs=1e-6)
    quantiles, curve = metric.curve()
    assert quantiles.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5]
    recovered = torch.tensor([0.2, 0.377778, 0.533333, 0.666667, 0.777778], dtype=torch.float64)
    torch.testing.assert_close(curve / 0.75, recovered, rtol=0, atol=1e-6)


def test_the_official_numbers_of_a_model_of_brightness() -> None:
    metric = RCAP(mean=MEAN, std=STD)
    metric.update(brightness, normalised(RAW), RAMP, ONE)
    assert metric.compute().item() == pytest.approx(0.50496924, abs=1e-6)
    ramp = torch.arange(10) / 9
    recovered = torch.tensor([ramp[10 - count :].sum() / ramp.sum() for count in range(1, 6)])
    location = torch.tensor([0.88785, 0.98278874, 0.99734217, 0.99955505, 0.99991846])
    torch.testing.assert_close(metric.curve()[1].float() / recovered, location, rtol=0, atol=1e-5)


def test_black_is_black_in_raw_space_and_not_zero_in_the_models() -> None:
    official = RCAP(mean=MEAN, std=STD).scores(brightness, normalised(RAW), RAMP, ONE)

    def shifted(images: Tensor) -> Tensor:
        return brightness(normalised(images))

    torch.testing.assert_close(RCAP().scores(shifted, RAW, RAMP, ONE), official)
    at_zero = RCAP(mean=0.0, std=1.0).scores(brightness, normalised(RAW), RAMP, ONE)
    assert abs(at_zero - official).item() > 1e-3


def test_of_a_long_ramp_a_share_of_one_minus_the_quantile_squared_is_recovered() -> None:
    metric = RCAP()
    ramp = torch.arange(10_000.0).reshape(1, 100, 100)
    metric.update(constant(0.5), torch.zeros(1, 1, 100, 100), ramp, torch.tensor([0]))
    expected = torch.tensor([0.19, 0.36, 0.51, 0.64, 0.75], dtype=torch.float64)
    torch.testing.assert_close(metric.curve()[1] / 0.5, expected, rtol=0, atol=2e-4)
    assert metric.compute().item() / 0.5 == pytest.approx(0.49, abs=2e-4)


def test_all_saliency_in_the_top_tenth_leaves_the_mean_probability() -> None:
    spike = torch.zeros(1, 2, 5)
    spike[0, 1, 4] = 2.0
    model = small_cnn().eval()
    image = torch.rand(1, 3, 2, 5)
    shown = torch.where(spike[:, None] > 0, image, 0.0)
    torch.testing.assert_close(RCAP().scores(model, image, spike, ONE), model(shown).softmax(dim=1)[:, 1].detach())


def test_it_is_at_most_the_greatest_probability_of_its_stages() -> None:
    images, targets = pictures(8)
    metric = RCAP()
    maps = torch.rand(8, 8, 8)
    scores = RCAP().scores(small_cnn(), images, maps, targets)
    metric.update(small_cnn(), images, maps, targets)
    assert (scores <= 1).all()
    assert metric.compute() <= metric.curve()[1].max()


def test_so_many_pixels_are_revealed() -> None:
    revealed = []

    def count(images: Tensor) -> Tensor:
        revealed.append(images.sum(dim=(1, 2, 3)))
        return torch.zeros(len(images), 2)

    ramp = torch.arange(224.0 * 224).reshape(1, 224, 224)
    RCAP().scores(count, torch.ones(1, 1, 224, 224), ramp, torch.tensor([0]))
    assert torch.cat(revealed).tolist() == [5018, 10036, 15053, 20071, 25088]


def test_recovery_is_nested() -> None:
    shown = []

    def keep(images: Tensor) -> Tensor:
        shown.append(images[:, 0] > 0)
        return torch.zeros(len(images), 2)

    RCAP().scores(keep, torch.ones(1, 1, 8, 8), torch.rand(1, 8, 8), torch.tensor([0]))
    stages = torch.cat(shown)[1:]
    assert all((later | ~earlier).all() for earlier, later in itertools.pairwise(stages))


def test_the_scale_and_the_offset_of_a_map_do_not_matter() -> None:
    model, (images, targets), maps = small_cnn(), pictures(4), torch.rand(4, 8, 8)
    torch.testing.assert_close(
        RCAP().scores(model, images, maps * 40 - 7, targets), RCAP().scores(model, images, maps, targets)
    )


@pytest.mark.parametrize("levels", [2, 3, 10, 1000])
def test_it_is_the_definition_written_out(levels: int) -> None:
    model, (images, targets) = small_cnn().eval(), pictures(4, size=7)
    maps = (torch.rand(4, 7, 7) * levels).floor() - 2
    expected = [by_definition(model, *one) for one in zip(images, maps, targets.tolist(), strict=True)]
    torch.testing.assert_close(RCAP().scores(model, images, maps, targets), torch.tensor(expected))


def test_swapping_high_and_low_saliency_of_a_good_map_lowers_it() -> None:
    """The model sees the left half only; a map that points there is good."""

    def left_half(images: Tensor) -> Tensor:
        received = images[:, :, :, :4].flatten(1).sum(dim=1)
        return torch.stack([torch.full_like(received, 5.0), received], dim=1)

    good = torch.rand(1, 8, 8)
    good[:, :, :4] += 1
    image = torch.ones(1, 1, 8, 8)
    assert RCAP().scores(left_half, image, good, ONE) > 3 * RCAP().scores(left_half, image, 2 - good, ONE)


def test_a_constant_map_scores_zero() -> None:
    assert RCAP().scores(constant(0.9), torch.zeros(1, 1, 4, 4), torch.full((1, 4, 4), 0.3), torch.tensor([0])) == 0


def test_a_saturated_map_reveals_everything_salient_at_once() -> None:
    maps = torch.zeros(1, 4, 4)
    maps[:, :2] = 1.0
    maps[:, 2] = 0.5
    assert normalize(maps).eq(1).float().mean() > 0.1
    metric = RCAP()
    metric.update(constant(0.5), torch.ones(1, 1, 4, 4), maps, torch.tensor([0]))
    assert metric.curve()[1][0] == 0.5, "everything above 0 already at the first stage"


def test_multi_label_models_are_read_by_the_sigmoid() -> None:
    model, (images, targets), maps = constant(0.75), pictures(3), torch.rand(3, 8, 8)
    targets = targets * 0
    assert torch.equal(
        RCAP().scores(model, images, maps, targets), RCAP(activation="sigmoid").scores(model, images, maps, targets)
    )
    shifted = RCAP(activation="sigmoid").scores(lambda batch: model(batch) + 1, images, maps, targets)
    assert (shifted > RCAP().scores(model, images, maps, targets)).all()


@pytest.mark.parametrize(
    ("lower_bound", "interval", "expected"),
    [
        (0.5, 0.1, (0.9, 0.8, 0.7, 0.6, 0.5)),
        (0.7, 0.3, (0.7,)),
        (0.7, 0.05, (0.95, 0.9, 0.85, 0.8, 0.75, 0.7)),
        (0.4, 0.1, (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)),
        (0.9, 0.1, (0.9,)),
        (0.0, 0.25, (0.75, 0.5, 0.25, 0.0)),
        (0.0, 1, (0.0,)),
        (0.2, 0.2, (0.8, 0.6, 0.4, 0.2)),
    ],
)
def test_quantiles_end_below_one(lower_bound: float, interval: float, expected: tuple[float, ...]) -> None:
    assert RCAP(lower_bound, interval).points == expected


def test_two_in_a_collection_keep_their_own_sums_though_their_first_scores_agree() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    collection = MetricCollection({"wide": RCAP(), "narrow": RCAP(lower_bound=0.8)})
    for maps in (torch.zeros(3, 8, 8), torch.rand(3, 8, 8)):
        collection.update(model, images, maps, targets)
    values = collection.compute()
    assert values["wide"] == pytest.approx(RCAP().scores(model, images, maps, targets).mean().item() / 2)
    narrow = RCAP(lower_bound=0.8).scores(model, images, maps, targets)
    assert values["narrow"] == pytest.approx(narrow.mean().item() / 2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lower_bound": 50}, ValueError, r"`lower_bound` to lie in \[0, 1\), but got 50: did you mean 0\.5\?"),
        ({"lower_bound": "low"}, TypeError, "`lower_bound` to be a number, but got 'low'"),
        ({"interval": 0}, ValueError, r"`interval` must lie in \[0.001, 1\], but got 0"),
        ({"interval": 10}, ValueError, r"`interval` must lie in \[0.001, 1\], but got 10"),
        ({"mean": 0.5}, ValueError, r"both `mean` and `std` or neither, but got mean=0\.5 and std=None"),
        ({"mean": 0.5, "std": 0}, ValueError, "`std` to be positive, but got 0"),
        ({"mean": MEAN, "std": (0.1, -0.1, 0.2)}, ValueError, "`std` to be positive, but got"),
        ({"mean": math.nan, "std": 1.0}, ValueError, "`mean` to be finite, but got nan"),
        ({"mean": 0.0, "std": math.inf}, ValueError, "`std` to be finite, but got inf"),
        ({"activation": "relu"}, ValueError, "`activation` to be one of 'softmax', 'sigmoid', but got 'relu'"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RCAP(**options)


def test_mean_and_std_of_the_wrong_number_of_channels_are_refused() -> None:
    images, targets = pictures(2)
    with pytest.raises(ValueError, match="`mean` to have one value, or one for each of 3 channels, but got 2"):
        RCAP(mean=(0.5, 0.5), std=0.2).scores(small_cnn(), images, torch.rand(2, 8, 8), targets)
