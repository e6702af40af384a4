"""Saliency methods: frozen hyper-parameters, called as `method(model, images, targets) -> maps`."""

from lightning_saliency.methods._grad_cam import GradCAM
from lightning_saliency.methods._gradient import Gradient
from lightning_saliency.methods._guided_absolute_grad import GuidedAbsoluteGrad
from lightning_saliency.methods._method import Method
from lightning_saliency.methods._smooth_grad import SmoothGrad

__all__ = ["GradCAM", "Gradient", "GuidedAbsoluteGrad", "Method", "SmoothGrad"]
