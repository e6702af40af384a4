"""Allegiance: the official code's numbers, closed forms, and the definition written out naively."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import Allegiance
from tests.models import linear_model, pictures, small_cnn

FRACTIONS = Allegiance().points

ZERO = torch.tensor([0])


def deleted_counts(maps: Tensor, canvas: str = "black") -> list[int]:
    """Count the pixels deleted at each fraction."""
    counts: list[Tensor] = []
    intact = torch.full((1, 1, *maps.shape[1:]), 0.5)

    def count(images: Tensor) -> Tensor:
        counts.append((images != 0.5).sum(dim=(1, 2, 3)))
        return torch.zeros(len(images), 2)

    Allegiance(canvas=canvas).scores(count, intact, maps, ZERO)
    distinct = torch.cat(counts).tolist()
    # What deletes nothing before the first pixel goes is predicted once, as the intact image.
    ranks = [round(fraction * maps[0].numel()) for fraction in FRACTIONS]
    order = list(dict.fromkeys(ranks))
    result = dict(zip(order, distinct, strict=True)) if order[0] == 0 else {}
    return [result[rank] for rank in ranks]


def faithful_until(fraction: float) -> Callable[[Tensor], Tensor]:
    """Stand by class 0 while less than this fraction of an image of ones is black."""

    def model(images: Tensor) -> Tensor:
        black = (images == 0).flatten(1).double().mean(dim=1)
        return torch.stack([torch.full_like(black, fraction - 1e-9), black], dim=1)

    return model


def by_definition(model: Callable[[Tensor], Tensor], image: Tensor, saliency: Tensor, colour: float) -> float:
    """Write the definition out for one image (C, H, W) in raw space."""
    values = (saliency - saliency.min()) / (saliency.max() - saliency.min())
    descending = sorted(values.flatten().tolist(), reverse=True)
    predicted = model(image[None]).argmax().item()
    agreement = []
    for fraction in FRACTIONS:
        threshold = descending[round(fraction * len(descending))]
        painted = image.clone()
        painted[:, (values > threshold) & (values != 0)] = colour
        agreement.append(float(model(painted[None]).argmax().item() == predicted))
    widths = [right - left for left, right in itertools.pairwise(FRACTIONS)]
    heights = [(left + right) / 2 for left, right in itertools.pairwise(agreement)]
    return sum(width * height for width, height in zip(widths, heights, strict=True))


@pytest.mark.parametrize("canvas", ["black", "white"])
def test_so_many_pixels_are_deleted(canvas: str) -> None:
    ramp = torch.arange(10.0).reshape(1, 2, 5)
    assert deleted_counts(ramp, canvas) == [0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_tied_pixels_go_together_and_those_without_saliency_never() -> None:
    tied = torch.tensor([[[0, 0, 0, 0, 0], [0, 0.2, 0.2, 0.6, 1.0]]])
    assert deleted_counts(tied) == [0, 0, 0, 1, 1, 2, 2, 4, 4, 4, 4, 4, 4]


def test_the_thresholds_of_a_small_image() -> None:
    ramp = torch.arange(1024.0).reshape(1, 32, 32)
    assert deleted_counts(ramp) == [0, 31, 51, 72, 102, 205, 307, 410, 512, 614, 717, 819, 922]


def test_a_model_that_always_stands_by_its_prediction_scores_the_whole_width() -> None:
    score = Allegiance().scores(
        lambda images: torch.ones(len(images), 3), torch.ones(1, 1, 32, 32), torch.rand(1, 32, 32), ZERO
    )
    assert score.item() == pytest.approx(0.9)


def test_a_model_that_gives_up_at_once_scores_the_first_trapezoid() -> None:
    score = Allegiance().scores(faithful_until(0.01), torch.ones(1, 1, 32, 32), torch.rand(1, 32, 32), ZERO)
    assert score.item() == pytest.approx(0.015)


def test_agreement_that_falls_in_a_line_with_the_fraction_scores_the_triangle() -> None:
    """Of 1000 images, image i gives up at fraction i / 1000: agreement is 1 - p."""
    metric = Allegiance()
    curve = torch.tensor([[float(fraction < point / 1000) for fraction in FRACTIONS] for point in range(1, 1001)])
    metric.accumulate(torch.trapezoid(curve, torch.tensor(FRACTIONS), dim=1), curve)
    assert metric.compute().item() == pytest.approx(0.495, abs=1e-3)
    assert torch.trapezoid(metric.curve()[1], metric.curve()[0]).item() == pytest.approx(0.495, abs=1e-3)


def test_before_anything_is_deleted_agreement_is_one() -> None:
    metric, (images, targets) = Allegiance(), pictures(5)
    metric.update(small_cnn(), images, torch.rand(5, 8, 8), targets)
    fractions, curve = metric.curve()
    assert fractions.tolist() == list(FRACTIONS)
    assert curve[0] == 1
    assert ((curve >= 0) & (curve <= 1)).all()
    torch.testing.assert_close(torch.trapezoid(curve, fractions), metric.compute())


def test_the_score_falls_with_the_fraction_at_which_the_model_gives_up() -> None:
    image, saliency = torch.ones(1, 1, 32, 32), torch.rand(1, 32, 32)
    scores = [Allegiance().scores(faithful_until(at), image, saliency, ZERO).item() for at in (0.95, 0.65, 0.35, 0.06)]
    assert scores == pytest.approx([0.9, 0.65, 0.35, 0.06], abs=1e-3)


def test_deleting_what_speaks_for_a_linear_model_never_raises_its_score() -> None:
    """Black over positive weights and white over negative ones lower the score; the other way round they raise it."""
    weight, (images, _) = torch.randn(2, 64), pictures(1, channels=1)
    weight[1] = 0
    positive, negative = weight[0].relu().reshape(1, 8, 8), (-weight[0]).relu().reshape(1, 8, 8)
    for maps, canvas, sign in [
        (positive, "black", -1),
        (negative, "white", -1),
        (positive, "white", 1),
        (negative, "black", 1),
    ]:
        received: list[Tensor] = []
        network = linear_model(weight)

        def model(
            batch: Tensor, received: list[Tensor] = received, network: Callable[[Tensor], Tensor] = network
        ) -> Tensor:
            logits = network(batch)
            received.append(logits[:, 0].detach())
            return logits

        Allegiance(canvas=canvas).scores(model, images, maps, ZERO)
        logits = torch.cat(received)
        assert (sign * logits.diff() >= -1e-5).all()
        assert abs(logits[-1] - logits[0]) > 0.1


@pytest.mark.parametrize(("canvas", "colour"), [("black", 0.0), ("white", 1.0)])
@pytest.mark.parametrize("levels", [3, 1000])
def test_it_is_the_definition_written_out(canvas: str, colour: float, levels: int) -> None:
    torch.manual_seed(1)
    network, (images, targets) = linear_model(torch.randn(4, 147)), pictures(12, size=7)
    maps = (Gradient()(network, images, targets) * torch.rand(12, 7, 7) * levels).floor()

    def model(batch: Tensor) -> Tensor:
        return (2 * network(batch)).sin()  # changes its mind often

    result = Allegiance(canvas=canvas).scores(model, images, maps, targets)
    expected = [by_definition(model, *one, colour) for one in zip(images, maps, strict=True)]
    torch.testing.assert_close(result, torch.tensor(expected))
    assert result.unique().numel() > 3


def test_the_normalisation_of_the_images_does_not_matter_where_it_is_given() -> None:
    network, (images, targets), maps = small_cnn().eval(), pictures(6), torch.rand(6, 8, 8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)

    def on_normalised(batch: Tensor) -> Tensor:
        return network(batch * torch.tensor(std).reshape(3, 1, 1) + torch.tensor(mean).reshape(3, 1, 1))

    fed = (images - torch.tensor(mean).reshape(3, 1, 1)) / torch.tensor(std).reshape(3, 1, 1)
    for canvas in ("black", "white"):
        expected = Allegiance(canvas=canvas).scores(network, images, maps, targets)
        result = Allegiance(canvas=canvas, mean=mean, std=std).scores(on_normalised, fed, maps, targets)
        torch.testing.assert_close(result, expected)


def test_targets_do_not_enter() -> None:
    model, (images, targets), maps = small_cnn(), pictures(4), torch.rand(4, 8, 8)
    assert torch.equal(
        Allegiance().scores(model, images, maps, targets), Allegiance().scores(model, images, maps, (targets + 1) % 4)
    )


def test_a_constant_map_deletes_nothing() -> None:
    score = Allegiance().scores(faithful_until(0.01), torch.ones(1, 1, 8, 8), torch.full((1, 8, 8), 3.0), ZERO)
    assert score.item() == pytest.approx(0.9)


def test_black_and_white_have_names_of_their_own() -> None:
    assert [Allegiance().name, Allegiance("white").name, Allegiance("white", name="mine").name] == [
        "allegiance",
        "allegiance_white",
        "mine",
    ]


def test_two_in_a_collection_keep_their_own_sums_though_their_first_scores_agree() -> None:
    model = faithful_until(0.35)
    collection = MetricCollection({"black": Allegiance(), "white": Allegiance("white")})
    image = torch.ones(1, 1, 32, 32)
    for maps in (torch.zeros(1, 32, 32), torch.rand(1, 32, 32)):
        collection.update(model, image, maps, ZERO)
    values = collection.compute()
    assert values["white"].item() == pytest.approx(0.9), "white on white is no deletion"
    assert values["black"].item() == pytest.approx((0.9 + 0.35) / 2)


def test_an_unknown_canvas_is_refused() -> None:
    with pytest.raises(ValueError, match="`canvas` to be one of 'black', 'white', 'mean', 'blur', but got 'grey'"):
        Allegiance("grey")
