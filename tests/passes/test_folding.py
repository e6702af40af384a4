"""A folded network predicts as before, and what cannot be folded is left alone."""

import pytest
import timm
import torch
from torch import Tensor, nn

from lightning_saliency._model import explaining
from lightning_saliency.passes.folding import fold_normalizations, is_foldable
from lightning_saliency.passes.lending import Loan, calls_of, is_plain, lent
from tests.models import small_cnn, tiny_vit
from tests.traces import assert_no_trace, trace_of

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMALIZATIONS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def settled(model: nn.Module) -> nn.Module:
    """Give normalisations statistics and factors as training would, some of them negative."""
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(0)
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.3, 2)
                if module.weight is not None:
                    module.weight.normal_()
                    module.bias.normal_()
    return model.eval()


def images_of(size: int = 32, dimensions: int = 2) -> Tensor:
    return torch.rand(3, 3, *[size] * dimensions, generator=torch.Generator().manual_seed(0))


def folded(model: nn.Module, images: Tensor) -> tuple[list[Loan], Tensor, Tensor]:
    """Return the loans, and predictions without and with them."""
    with explaining(model), torch.no_grad():
        calls, expected = calls_of(model, images, lambda module: is_plain(module) or is_foldable(module))
        loans = fold_normalizations(calls)
        with lent(loans):
            return loans, expected, model(images.clone())


def count(loans: list[Loan]) -> int:
    return sum(loan.forward is not None for loan in loans)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_byobnet", "mobilenetv3_small_050"])
def test_every_normalisation_of_common_networks_is_folded(name: str) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = settled(timm.create_model(name, num_classes=5))
    loans, expected, found = folded(model, images_of(64))
    assert count(loans) == sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) > 5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 3])
def test_any_convolution_is_folded(dimensions: int, bias: bool, groups: int) -> None:
    convolution = CONVOLUTIONS[dimensions](3, 6, 3, stride=2, groups=groups, bias=bias)
    model = settled(nn.Sequential(convolution, NORMALIZATIONS[dimensions](6), nn.ReLU(inplace=True), nn.Flatten()))
    loans, expected, found = folded(model, images_of(6, dimensions))
    assert count(loans) == 1
    torch.testing.assert_close(found, expected)


def test_the_model_is_left_as_it_was() -> None:
    model = small_cnn()
    before = trace_of(model)
    loans, _, _ = folded(model, images_of(8))
    assert count(loans) == 2
    assert_no_trace(model, before)


@pytest.mark.parametrize("affine", [True, False])
def test_factors_are_folded_where_there_are_some(affine: bool) -> None:
    model = settled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=affine), nn.Flatten()))
    loans, expected, found = folded(model, images_of(6))
    assert count(loans) == 1
    torch.testing.assert_close(found, expected)


class Two(nn.Module):
    """A convolution and a normalisation, and another pair that can always be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.other, self.other_norm = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        return self.other_norm(self.other(self.first(images))).mean(dim=(2, 3))

    def first(self, images: Tensor) -> Tensor:
        return self.norm(self.convolution(images))


class RunTwice(Two):
    """The convolution runs once with and once without the normalisation."""

    def first(self, images: Tensor) -> Tensor:
        return self.norm(self.convolution(images)) + self.convolution(images.flip(3))


class Shared(Two):
    """One normalisation for two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.third = nn.Conv2d(3, 4, 3)

    def first(self, images: Tensor) -> Tensor:
        return self.norm(self.convolution(images)) + self.norm(self.third(images))


class NormalizedTwice(Two):
    """Two normalisations for what one convolution made."""

    def __init__(self) -> None:
        super().__init__()
        self.third = nn.BatchNorm2d(4)

    def first(self, images: Tensor) -> Tensor:
        made = self.convolution(images)
        return self.norm(made) + self.third(made)


class Between(Two):
    """Something happens between the two."""

    def first(self, images: Tensor) -> Tensor:
        return self.norm(self.convolution(images).relu())


class BetweenInPlace(Two):
    """Something happens between the two, and the tensor stays the same one."""

    def first(self, images: Tensor) -> Tensor:
        return self.norm(self.convolution(images).relu_())


class Hooked(Two):
    """Someone looks at what the convolution makes."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution.register_forward_hook(lambda *_: None)


class WithoutStatistics(Two):
    """The normalisation takes the batch's."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)


class OfParts(nn.BatchNorm2d):
    """A normalisation that is made of others."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.parts = nn.ModuleList([nn.BatchNorm2d(channels)])


class Split(Two):
    """The normalisation has more inside than what runs afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = OfParts(4)


@pytest.mark.parametrize(
    "kind", [RunTwice, Shared, NormalizedTwice, Between, BetweenInPlace, Hooked, WithoutStatistics, Split]
)
def test_only_what_passes_from_one_to_the_other_is_folded(kind: type[Two]) -> None:
    model = settled(kind())
    loans, expected, found = folded(model, images_of())
    assert [loan.module for loan in loans] == [model.other, model.other_norm]
    torch.testing.assert_close(found, expected)


def test_nothing_is_folded_where_there_is_nothing() -> None:
    assert not folded(tiny_vit(), images_of())[0]
