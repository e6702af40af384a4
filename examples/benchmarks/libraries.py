"""Calls of other libraries for the same maps and scores."""

import importlib.util
from collections.abc import Callable
from typing import Final

import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, NoiseTunnel, Saliency
from captum.metrics import infidelity, sensitivity_max
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from torchcam.methods import GradCAM as TorchGradCAM
from workloads import Workload

from lightning_saliency.passes.perturbations import draw_squares

LARGEST_FOR_ONE_BATCH: Final = 64
COPIES_TOGETHER: Final = 4


def captum_saliency(work: Workload) -> Tensor:
    """Gradient."""
    maps: Tensor = Saliency(work.network).attribute(work.images.clone().requires_grad_(), work.targets)
    return maps.amax(dim=1)


def _tunnel(work: Workload, kind: str, num_samples: int) -> Tensor:
    level = 0.15 * float(work.images.max() - work.images.min())
    tunnel = NoiseTunnel(Saliency(work.network))
    images = work.images.clone().requires_grad_()
    # Captum's default is one batch of all copies, which needs tens of gigabytes at ImageNet's size.
    together = None if work.size[0] <= LARGEST_FOR_ONE_BATCH else COPIES_TOGETHER
    options = {"nt_samples": num_samples, "nt_samples_batch_size": together, "stdevs": level, "abs": False}
    maps: Tensor = tunnel.attribute(images, nt_type=kind, target=work.targets, **options)
    return maps.detach()


def captum_smooth_grad(work: Workload, num_samples: int = 20) -> Tensor:
    """SmoothGrad, by default in one batch of all copies."""
    return _tunnel(work, "smoothgrad", num_samples).abs().sum(dim=1)


def captum_var_grad(work: Workload, num_samples: int = 20) -> Tensor:
    """VarGrad, by default in one batch of all copies."""
    return _tunnel(work, "vargrad", num_samples).sum(dim=1)


def captum_integrated_gradients(work: Workload, num_steps: int = 50, internal_batch_size: int | None = None) -> Tensor:
    """Integrated gradients from black, by default in one batch of all steps."""
    method = IntegratedGradients(work.network)
    options = {"n_steps": num_steps, "internal_batch_size": internal_batch_size}
    maps: Tensor = method.attribute(work.images, target=work.targets, **options)
    return maps.detach().abs().sum(dim=1)


def captum_grad_cam(work: Workload) -> Tensor:
    """Grad-CAM."""
    method = LayerGradCam(work.network, work.network.get_submodule(work.layer))
    coarse = method.attribute(work.images, work.targets, relu_attributions=True)
    maps: Tensor = LayerAttribution.interpolate(coarse, work.size, interpolate_mode="bilinear")
    return maps.detach()[:, 0]


def _pytorch_grad_cam(work: Workload, kind: Callable[..., GradCAM]) -> Tensor:
    outputs = [ClassifierOutputTarget(target) for target in work.targets.tolist()]
    with kind(model=work.network, target_layers=[work.network.get_submodule(work.layer)]) as method:
        return torch.from_numpy(method(input_tensor=work.images, targets=outputs))


def pytorch_grad_cam(work: Workload) -> Tensor:
    """Grad-CAM, scaled to [0, 1]."""
    return _pytorch_grad_cam(work, GradCAM)


def pytorch_grad_cam_plus_plus(work: Workload) -> Tensor:
    """Grad-CAM++, scaled to [0, 1]."""
    return _pytorch_grad_cam(work, GradCAMPlusPlus)


def torchcam_grad_cam(work: Workload) -> Tensor:
    """Grad-CAM at the layer's size, scaled to [0, 1]."""
    with TorchGradCAM(work.network, work.layer) as method:
        logits = work.network(work.images.clone().requires_grad_())
        maps: Tensor = method(work.targets.tolist(), logits)[0]
    return maps


def captum_infidelity(work: Workload, maps: Tensor, num_samples: int = 10) -> Tensor:
    """Infidelity to squares, in squared logits: captum scales neither map nor score."""
    squares = draw_squares(num_samples, work.size, 0).to(maps.device)

    def perturb(images: Tensor) -> tuple[Tensor, Tensor]:
        # Captum passes all copies of the first image, then all of the second.
        covered = squares[:, None].repeat(len(images) // num_samples, 1, 1, 1).expand_as(images)
        return covered.to(images), images * ~covered

    attributions = maps[:, None] / work.images.shape[1]
    attributions = attributions.expand_as(work.images)
    with torch.no_grad():
        scores: Tensor = infidelity(
            work.network,
            perturb,
            work.images,
            attributions,
            target=work.targets,
            n_perturb_samples=num_samples,
        )
    return scores


def captum_max_sensitivity(work: Workload) -> Tensor:
    """Largest relative change of the gradient over ten changed images."""
    scores: Tensor = sensitivity_max(
        Saliency(work.network).attribute, work.images, perturb_radius=0.02, n_perturb_samples=10, target=work.targets
    )
    return scores


def has_quantus() -> bool:
    """Whether Quantus is installed."""
    return importlib.util.find_spec("quantus") is not None


def quantus_max_sensitivity(work: Workload) -> Tensor:
    """Largest relative change of the gradient by Quantus."""
    import quantus

    def explain(model: object, inputs: object, targets: object, **_options: object) -> object:
        images = torch.as_tensor(inputs).to(work.images).requires_grad_()
        maps = Saliency(work.network).attribute(images, torch.as_tensor(targets).to(work.targets))
        return maps.sum(dim=1, keepdim=True).detach().cpu().numpy()

    metric = quantus.MaxSensitivity(nr_samples=10, lower_bound=0.02, disable_warnings=True)
    scores = metric(
        model=work.network,
        x_batch=work.images.cpu().numpy(),
        y_batch=work.targets.cpu().numpy(),
        explain_func=explain,
        device=str(work.images.device),
        batch_size=len(work.images),
    )
    return torch.as_tensor(scores)


GRADIENTS: dict[str, Callable[[Workload], Tensor]] = {"gradient": captum_saliency, "smooth_grad": captum_smooth_grad}
METHODS = {**GRADIENTS, "grad_cam": pytorch_grad_cam}
