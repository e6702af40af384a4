"""Saliency methods: frozen hyper-parameters, called as `method(model, images, targets) -> maps`."""

from lightning_saliency.methods._active_gradient import ActiveGradient, InactiveGradient
from lightning_saliency.methods._blur_integrated_gradients import BlurIntegratedGradients
from lightning_saliency.methods._edge_map import EdgeMap
from lightning_saliency.methods._expected_gradients import ExpectedGradients
from lightning_saliency.methods._grad_cam import GradCAM
from lightning_saliency.methods._gradient import Gradient
from lightning_saliency.methods._guided_absolute_grad import GuidedAbsoluteGrad
from lightning_saliency.methods._guided_integrated_gradients import GuidedIntegratedGradients
from lightning_saliency.methods._idgi import IDGI
from lightning_saliency.methods._input_x_gradient import InputXGradient
from lightning_saliency.methods._integrated_gradients import IntegratedGradients
from lightning_saliency.methods._method import Method
from lightning_saliency.methods._positive_gradient import NegativeGradient, PositiveGradient
from lightning_saliency.methods._random_map import RandomMap
from lightning_saliency.methods._smooth_grad import SmoothGrad, SquareGrad, VarGrad

__all__ = [
    "IDGI",
    "ActiveGradient",
    "BlurIntegratedGradients",
    "EdgeMap",
    "ExpectedGradients",
    "GradCAM",
    "Gradient",
    "GuidedAbsoluteGrad",
    "GuidedIntegratedGradients",
    "InactiveGradient",
    "InputXGradient",
    "IntegratedGradients",
    "Method",
    "NegativeGradient",
    "PositiveGradient",
    "RandomMap",
    "SmoothGrad",
    "SquareGrad",
    "VarGrad",
]
