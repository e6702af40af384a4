"""Targets that are places: regions of a segmentation and detections."""

from typing import Any

import pytest
import torch
from captum import attr
from torch import Tensor, nn
from torch.nn import functional
from torchcam.methods import GradCAM as TorchCAM

from lightning_saliency import explain, score
from lightning_saliency.methods import GradCAM, Gradient, InputXGradient, IntegratedGradients, SmoothGrad
from lightning_saliency.metrics import RCAP, Allegiance, ClassSensitivity, Deletion
from lightning_saliency.targets import Detection, Region, Regression
from tests.models import pictures, small_cnn

IMAGES, _ = pictures(4, size=12)
MASK = torch.zeros(4, 12, 12, dtype=torch.bool)
MASK[0, :5], MASK[1, 3:, 2:], MASK[2, 4:6, 4:7], MASK[3] = True, True, True, True
CLASSES = torch.tensor([2, 0, 1, 2])


class Segmenter(nn.Module):
    """Logits of three classes for every pixel, by convolutions at half the size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Softplus(), nn.Conv2d(8, 6, 3, padding=1)
        )
        self.head = nn.Sequential(nn.Softplus(), nn.Conv2d(6, 3, 1))

    def forward(self, images: Tensor) -> Tensor:
        return functional.interpolate(self.head(self.features(images)), scale_factor=2.0, mode="bilinear")


MODEL = Segmenter().eval()


def mean_logit(images: Tensor, classes: Tensor, mask: Tensor) -> Tensor:
    """Write the value of a region out, image by image."""
    output = MODEL(images)
    return torch.stack([row[label][inside].mean() for row, label, inside in zip(output, classes, mask, strict=True)])


def test_the_value_of_a_region_is_the_mean_of_its_logits() -> None:
    torch.testing.assert_close(Region(CLASSES, MASK).value(MODEL(IMAGES)), mean_logit(IMAGES, CLASSES, MASK))


def test_gradients_equal_captums() -> None:
    expected = attr.Saliency(lambda images: mean_logit(images, CLASSES, MASK)).attribute(
        IMAGES.clone().requires_grad_()
    )
    maps = Gradient()(MODEL, IMAGES, Region(CLASSES, MASK), max_batch_size=3)
    torch.testing.assert_close(maps, expected.amax(dim=1), atol=1e-5, rtol=1e-5)


def test_integrated_gradients_equal_captums() -> None:
    theirs = attr.IntegratedGradients(lambda images: mean_logit(images, *_repeated(images)))
    expected = theirs.attribute(IMAGES, n_steps=8, method="riemann_middle")
    attribution = IntegratedGradients(8, baseline="black").attribute(MODEL, IMAGES, Region(CLASSES, MASK))
    torch.testing.assert_close(attribution, expected.float(), atol=1e-5, rtol=1e-5)


def _repeated(images: Tensor) -> tuple[Tensor, Tensor]:
    times = len(images) // len(IMAGES)
    return CLASSES.repeat(times), MASK.repeat(times, 1, 1)


def test_class_activation_maps_equal_captums() -> None:
    theirs = attr.LayerGradCam(lambda images: mean_logit(images, CLASSES, MASK), MODEL.features)
    small = theirs.attribute(IMAGES, relu_attributions=True)
    expected = functional.interpolate(small, IMAGES.shape[2:], mode="bilinear", align_corners=False)[:, 0].detach()
    maps = GradCAM("features")(MODEL, IMAGES, Region(CLASSES, MASK))
    torch.testing.assert_close(maps, expected, atol=1e-5, rtol=1e-5)


class Pooled(nn.Module):
    """The mean logits of one region, for a library that explains classes only."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.model, self.mask = MODEL, mask

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)[:, :, self.mask].mean(dim=2)


def test_class_activation_maps_equal_torchcams() -> None:
    maps = GradCAM("features")(MODEL, IMAGES, Region(CLASSES, MASK))
    for image, label, mask, saliency in zip(IMAGES, CLASSES.tolist(), MASK, maps, strict=True):
        model = Pooled(mask)
        with TorchCAM(model, "model.features") as theirs:
            (small,) = theirs(label, model(image[None].clone().requires_grad_()), normalized=False)
        expected = functional.interpolate(small[None], IMAGES.shape[2:], mode="bilinear", align_corners=False)[0, 0]
        torch.testing.assert_close(saliency, expected.detach().relu(), atol=1e-5, rtol=1e-5)


