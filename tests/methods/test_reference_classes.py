"""References of the same class and of other classes, and a warning about what all of them share."""

import warnings

import pytest
import torch
from torch import nn

from lightning_saliency import explain
from lightning_saliency.methods import ExpectedGradCAM, ExpectedGradients
from lightning_saliency.passes.references import References
from lightning_saliency.targets import Regression
from tests.models import small_cnn

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])


def pictures(count, seed=0):
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def methods(references, **options):
    return [
        ExpectedGradients(references, num_samples=5, **options),
        ExpectedGradCAM("0", references, num_samples=5, **options),
        ExpectedGradCAM("0", references, num_samples=5, path="input", difference=False, **options),
        ExpectedGradCAM("0", references, num_samples=5, path="input", **options),
    ]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("classes", ["same", "other"])
def test_a_map_is_that_of_the_chosen_references_alone(place, classes):
    """Whatever the others are, the map is the same."""
    model, images, references = small_cnn().double(), pictures(3), pictures(6, seed=9)
    targets = torch.tensor([0, 1, 0])
    result = methods(References(references, LABELS), reference_classes=classes)[place]
    together = result(model, images, targets)
    for row, target in enumerate(targets.tolist()):
        chosen = (target == LABELS) == (classes == "same")
        spoilt = torch.where(chosen[:, None, None, None], references, torch.rand_like(references))
        same = methods(References(spoilt, LABELS), reference_classes=classes)[place]
        torch.testing.assert_close(together[row], same(model, images[row : row + 1], targets[row : row + 1])[0])


@pytest.mark.parametrize("place", range(4))
def test_with_one_reference_of_the_class_it_is_the_only_one(place):
    model, images, references = small_cnn().double(), pictures(2), pictures(6, seed=9)
    targets = torch.tensor([2, 2])
    result = methods(References(references, LABELS), reference_classes="same")[place](model, images, targets)
    torch.testing.assert_close(result, methods(references[3:4].repeat(6, 1, 1, 1))[place](model, images, targets))


def test_batches_and_sharing_change_nothing():
    model, images, references = small_cnn().double(), pictures(5), References(pictures(6, seed=9), LABELS)
    targets = torch.tensor([0, 1, 2, 1, 0])
    listed = {str(number): method for number, method in enumerate(methods(references, reference_classes="other"))}
    together = explain(model, images, targets, listed)
    for name, method in listed.items():
        torch.testing.assert_close(method(model, images, targets, max_batch_size=2), together[name])


def test_the_signed_attribution_is_complete_against_references_of_other_classes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).double()
    images, references = pictures(2), pictures(6, seed=9)
    targets = torch.tensor([0, 1])
    method = ExpectedGradients(References(references, LABELS), num_samples=60, reference_classes="other")
    total = method.attribute(model, images, targets).flatten(1).sum(dim=1)
    for row, target in enumerate(targets.tolist()):
        # Of a linear model every draw is exact, and each of the references is drawn equally often.
        expected = model(images)[row, target] - model(references[target != LABELS])[:, target].mean()
        torch.testing.assert_close(total[row], expected)


def test_what_needs_classes_is_refused_without_them():
    model, images = small_cnn().double(), pictures(2)
    references = pictures(6, seed=9)
    with pytest.raises(ValueError, match="to be one of"):
        ExpectedGradients(references, reference_classes="others")
    with pytest.raises(ValueError, match="must have labels"):
        ExpectedGradients(references, reference_classes="other")(model, images)
    alone = ExpectedGradients(References(references, torch.zeros(6, dtype=torch.int64)), reference_classes="other")
    with pytest.raises(ValueError, match="an image of another class than 0"):
        alone(model, images, torch.tensor([1, 0]))
    with pytest.raises(TypeError, match="must have classes"):
        ExpectedGradients(References(references, LABELS), reference_classes="same")(model, images, Regression(0))
    with pytest.raises(ValueError, match="`smoothing` must be 0"):
        ExpectedGradCAM(references=References(references, LABELS), smoothing=0.1, reference_classes="same")
    with pytest.raises(ValueError, match="shape"):
        References(references, LABELS[:2])


class Watermark(nn.Module):
    """Adds to the logit of class 0 how bright a corner is, and to all logits what the rest has."""

    def forward(self, images):
        corner = images[..., :3, :3].mean(dim=(1, 2, 3))
        rest = images.mean(dim=(1, 2, 3))
        return torch.stack([8 * corner + rest, rest, rest], dim=1)


def test_references_of_other_classes_keep_the_relevance_of_a_mark():
    """All images of class 0 have a mark, on which the network relies."""
    generator = torch.Generator().manual_seed(0)
    references = 0.5 * torch.rand(30, 3, 16, 16, generator=generator)
    labels = torch.arange(30) % 3
    images = 0.5 * torch.rand(4, 3, 16, 16, generator=generator)
    references[labels == 0, :, :3, :3] = 1.0
    images[..., :3, :3] = 1.0
    model, targets = Watermark(), torch.zeros(4, dtype=torch.int64)

    def mass(method):
        maps = method(model, images, targets)
        return (maps[:, :3, :3].sum(dim=(1, 2)) / maps.sum(dim=(1, 2))).mean().item()

    other = mass(ExpectedGradients(References(references, labels), reference_classes="other"))
    everything = mass(ExpectedGradients(References(references, labels)))
    with pytest.warns(UserWarning, match=r"same pattern at one place \(\d+ positions within \[0:4, 0:4\]\)"):
        marked = mass(ExpectedGradients(references[labels == 0].repeat(2, 1, 1, 1)))
    assert other > 0.9
    assert everything < other
    assert marked < 0.05


def test_references_without_a_common_mark_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ExpectedGradients(torch.rand(30, 3, 16, 16))
        ExpectedGradCAM(references=torch.zeros(30, 3, 16, 16))
