"""Layers are found by name or by what reaches the logits, recorded, and laid out as grids."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency.methods import GradCAM
from lightning_saliency.passes import LAST_SPATIAL
from lightning_saliency.passes.grids import as_grid
from lightning_saliency.passes.layers import LAST_FINER, LayerName, find_layers
from lightning_saliency.targets import ClassLogit
from tests.models import NUM_CLASSES, linear_model, pictures, small_cnn, tiny_vit

TARGET = ClassLogit(torch.zeros(1, dtype=torch.int64))


def path_of_layer(model: nn.Module, name: str = LAST_SPATIAL, size: int = 32) -> str:
    key = LayerName(name)
    layer = find_layers(model.eval(), torch.zeros(1, 3, size, size), [key], TARGET)[key].module
    return next(path for path, module in model.named_modules() if module is layer)


@pytest.mark.parametrize(
    ("name", "options", "size", "layer"),
    [
        ("resnet18", {}, 64, "layer4"),
        # Residual branches of weight zero, as at the start of training, would leave single positions.
        ("resnet18", {"zero_init_last": False}, 32, "layer3"),
        ("vgg11_bn", {"mlp_ratio": 0.01}, 64, "features"),
        ("densenet121", {}, 64, "features"),
        ("mobilenetv3_small_100", {}, 64, "blocks"),
        ("convnext_atto", {}, 64, "stages"),
    ],
)
def test_the_last_spatial_layer_of_a_cnn_enters_global_pooling(
    name: str, options: dict[str, Any], size: int, layer: str
) -> None:
    import timm

    model = timm.create_model(name, num_classes=5, **options)
    assert path_of_layer(model, size=size) == layer


@pytest.mark.parametrize(
    ("name", "options", "size", "layer"),
    [
        ("resnet18", {"zero_init_last": False}, 64, "layer3"),
        ("vgg11_bn", {"mlp_ratio": 0.01}, 64, "features.27"),
        ("densenet121", {}, 64, "features.transition3.conv"),
        ("tf_efficientnet_lite0", {}, 64, "blocks.5.0.bn1"),
        ("convnext_atto", {}, 64, "stages.3.downsample.0"),
    ],
)
def test_the_last_layer_of_a_finer_grid_has_all_of_the_images_influence(
    name: str, options: dict[str, Any], size: int, layer: str
) -> None:
    import timm

    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5, **options)
    assert path_of_layer(model, LAST_FINER, size) == layer
    image = torch.rand(1, 3, size, size, requires_grad=True)
    model.requires_grad_(requires_grad=False).get_submodule(layer).register_forward_hook(lambda *each: each[2].detach())
    assert not model(image).requires_grad


class Bypassed(nn.Module):
    """A block with a stride: its first layer has the finer grid, and a shortcut bypasses it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.first, self.second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.shortcut, self.head = nn.Conv2d(4, 4, 1, stride=2), nn.Linear(4, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images).relu()
        features = self.second(self.first(features).relu()) + self.shortcut(features)
        return self.head(features.relu().mean(dim=(2, 3)))


def test_a_layer_that_a_shortcut_bypasses_is_passed_over() -> None:
    torch.manual_seed(0)
    assert path_of_layer(Bypassed(), LAST_FINER) == "stem"


def test_without_a_finer_grid_it_is_the_last_spatial_layer() -> None:
    assert path_of_layer(tiny_vit(), LAST_FINER) == path_of_layer(tiny_vit())
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    model = nn.Sequential(*layers, nn.Flatten())
    assert path_of_layer(model, LAST_FINER, 8) == path_of_layer(model, size=8) == "3"


def test_the_last_spatial_layer_of_a_vision_transformer_is_the_last_blocks_first_norm() -> None:
    model = tiny_vit()
    assert path_of_layer(model) == "blocks.1.norm1"
    images, targets = pictures(2, size=32)
    maps = GradCAM()(model, images, targets)
    assert torch.equal(maps, GradCAM("blocks.1.norm1")(model, images, targets))
    assert (maps.amax(dim=(1, 2)) > maps.amin(dim=(1, 2))).all()
    # What would be found by looking at shapes alone: patches there do not reach the logits.
    assert not GradCAM("blocks.1")(model, images, targets).any()


