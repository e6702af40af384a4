"""RCAP against the worked numbers of its paper and its official procedure, one image at a time."""

import itertools

import pytest
import torch

from lightning_saliency.metrics import RCAP, Paint, Recovered
from lightning_saliency.passes.predictions import Predictor
from lightning_saliency.passes.trials import Trial
from lightning_saliency.targets import ClassLogit
from tests.metrics.samples import FIRST, batch, certain, curved, maps_of, naive_minmax, naive_probability, summing

RAMP = torch.arange(10.0).reshape(1, 2, 5)
MEAN, STD = (0.5, 0.4), (0.25, 0.2)


def naive_rcap(model, image, map_, target, quantiles):
    """The official procedure for one image."""
    saliency = naive_minmax(map_)
    ascending = sorted(saliency)
    total = sum(saliency)
    stages = []
    for quantile in quantiles:
        threshold = ascending[max(int(len(saliency) * quantile) - 1, 0)]
        threshold = 0 if threshold == 1 else threshold
        shown = [value > threshold for value in saliency]
        mask = torch.tensor(shown).reshape(map_.shape)
        share = sum(value for value, visible in zip(saliency, shown, strict=True) if visible) / (total or 1)
        stages.append(share * naive_probability(model, image * mask, target))
    return sum(stages) / len(stages)


def trial_of(maps):
    images = torch.zeros(len(maps), 1, *maps.shape[1:])
    target = ClassLogit(torch.zeros(len(maps), dtype=torch.int64))
    return Trial("maps", maps, Predictor(certain(0.5), images, target, 8))


def test_certain_model_scores_its_probability_times_the_mean_share():
    score = RCAP().scores(certain(0.75), torch.zeros(1, 1, 2, 5), RAMP, FIRST)
    torch.testing.assert_close(score, torch.tensor([0.3833333]))


def test_ramp_recovers_the_complement_of_the_squared_quantile():
    ramp = torch.linspace(0, 1, 100_000, dtype=torch.float64).reshape(1, 250, 400)
    score = RCAP().scores(certain(1 - 1e-15), torch.zeros(1, 1, 250, 400).double(), ramp, FIRST)
    assert score.item() == pytest.approx(0.49, abs=1e-4)


def test_all_mass_in_the_top_tenth_scores_the_mean_probability():
    images = torch.rand(1, 1, 2, 10).double()
    peak = torch.zeros(1, 2, 10).double()
    peak[0, 1, 3] = 2.0
    expected = naive_probability(summing, images[0] * (peak[0] > 0), 1)
    assert RCAP().scores(summing, images, peak, FIRST + 1).item() == pytest.approx(expected)


def test_score_never_exceeds_the_best_probability():
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=False)
    masks = [Recovered(quantile, Paint("black")).visible(trial_of(maps)) for quantile in RCAP().points]
    best = [
        max(naive_probability(model, images[index] * mask[index], target) for mask in masks)
        for index, target in enumerate(targets.tolist())
    ]
    assert bool((RCAP().scores(model, images, maps, targets) <= torch.tensor(best)).all())


def test_counts_of_revealed_pixels_are_the_papers():
    maps = torch.randperm(224 * 224).reshape(1, 224, 224).double()
    counts = [int(Recovered(quantile, Paint("black")).visible(trial_of(maps)).sum()) for quantile in RCAP().points]
    assert counts == [5018, 10036, 15053, 20071, 25088]


def test_golden_of_the_official_code_needs_black_in_raw_space():
    raw = torch.linspace(0.1, 1, 30, dtype=torch.float64).reshape(1, 3, 2, 5)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    normalized = (raw - raw.new_tensor(mean).reshape(1, 3, 1, 1)) / raw.new_tensor(std).reshape(1, 3, 1, 1)

    def model(images):
        return summing(
            images * images.new_tensor(std).reshape(1, 3, 1, 1) + images.new_tensor(mean).reshape(1, 3, 1, 1)
        )

    metric = RCAP(mean=mean, std=std)
    metric.update(model, normalized, RAMP.double(), FIRST + 1)
    assert metric.compute().item() == pytest.approx(0.50496924, abs=1e-7)
    other = RCAP(canvas="mean", mean=mean, std=std).scores(model, normalized, RAMP.double(), FIRST + 1)
    assert abs(other.item() - 0.50496924) > 1e-3


