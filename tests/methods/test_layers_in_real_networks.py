"""Class activation maps where layers run more than once, are checkpointed, put tokens first, or copy one position."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lightning_saliency.methods import (
    LRP,
    AblationCAM,
    EigenCAM,
    ExpectedGradCAM,
    FullGrad,
    GradCAM,
    GradCAMPlusPlus,
    Gradient,
    GuidedBackprop,
    HiResCAM,
    IntegratedGradCAM,
    LayerCAM,
    RectGrad,
    ScoreCAM,
    SmoothGradCAMPlusPlus,
    XGradCAM,
)
from tests.models import NUM_CLASSES, pictures
from tests.traces import assert_no_trace, mixed_modes, trace_of

LAYER_METHODS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind
    for kind in (
        GradCAM,
        GradCAMPlusPlus,
        SmoothGradCAMPlusPlus,
        XGradCAM,
        LayerCAM,
        HiResCAM,
        EigenCAM,
        IntegratedGradCAM,
        ScoreCAM,
        AblationCAM,
    )
} | {"ExpectedGradCAM": lambda *args, **options: ExpectedGradCAM(*args, references=pictures(2, 16)[0], **options)}


class FirstNetwork(nn.Module):
    """As in a first tutorial: one `nn.ReLU` for convolutions and head, or one for each."""

    def __init__(self, *, is_shared: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.hidden, self.head = nn.Linear(128, 16), nn.Linear(16, NUM_CLASSES)
        relu = nn.ReLU()
        self.relus = nn.ModuleList([relu] * 3 if is_shared else [nn.ReLU() for _ in range(3)])

    def forward(self, images: Tensor) -> Tensor:
        features = functional.max_pool2d(self.relus[0](self.first(images)), 2)
        features = functional.max_pool2d(self.relus[1](self.second(features)), 2)
        return self.head(self.relus[2](self.hidden(features.flatten(1))))


@pytest.mark.parametrize("method", LAYER_METHODS.values(), ids=LAYER_METHODS)
def test_one_relu_for_convolutions_and_head_changes_nothing(method: Callable[..., Any]) -> None:
    images, targets = pictures(3, 16)
    maps = method()(FirstNetwork(is_shared=True), images, targets)
    assert torch.equal(maps, method()(FirstNetwork(is_shared=False), images, targets))
    assert maps.any()


def test_each_call_of_a_shared_layer_can_be_named() -> None:
    images, targets = pictures(3, 16)
    shared, separate = FirstNetwork(is_shared=True), FirstNetwork(is_shared=False)
    for call in (0, 1):
        expected = GradCAM(f"relus.{call}")(separate, images, targets)
        assert torch.equal(GradCAM("relus.0", call=call)(shared, images, targets), expected)
    assert torch.equal(
        GradCAM("relus.0", call=-2)(shared, images, targets), GradCAM("relus.0")(separate, images, targets)
    )
    with pytest.warns(UserWarning, match=r"'relus\.0' runs 2 times.*`call`, from 0 to 1"):
        assert torch.equal(GradCAM("relus.0")(shared, images, targets), expected)
    GradCAM("relus.0")(shared, images, targets)  # and it is said once


class TwoViews(nn.Module):
    """The image and its mirror image, as at test time."""

    def __init__(self) -> None:
        super().__init__()
        self.network = FirstNetwork(is_shared=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images) + self.network(images.flip(3))


@pytest.mark.parametrize("name", LAYER_METHODS)
def test_of_two_views_the_first_one_has_the_positions_of_the_image(name: str) -> None:
    images, targets = pictures(3, 16)
    torch.manual_seed(0)
    model, method = TwoViews(), LAYER_METHODS[name]
    with pytest.warns(UserWarning, match=r"runs 2 times in a forward\..*another view of the image.*Pass `call`"):
        last = method()(model, images, targets)
    assert torch.equal(method("network.relus.1", call=1)(model, images, targets), last)
    first = method(call=0)(model, images, targets)
    assert torch.equal(method("network.relus.1", call=0)(model, images, targets), first)
    assert not torch.allclose(first, last)
    if name in ("GradCAM", "LayerCAM", "HiResCAM", "XGradCAM", "EigenCAM"):
        torch.testing.assert_close(first, method("relus.1")(model.network, images, targets))


@pytest.mark.parametrize("name", LAYER_METHODS)
def test_a_call_that_is_never_made_is_refused(name: str) -> None:
    for layer in (None, "second"):
        with pytest.raises(ValueError, match=r"`call` must lie in \[-1, 0\].*runs 1 times, but got 1"):
            LAYER_METHODS[name](layer, call=1)(FirstNetwork(is_shared=False), *pictures(3, 16))
    with pytest.raises(TypeError, match=r"`call`.*1\.5"):
        LAYER_METHODS[name](call=1.5)


class Checkpointed(nn.Module):
    """Trades memory for a second forward, where `use_reentrant` is given."""

    def __init__(self, use_reentrant: bool | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.use_reentrant = use_reentrant
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.head = nn.Linear(8, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        if self.use_reentrant is None:
            features = self.features(images)
        else:
            features = checkpoint(self.features, images, use_reentrant=self.use_reentrant)
        return self.head(features.mean(dim=(2, 3)))


RULES: dict[str, Callable[..., Any]] = {
    "GuidedBackprop": GuidedBackprop,
    "RectGrad": lambda: RectGrad(0.5),
    "LRP": LRP,
    "FullGrad": FullGrad,
    "Gradient": Gradient,
    "GradCAM of a layer inside": lambda: GradCAM("features.2"),
}


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("method", [*LAYER_METHODS.values(), *RULES.values()], ids=[*LAYER_METHODS, *RULES])
def test_gradient_checkpointing_changes_nothing(method: Callable[..., Any], use_reentrant: bool) -> None:
    images, targets = pictures(3, 16)
    model = mixed_modes(Checkpointed(use_reentrant))
    before = trace_of(model)
    maps = method()(model, images, targets)
    assert_no_trace(model, before)
    assert torch.equal(maps, method()(Checkpointed(None), images, targets))
    assert maps.any()


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_training_goes_on_with_gradient_checkpointing(use_reentrant: bool) -> None:
    """After an explanation, and after one that raised, a part runs twice a step again."""
    images, targets = pictures(3, 16)
    model, calls = Checkpointed(use_reentrant), list[int]()
    GradCAM()(model, images, targets)
    with pytest.raises(ValueError, match="`layer`"):
        GradCAM("nothing")(model, images, targets)
    model.features[0].register_forward_hook(lambda *_: calls.append(1))
    model(images.clone().requires_grad_()).sum().backward()
    assert len(calls) == 2


class Transformer(nn.Module):
    """PyTorch's own transformer, whose tokens come first unless it is told otherwise."""

    def __init__(self, *, tokens_first: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens_first = tokens_first
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=not tokens_first)
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2)
        tokens = self.encoder(tokens.permute(2, 0, 1) if self.tokens_first else tokens.permute(0, 2, 1))
        return self.head(tokens.mean(dim=0 if self.tokens_first else 1))


