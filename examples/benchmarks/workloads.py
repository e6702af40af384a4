"""The timed work: networks with random weights and images, five methods and four metrics."""

from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

from lightning_saliency.methods import GradCAM, Gradient, GuidedAbsoluteGrad, Method, PositiveGradient, SmoothGrad
from lightning_saliency.metrics import RCAP, Allegiance, Deletion, ExplanationMetric, Infidelity, Insertion

TINY_VIT: dict[str, Any] = {"patch_size": 16, "depth": 2, "embed_dim": 24, "num_heads": 2}


@dataclass(frozen=True)
class Options:
    """Options of the command line."""

    device: torch.device
    rounds: int
    quick: bool
    data_dir: str | None

    def sized(self, full: int, tiny: int) -> int:
        """Choose between the full size and that of a quick run."""
        return tiny if self.quick else full


@dataclass(frozen=True)
class Workload:
    """A network with a batch of images, their targets, and the layer that class activation maps take.

    Attributes:
        narrow_layer: An early layer with few channels.
    """

    name: str
    network: nn.Module
    images: Tensor
    targets: Tensor
    layer: str
    narrow_layer: str = "bn1"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.images.shape[2], self.images.shape[3]

    @property
    def has_tokens(self) -> bool:
        """Whether the layer has tokens instead of a grid."""
        return self.layer.startswith("blocks")


def workload(
    options: Options, network: str, layer: str, *, size: int, batch: int, classes: int, **extra: Any
) -> Workload:
    """Make a network whose parameters require gradients as in training, and seeded images."""
    torch.manual_seed(0)
    if options.quick:
        size, batch, classes = 64, 2, min(classes, 12)
        extra = {**TINY_VIT, "img_size": size} if network.startswith("vit") else {}
        network, layer = (network, "blocks.1.norm1") if extra else ("test_resnet", "layer4")
    name = f"{network} at {size} px, {batch} images, {classes} classes"
    if "resnet" in network:
        # Otherwise every block starts as the identity: gradients are equal over the image, and maps are full of ties.
        extra["zero_init_last"] = False
    model: nn.Module = timm.create_model(network, num_classes=classes, **extra)
    model = model.to(options.device).eval()
    images = torch.rand(batch, 3, size, size, device=options.device)
    return Workload(name, model, images, torch.arange(batch, device=options.device) % classes, layer)


def resnet18(options: Options, *, size: int = 64, batch: int = 32, classes: int = 10) -> Workload:
    """Small images, few classes."""
    return workload(options, "resnet18", "layer4", size=size, batch=batch, classes=classes)


def resnet50(options: Options, *, batch: int = 8) -> Workload:
    """Images and classes of ImageNet."""
    return workload(options, "resnet50", "layer4", size=224, batch=batch, classes=1000)


def lite0(options: Options, *, batch: int = 8) -> Workload:
    """Images and classes of ImageNet for a network with depthwise convolutions."""
    return workload(options, "tf_efficientnet_lite0", "blocks", size=224, batch=batch, classes=1000)


def vit_tiny(options: Options) -> Workload:
    """Images and classes of ImageNet for a small vision transformer."""
    return workload(options, "vit_tiny_patch16_224", "blocks.11.norm1", size=224, batch=8, classes=1000)


def five_methods(work: Workload, num_samples: int = 20) -> dict[str, Method]:
    """Two plain gradients, a class activation map, and two methods with noise."""
    return {
        "gradient": Gradient(),
        "positive_gradient": PositiveGradient(),
        "grad_cam": GradCAM(work.layer),
        "smooth_grad": SmoothGrad(num_samples),
        "guided_absolute_grad": GuidedAbsoluteGrad(num_samples),
    }


def four_metrics() -> dict[str, ExplanationMetric]:
    """Recovery, deletion by saliency, faithfulness to squares; insertion and deletion count as one.

    Deletion paints black as allegiance does, so the two share predictions.
    """
    return {
        "rcap": RCAP(),
        "allegiance": Allegiance(),
        "infidelity": Infidelity(num_samples=10),
        "insertion": Insertion(10),
        "deletion": Deletion(10, canvas="black"),
    }