def test_stages_are_nested():
    maps = maps_of(torch.zeros(5, 1, 6, 7), ties=False)
    masks = [Recovered(quantile, Paint("black")).visible(trial_of(maps)) for quantile in RCAP().points]
    assert all(bool((small <= large).all()) for small, large in itertools.pairwise(masks))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("lower_bound", "interval"), [(0.5, 0.1), (0.7, 0.05), (0.0, 0.25)])
def test_agrees_with_the_official_procedure(ties, lower_bound, interval):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=ties)
    scores = RCAP(lower_bound=lower_bound, interval=interval).scores(model, images, maps, targets, max_batch_size=3)
    quantiles = RCAP(lower_bound, interval).points
    naive = [
        naive_rcap(model, image, map_, target, quantiles)
        for image, map_, target in zip(images, maps, targets.tolist(), strict=True)
    ]
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-6, rtol=0)


def test_saturated_map_shows_every_salient_pixel():
    saturated = torch.tensor([[[0.0, 0.2, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]])
    metric = RCAP(0.9)
    metric.update(certain(0.5), torch.zeros(1, 1, 2, 4), saturated, FIRST)
    assert metric.compute().item() == pytest.approx(0.5)


def test_sigmoid_reads_the_targets_logit_alone():
    score = RCAP(activation="sigmoid").scores(
        lambda images: torch.zeros(len(images), 5), torch.zeros(1, 1, 2, 5), RAMP, FIRST
    )
    torch.testing.assert_close(score, torch.tensor([0.5 * 0.5111111]))


@pytest.mark.parametrize("canvas", ["white", "mean", "blur"])
def test_other_canvases_have_names_and_scores_of_their_own(canvas):
    images, targets = batch()
    maps = maps_of(images, ties=False)
    assert RCAP(canvas=canvas).name == f"rcap_{canvas}"
    black = RCAP().scores(curved(), images, maps, targets)
    other = RCAP(canvas=canvas).scores(curved(), images, maps, targets)
    assert (black - other).abs().min() > 1e-6


def test_only_black_and_white_need_to_know_the_colours():
    assert {canvas: RCAP(canvas=canvas).lacks_normalization for canvas in ("black", "white", "mean", "blur")} == {
        "black": True,
        "white": True,
        "mean": False,
        "blur": False,
    }


@pytest.mark.parametrize("canvas", ["black", "white", "mean"])
def test_normalising_images_and_model_together_changes_nothing(canvas):
    images, targets = batch()
    mean, std = (images.new_tensor(values).reshape(1, 2, 1, 1) for values in (MEAN, STD))
    model, maps = curved(), maps_of(images, ties=False)
    if canvas == "mean":
        raw = RCAP(canvas="mean", mean=(0.0,), std=(1.0,)).scores(model, images - mean, maps, targets)
        scores = RCAP(canvas="mean", mean=MEAN, std=STD).scores(
            lambda i: model(i * std), (images - mean) / std, maps, targets
        )
    else:
        raw = RCAP(canvas=canvas).scores(model, images, maps, targets)
        scores = RCAP(canvas=canvas, mean=MEAN, std=STD).scores(
            lambda i: model(i * std + mean), (images - mean) / std, maps, targets
        )
    torch.testing.assert_close(scores, raw)


def test_unknown_normalisation_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"Expected images in \[0, 1\], but got values from 0 to 9: pass the `mean`"):
        RCAP().scores(summing, RAMP[:, None], RAMP, FIRST)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lower_bound": 50}, r"did you mean 0.5\?"),
        ({"interval": 0.0}, r"`interval` must lie in \[0.001, 1\], but got 0.0"),
        ({"canvas": "grey"}, r"Expected `canvas` to be one of 'black', 'white', 'mean', 'blur', but got 'grey'"),
        ({"activation": "relu"}, r"Expected `activation` to be one of 'softmax', 'sigmoid', but got 'relu'"),
        ({"mean": 0.5}, r"Expected both `mean` and `std` or neither, but got mean=0.5 and std=None"),
        ({"mean": 0.5, "std": 0.0}, r"Expected `std` to be positive, but got 0.0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RCAP(**arguments)