def test_the_layer_found_does_not_depend_on_the_images() -> None:
    """Under pooling by maximum, how many positions reach the logits differs from image to image."""

    class MaxPooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1, stride=2)
            self.head = nn.Linear(4, NUM_CLASSES)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.second(self.first(images).relu()).amax(dim=(2, 3)))

    torch.manual_seed(0)
    model, (images, targets) = MaxPooled(), pictures(12, size=4)
    together = GradCAM()(model, images, targets)
    alone = torch.cat([GradCAM()(model, *one) for one in zip(images.split(1), targets.split(1), strict=True)])
    torch.testing.assert_close(together, alone)


class Rewriting(nn.Module):
    """Writes to the output of its last layer."""

    def __init__(self, is_view: bool) -> None:
        super().__init__()
        self.features, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, NUM_CLASSES)
        self.last = Turned() if is_view else nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.last(self.features(images))
        features += 1
        return self.head(features.mean(dim=(2, 3)))


class Turned(nn.Module):
    """Hands out a view."""

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 1, 3, 2)


@pytest.mark.parametrize("is_view", [True, False])
def test_layers_are_found_whose_output_is_written_to(is_view: bool) -> None:
    assert path_of_layer(Rewriting(is_view)) == "last"


def test_names_are_paths_or_their_ends() -> None:
    model = nn.Sequential(small_cnn(), nn.ReLU())
    model.add_module("backbone", nn.Sequential(nn.Flatten(), nn.Linear(4, 4)))
    assert path_of_layer(model, "0.3") == "0.3"
    assert path_of_layer(model, "0") == "0"
    assert path_of_layer(model, "12") == "0.12"
    assert path_of_layer(model, "backbone") == "backbone"


def test_names_ignore_the_prefix_of_compiled_modules() -> None:
    inner = nn.Sequential(nn.Conv2d(3, 4, 1))
    outer = nn.Module()
    outer.add_module("_orig_mod", inner)
    assert path_of_layer(outer, "0") == "_orig_mod.0"
    assert path_of_layer(outer, "_orig_mod.0") == "_orig_mod.0"
    assert path_of_layer(inner, "_orig_mod.0") == "0"


def test_an_ambiguous_name_lists_what_it_could_mean() -> None:
    model = nn.ModuleDict({"a": nn.Sequential(nn.ReLU()), "b": nn.Sequential(nn.ReLU())})
    with pytest.raises(ValueError, match=r"`layer`.*'0'.* a\.0, b\.0"):
        find_layers(model, torch.zeros(1, 3, 2, 2), [LayerName("0")], TARGET)


def test_an_unknown_name_lists_the_layers_with_the_shapes_of_their_outputs() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(5, 2))
    with pytest.raises(ValueError, match=r"`layer`.*'layer4'.*: 0 \(1, 5, 2, 2\)"):
        GradCAM("layer4")(model, torch.zeros(1, 3, 2, 2), torch.tensor([0]))


def test_a_plain_function_has_no_layers() -> None:
    with pytest.raises(TypeError, match=r"'layer4'.*function"):
        GradCAM("layer4")(lambda images: images.mean(dim=(2, 3)), torch.zeros(1, 3, 2, 2), torch.tensor([0]))


def test_a_fully_connected_model_has_no_spatial_layer() -> None:
    with pytest.raises(ValueError, match=r"found none: use a method that needs no layer, such as `Gradient`"):
        GradCAM()(linear_model(torch.randn(2, 12)), torch.zeros(1, 3, 2, 2), torch.tensor([0]))