def test_regressions_equal_captums_and_torchcams() -> None:
    model = small_cnn().eval()
    images, _ = pictures(3)
    gradient = attr.Saliency(lambda batch: model(batch)[:, 1]).attribute(images.clone().requires_grad_()).amax(dim=1)
    torch.testing.assert_close(Gradient()(model, images, Regression(1)), gradient, atol=1e-5, rtol=1e-5)
    maps = GradCAM("8")(model, images, Regression(1))
    for image, saliency in zip(images, maps, strict=True):
        with TorchCAM(model, "8") as theirs:
            (small,) = theirs(1, model(image[None].clone().requires_grad_()), normalized=False)
        expected = functional.interpolate(small[None], images.shape[2:], mode="bilinear", align_corners=False)[0, 0]
        torch.testing.assert_close(saliency, expected.detach().relu(), atol=1e-5, rtol=1e-5)


def test_a_region_without_a_mask_is_where_the_class_is_predicted() -> None:
    predicted = MODEL(IMAGES).argmax(dim=1)
    mask = predicted == CLASSES.reshape(-1, 1, 1)
    mask[~mask.flatten(1).any(dim=1)] = True
    for method in (Gradient(), SmoothGrad(num_samples=3)):
        expected = method(MODEL, IMAGES, Region(CLASSES, mask))
        torch.testing.assert_close(method(MODEL, IMAGES, Region(CLASSES), max_batch_size=3), expected)
    maps = {"random": torch.rand(4, 12, 12)}
    metrics = [RCAP(), Deletion(4)]
    expected_scores = score(MODEL, IMAGES, maps, Region(CLASSES, mask), metrics)["random"]
    for name, scores in score(MODEL, IMAGES, maps, Region(CLASSES), metrics, max_batch_size=3)["random"].items():
        torch.testing.assert_close(scores, expected_scores[name])


def test_masks_of_another_size_are_averaged_to_the_outputs() -> None:
    class Coarse(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return MODEL.head(MODEL.features(images))

    output = Coarse()(IMAGES)
    weights = functional.avg_pool2d(MASK[:, None].float(), 2)[:, 0]
    selected = output[torch.arange(4), CLASSES]
    expected = (selected * weights).sum(dim=(1, 2)) / weights.sum(dim=(1, 2))
    torch.testing.assert_close(Region(CLASSES, MASK).value(output), expected)


def test_an_empty_region_has_a_map_of_zeros() -> None:
    maps = Gradient()(MODEL, IMAGES, Region(1, torch.zeros_like(MASK)))
    assert torch.equal(maps, torch.zeros(4, 12, 12))


def test_all_metrics_of_classes_hold_for_the_mean_logits_of_a_region() -> None:
    region, same = MASK[1].expand(4, -1, -1), Pooled(MASK[1])
    maps = explain(MODEL, IMAGES, Region(CLASSES, region), [Gradient()])
    metrics = [RCAP(), Allegiance(), Deletion(4), ClassSensitivity()]
    scores = score(MODEL, IMAGES, maps, Region(CLASSES, region), metrics, methods=[Gradient()])["gradient"]
    expected = score(same, IMAGES, maps, CLASSES, metrics, methods=[Gradient()])["gradient"]
    for name in expected:
        torch.testing.assert_close(scores[name], expected[name])


def test_one_channel_is_the_difference_of_two_classes() -> None:
    output = torch.tensor([[[[2.0, -4.0]]]])
    assert Region(1, torch.tensor([[[True, False]]])).value(output).tolist() == [1.0]
    assert Region(0).completed(output).value(output).tolist() == [2.0]
    torch.testing.assert_close(Region(1).completed(output).probability(output), torch.tensor([2.0]).sigmoid())


@pytest.mark.parametrize(
    ("target", "output", "error", "message"),
    [
        (Region(3, MASK), MODEL(IMAGES), ValueError, "`targets`.*3 classes, but got 3"),
        (Region(1, MASK), torch.zeros(4, 3), ValueError, r"\(B, K, \*S\).*Region, but got \(4, 3\)"),
        (Region(1, MASK), {"out": IMAGES}, TypeError, r"Region, but got dict with keys \['out'\].  .*`output`"),
        (Detection(1).of(1), IMAGES, TypeError, "list of dictionaries with boxes, labels, scores.*but got Tensor"),
        (Detection(1).of(1), [{"boxes": 0}], TypeError, "list of dictionaries"),
        (Detection(1).of(3), [], TypeError, "0 of them"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(target: Any, output: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        target.value(output)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Region("cat"), TypeError, "`classes`.*'cat'"),
        (lambda: Region(-1), ValueError, "`classes`.*-1"),
        (lambda: Region(torch.zeros(3, dtype=torch.int64), MASK), ValueError, "3 in `classes` and 4 in `mask`"),
        (lambda: Region(1, torch.ones(3)), ValueError, r"`mask`.*\(3,\)"),
        (lambda: Detection(1, torch.zeros(4)), ValueError, r"`box`.*\(4,\)"),
    ],
)
def test_arguments_that_cannot_work_are_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


BOXES = torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 6.0, 4.0], [0.0, 0.0, 4.0, 4.0]])
LABELS = torch.tensor([1, 1, 2])


