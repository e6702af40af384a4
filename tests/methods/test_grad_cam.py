"""Gradient-weighted class activation maps."""

import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency.methods import GradCAM
from tests.models import pictures, small_cnn


class ByHand(nn.Module):
    """Shows given activations, and has given gradients with respect to them."""

    def __init__(self, activation: Tensor, gradient: Tensor) -> None:
        super().__init__()
        self.activation, self.gradient = activation, gradient
        self.layer = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        activation = self.layer(self.activation + 0 * images.sum())
        logit = (activation * self.gradient).sum(dim=(1, 2, 3))
        return torch.stack([logit, -logit], dim=1)


def test_the_worked_example_of_two_classes_with_opposite_scores() -> None:
    activation = torch.tensor([[[[1.0, 2], [0, 1]], [[0, 1], [3, 0]]]])
    gradient = torch.tensor([[[[2.0, -1], [1, -4]], [[1, 0], [-1, 2]]]])
    model, image = ByHand(activation, gradient), torch.zeros(1, 1, 2, 2)
    maps = GradCAM("layer")(model, image, torch.tensor([0]))
    assert torch.equal(maps, torch.tensor([[[0.0, 0], [1.5, 0]]]))
    opposite = GradCAM("layer")(model, image, torch.tensor([1]))
    assert torch.equal(opposite, torch.tensor([[[0.5, 0.5], [0, 0.5]]]))


def test_it_is_captums_at_every_layer_that_is_named() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # captum records what an in-place activation then overwrites
    model.eval()
    for name in ("0", "1", "3", "7"):
        result = GradCAM(name)(model, images, targets)
        small = LayerGradCam(model, model[int(name)]).attribute(images, targets, relu_attributions=True)
        expected = functional.interpolate(small.detach(), size=(8, 8), mode="bilinear", align_corners=False)[:, 0]
        torch.testing.assert_close(result, expected)


def test_before_average_pooling_and_a_linear_layer_it_is_the_class_activation_map() -> None:
    """Zhou et al.: the linear layer's weights are the weights of the channels, up to the number of positions."""
    model, (images, targets) = small_cnn(), pictures(3)
    maps = GradCAM()(model, images, targets)
    activation = model.eval()[:9](images)
    weights = model[12].weight[targets][:, :, None, None] / activation[0, 0].numel()
    small = (weights * activation).sum(dim=1, keepdim=True).relu()
    expected = functional.interpolate(small, size=(8, 8), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(maps, expected.detach())


def test_it_is_never_negative() -> None:
    model, (images, targets) = small_cnn(), pictures(6)
    assert (GradCAM("3")(model, images, targets) >= 0).all()


def test_images_need_no_path_to_the_layer() -> None:
    """A frozen, detached backbone ahead of the layer is no obstacle: gradients are taken at the layer."""

    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.backbone(images).detach()).sigmoid().mean(dim=(2, 3))

    model, (images, targets) = Detached(), pictures(2)
    assert GradCAM("head")(model, images, targets).shape == (2, 8, 8)