def test_layers_whose_positions_do_not_count_are_listed_as_candidates() -> None:
    class FirstPositionOnly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Conv2d(3, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.features(images)[:, :, 0, 0]

    with pytest.raises(ValueError, match=r"features \(1, 2, 4, 4\)"):
        GradCAM()(FirstPositionOnly(), torch.ones(2, 3, 4, 4), torch.tensor([0, 1]))


def test_where_every_gradient_vanishes_the_last_layer_with_positions_is_taken() -> None:
    model = small_cnn()
    nn.init.zeros_(model[12].weight)
    images, targets = pictures(2)
    assert path_of_layer(model, size=8) == "8"
    assert not GradCAM()(model, images, targets).any()


def test_a_layer_that_does_not_run_is_refused() -> None:
    model = small_cnn()
    model[3].add_module("spare", nn.Conv2d(1, 1, 1))
    with pytest.raises(ValueError, match="'spare'"):
        GradCAM("spare")(model, *pictures(1))


def test_a_layer_that_returns_no_tensor_is_refused() -> None:
    class Pair(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return images, images

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair, self.network = Pair(), small_cnn()

        def forward(self, images: Tensor) -> Tensor:
            return self.network(self.pair(images)[0])

    with pytest.raises(TypeError, match=r"'pair'.*tuple"):
        GradCAM("pair")(Model(), *pictures(1))


def test_a_layer_without_positions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(8, 8\).*\(1, 4\)"):
        GradCAM("12")(small_cnn(), *pictures(1))


def test_an_in_place_activation_does_not_overwrite_what_was_recorded() -> None:
    images, targets = pictures(2)
    in_place, out_of_place = small_cnn(), small_cnn()
    for module in out_of_place.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    for layer in ("1", "4"):
        maps = GradCAM(layer)(in_place, images, targets)
        assert torch.equal(maps, GradCAM(layer)(out_of_place, images, targets))
        assert maps.any()


@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((2, 9, 4, 4), (2, 9, 4, 4)),
        ((2, 4, 4, 9), (2, 9, 4, 4)),
        ((2, 16, 9), (2, 9, 4, 4)),
        ((2, 17, 9), (2, 9, 4, 4)),
        ((2, 20, 9), (2, 9, 4, 4)),
    ],
)
def test_channels_first_last_and_tokens_become_one_layout(shape: tuple[int, ...], grid: tuple[int, ...]) -> None:
    assert as_grid(torch.rand(shape), torch.rand(2, 3, 8, 8)).shape == grid


def test_class_and_register_tokens_come_before_the_patches() -> None:
    patches = torch.rand(1, 8, 5)
    tokens = torch.cat([torch.full((1, 3, 5), 9.0), patches], dim=1)
    grid = as_grid(tokens, torch.rand(1, 3, 8, 16))
    assert torch.equal(grid, patches.reshape(1, 2, 4, 5).permute(0, 3, 1, 2))


@pytest.mark.parametrize("num_classes", [1, 2, 3])
def test_a_pooled_output_has_no_positions_however_few_its_channels(num_classes: int) -> None:
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, num_classes, 1), nn.AdaptiveAvgPool2d(1)
    assert path_of_layer(nn.Sequential(*layers, nn.Flatten()), size=8) == "2"


def test_images_that_are_not_square_keep_their_proportions() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    maps = GradCAM()(model, torch.rand(2, 3, 24, 32), torch.tensor([0, 1]))
    assert maps.shape == (2, 24, 32)


def test_signals_and_volumes_have_layers_too() -> None:
    for space, convolution, pooling in [
        ((12,), nn.Conv1d, nn.AdaptiveAvgPool1d),
        ((6, 6, 6), nn.Conv3d, nn.AdaptiveAvgPool3d),
    ]:
        model = nn.Sequential(convolution(2, 4, 3, stride=2, padding=1), pooling(1), nn.Flatten())
        images, targets = torch.rand(2, 2, *space), torch.tensor([0, 1])
        maps = GradCAM()(model, images, targets)
        assert maps.shape == (2, *space)
        assert torch.equal(maps, GradCAM("0")(model, images, targets))
