"""Score-CAM and Ablation-CAM: naive loops, other libraries' maps, and their passes."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency import explain
from lightning_saliency.methods import AblationCAM, GradCAM, ScoreCAM
from tests.methods.test_cam_family import relu_network
from tests.models import pictures, tiny_vit


def larger(small: Tensor) -> Tensor:
    return functional.interpolate(small[:, None], size=(8, 8), mode="bilinear")[:, 0]


def test_score_cam_is_a_loop_over_channels() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    result = ScoreCAM("5")(model, images, targets, max_batch_size=4)
    with torch.no_grad():
        activation = model[:6](images)
        for index in range(3):
            scores = []
            for channel in activation[index]:
                mask = larger(channel[None])[0]
                spread = mask.max() - mask.min()
                mask = (mask - mask.min()) / spread if spread > 0 else torch.zeros_like(mask)
                scores.append(model((images[index] * mask)[None])[0, targets[index]])
            weights = torch.stack(scores).softmax(dim=0)
            expected = larger((weights[:, None, None] * activation[index]).sum(0)[None])[0]
            torch.testing.assert_close(result[index], expected)


def test_ablation_cam_is_a_loop_over_channels() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    result = AblationCAM("5")(model, images, targets, max_batch_size=4)
    with torch.no_grad():
        activation = model[:6](images)
        intact = model[6:](activation)
        drops = []
        for channel in range(6):
            without = activation.clone()
            without[:, channel] = 0
            drops.append((intact - model[6:](without)).gather(1, targets[:, None])[:, 0])
        weights = torch.stack(drops, dim=1)[:, :, None, None]
        torch.testing.assert_close(result, larger((weights * activation).sum(1).relu()))


def test_before_a_linear_head_ablation_cam_weighs_as_grad_cam_and_activations_do() -> None:
    """Without channel k the logit drops by its gradient times its activation."""
    head = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(192, 4))
    images, targets = pictures(2)
    (ablated,) = AblationCAM("0")(head, images[:1], targets[:1])
    gradient = head[2].weight[targets[0]].detach().reshape(3, 8, 8)
    drops = (gradient * images[0]).sum(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(ablated, (drops * images[0]).sum(0).relu())


def test_it_is_pytorch_grad_cams() -> None:
    library = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, (images, targets) = relu_network(), pictures(2)
    outputs = [ClassifierOutputTarget(int(target)) for target in targets]
    activation = model[:6](images).detach()
    with library.ScoreCAM(model, [model[5]]) as theirs:
        weights = theirs.get_cam_weights(images, model[5], outputs, activation.numpy(), None)
    expected = larger((torch.as_tensor(weights)[:, :, None, None] * activation).sum(1).relu())
    torch.testing.assert_close(ScoreCAM("5")(model, images, targets), expected, rtol=1e-3, atol=1e-4)


def test_it_is_torchcams() -> None:
    library = pytest.importorskip("torchcam.methods")
    model, (images, targets) = relu_network(), pictures(2)
    with library.ScoreCAM(model, "5", input_shape=(3, 8, 8)) as theirs:
        (small,) = theirs(targets.tolist(), model(images), normalized=False)
    # They also subtract the logits of a black image, which softmax does not see.
    torch.testing.assert_close(ScoreCAM("5")(model, images, targets), larger(small), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [ScoreCAM, AblationCAM])
def test_several_layers_are_averaged_and_passes_are_bounded(kind: type[ScoreCAM | AblationCAM]) -> None:
    model, (images, targets) = relu_network(), pictures(3)
    each = [kind(name)(model, images, targets) for name in ("2", "5")]
    sizes: list[int] = []
    model.register_forward_hook(lambda _module, inputs, _output: sizes.append(len(inputs[0])))
    torch.testing.assert_close(kind(["2", "5"])(model, images, targets, max_batch_size=6), sum(each) / 2)
    assert max(sizes) == 6
    assert min(sizes) >= 3
    sizes.clear()
    explain(model, images, targets, [kind("2")], max_batch_size=2)
    assert max(sizes) == 2


@pytest.mark.parametrize("kind", [ScoreCAM, AblationCAM])
def test_tokens_are_understood(kind: type[ScoreCAM | AblationCAM]) -> None:
    images, targets = pictures(2, size=32)
    maps = kind()(tiny_vit(), images, targets)
    assert (maps.std(dim=(1, 2)) > 0).any()


def test_a_blank_layer_has_a_blank_map() -> None:
    model, (images, targets) = relu_network(), pictures(2)
    nn.init.constant_(model[4].bias, -100.0)
    for kind in (ScoreCAM, AblationCAM, GradCAM):
        assert not kind("5")(model, images, targets).any()
