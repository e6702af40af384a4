"""A folded network predicts as before, and is folded only where that holds."""

from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn

from lightning_saliency._model import explaining
from lightning_saliency.passes.folding import fold_normalizations
from lightning_saliency.passes.lending import Loan, lent
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
        loans = fold_normalizations(model, images[:1])
        expected = model(images.clone())
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


class ReadTwice(nn.Module):
    """Something else reads what the convolution made."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        made = self.convolution(images)
        return (self.norm(made) + made).mean(dim=(2, 3))


class RunTwice(ReadTwice):
    """The convolution runs once with and once without the normalisation."""

    def forward(self, images: Tensor) -> Tensor:
        return (self.norm(self.convolution(images)) + self.convolution(images.flip(3))).mean(dim=(2, 3))


class Shared(ReadTwice):
    """One normalisation for two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return (self.norm(self.convolution(images)) + self.norm(self.other(images))).mean(dim=(2, 3))


class NormalizedTwice(ReadTwice):
    """Two normalisations for what one convolution made."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        made = self.convolution(images)
        return (self.norm(made) + self.other(made)).mean(dim=(2, 3))


class Between(ReadTwice):
    """Something happens between the two."""

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.convolution(images).relu()).mean(dim=(2, 3))


def with_hook() -> nn.Module:
    model = small_cnn()[:3]
    model[0].register_forward_hook(lambda *_: None)
    return nn.Sequential(model, nn.Flatten())


def without_statistics() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten())


def without_factors() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Flatten())


@pytest.mark.parametrize(
    "make",
    [ReadTwice, RunTwice, Shared, NormalizedTwice, Between, with_hook, without_statistics, without_factors, tiny_vit],
)
def test_what_would_predict_otherwise_is_not_folded(make: Callable[[], nn.Module]) -> None:
    loans, expected, found = folded(settled(make()), images_of())
    assert not loans
    assert torch.equal(found, expected)