@pytest.mark.parametrize("name", LAYER_METHODS)
@pytest.mark.parametrize(
    ("layer", "num_images"),
    [(None, 3), (None, 16), ("encoder.layers.1.norm1", 16)],
    ids=["3 images", "as many images as tokens", "as many, and a layer"],
)
def test_tokens_may_come_first(name: str, layer: str | None, num_images: int) -> None:
    images, targets = pictures(num_images, 16)
    method = LAYER_METHODS[name](layer)
    maps = method(Transformer(tokens_first=True), images, targets)
    torch.testing.assert_close(maps, method(Transformer(tokens_first=False), images, targets))
    assert maps.any()
    alone = torch.cat([method(Transformer(tokens_first=True), images[n : n + 1], targets[n : n + 1]) for n in (0, 1)])
    torch.testing.assert_close(maps[:2], alone)


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_a_layer_that_copies_one_position_is_passed_over(name: str) -> None:
    """At 32 px only one position reaches the average pool of VGG, which makes 49 of it."""
    import torchvision

    torch.manual_seed(0)
    model, (images, targets) = torchvision.models.get_model(name, num_classes=NUM_CLASSES), pictures(8, 32)
    maps = GradCAM()(model, images, targets)
    varies = maps.amax(dim=(1, 2)) - maps.amin(dim=(1, 2)) > 1e-3 * maps.amax(dim=(1, 2))
    assert varies[maps.amax(dim=(1, 2)) > 0].all()
    assert varies.any()


def test_videos_have_layers_whose_frames_have_a_stride_of_their_own() -> None:
    from torchvision.models.video import r3d_18

    torch.manual_seed(0)
    images, targets = torch.rand(2, 3, 8, 32, 32), torch.tensor([0, 1])
    maps = HiResCAM()(r3d_18(num_classes=2), images, targets)
    assert maps.shape == (2, 8, 32, 32)
    assert (maps.flatten(1).amax(dim=1) > maps.flatten(1).amin(dim=1)).any()