def detections(scores: Tensor) -> list[dict[str, Tensor]]:
    return [{"boxes": BOXES, "labels": LABELS, "scores": scores}]


@pytest.mark.parametrize(
    ("label", "scores", "expected", "gradient"),
    [
        (1, [0.3, 0.6, 0.9], 0.3, [1.0, 0.0, 0.0]),
        (1, [0.1, 0.6, 0.9], 0.2, [0.0, 1 / 3, 0.0]),
        (2, [0.1, 0.6, 0.9], 0.9, [0.0, 0.0, 1.0]),
        (5, [0.1, 0.6, 0.9], 0.0, [0.0, 0.0, 0.0]),
    ],
)
def test_a_detection_is_the_best_overlap_times_score(
    label: int, scores: list[float], expected: float, gradient: list[float]
) -> None:
    leaf = torch.tensor(scores, requires_grad=True)
    value = Detection(label, BOXES[:1]).value(detections(leaf))
    value.sum().backward()
    assert value.tolist() == pytest.approx([expected])
    assert leaf.grad.tolist() == pytest.approx(gradient)


def test_what_is_left_open_is_the_detection_with_the_highest_score() -> None:
    output = detections(torch.tensor([0.3, 0.6, 0.5]))
    target = Detection().completed(output)
    assert (target.classes.tolist(), target.box.tolist()) == ([1], [[2.0, 0.0, 6.0, 4.0]])
    assert target.value(output).tolist() == pytest.approx([0.6])
    assert Detection(2).completed(output).value(output).tolist() == pytest.approx([0.5])
    assert Detection(box=BOXES[:1]).completed(output).value(output).tolist() == pytest.approx([0.3])


def test_an_image_without_a_detection_has_value_zero_and_a_gradient() -> None:
    scores = torch.zeros(0, requires_grad=True)
    output = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": scores}]
    target = Detection().completed(output)
    assert target.texts == ["no detection"]
    assert target.value(output).requires_grad
    assert target.value(output).tolist() == [0.0]


class Detector(nn.Module):
    """Two detections an image, whose scores are the brightness of its halves; none in dark images."""

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        width = images.shape[3] // 2
        boxes = torch.tensor([[0.0, 0, width, 4], [width, 0.0, 2 * width, 4]])
        results = []
        for image in images:
            scores = torch.stack([image[:, :, :width].mean(), image[:, :, width:].mean()])
            keep = scores > 0.05
            results.append({"boxes": boxes[keep], "labels": torch.tensor([1, 2])[keep], "scores": scores[keep]})
        return results


def test_maps_and_scores_of_a_detector_are_those_of_its_halves() -> None:
    images = torch.rand(3, 1, 4, 8) * 0.5 + torch.tensor([0.0, 0.25, 0.5]).reshape(3, 1, 1, 1)
    images[2] = 0
    maps = explain(Detector(), images, Detection(2), [InputXGradient()], max_batch_size=2)["input_x_gradient"]
    expected = images[:, 0].abs() / 16
    expected[:, :, :4] = 0
    torch.testing.assert_close(maps, expected)
    scores = score(Detector(), images, {"maps": maps}, Detection(2), [Deletion(1, canvas="black"), RCAP()])["maps"]
    brightness = images[:, 0, :, 4:].mean(dim=(1, 2))
    torch.testing.assert_close(scores["deletion_black"], brightness / 2)
    with pytest.raises(TypeError, match="classes for 'allegiance', but got Detection"):
        score(Detector(), images, {"maps": maps}, Detection(2), [Allegiance()])
