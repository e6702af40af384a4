"""Saliency methods: frozen hyper-parameters, called as `method(model, images, targets) -> maps`."""

from lightning_saliency._saliency_method import SaliencyMethod
from lightning_saliency.methods._ablation_cam import AblationCAM
from lightning_saliency.methods._active_gradient import ActiveGradient, InactiveGradient
from lightning_saliency.methods._blur_integrated_gradients import BlurIntegratedGradients
from lightning_saliency.methods._edge_map import EdgeMap
from lightning_saliency.methods._eigen_cam import EigenCAM
from lightning_saliency.methods._expected_grad_cam import ExpectedGradCAM
from lightning_saliency.methods._expected_gradients import ExpectedGradients
from lightning_saliency.methods._full_grad import FullGrad
from lightning_saliency.methods._grad_cam import GradCAM
from lightning_saliency.methods._grad_cam_plus_plus import GradCAMPlusPlus, SmoothGradCAMPlusPlus
from lightning_saliency.methods._gradient import Gradient
from lightning_saliency.methods._guided_absolute_grad import GuidedAbsoluteGrad
from lightning_saliency.methods._guided_integrated_gradients import GuidedIntegratedGradients
from lightning_saliency.methods._idgi import IDGI
from lightning_saliency.methods._input_x_gradient import InputXGradient
from lightning_saliency.methods._integrated_grad_cam import IntegratedGradCAM
from lightning_saliency.methods._integrated_gradients import IntegratedGradients
from lightning_saliency.methods._layer_cam import HiResCAM, LayerCAM
from lightning_saliency.methods._lrp import LRP
from lightning_saliency.methods._method import Method
from lightning_saliency.methods._positive_gradient import NegativeGradient, PositiveGradient
from lightning_saliency.methods._random_map import RandomMap
from lightning_saliency.methods._relu_methods import Deconvolution, GuidedBackprop, RectGrad
from lightning_saliency.methods._score_cam import ScoreCAM
from lightning_saliency.methods._smooth_grad import SmoothGrad, SquareGrad, VarGrad
from lightning_saliency.methods._x_grad_cam import XGradCAM

__all__ = [
    "IDGI",
    "LRP",
    "AblationCAM",
    "ActiveGradient",
    "BlurIntegratedGradients",
    "Deconvolution",
    "EdgeMap",
    "EigenCAM",
    "ExpectedGradCAM",
    "ExpectedGradients",
    "FullGrad",
    "GradCAM",
    "GradCAMPlusPlus",
    "Gradient",
    "GuidedAbsoluteGrad",
    "GuidedBackprop",
    "GuidedIntegratedGradients",
    "HiResCAM",
    "InactiveGradient",
    "InputXGradient",
    "IntegratedGradCAM",
    "IntegratedGradients",
    "LayerCAM",
    "Method",
    "NegativeGradient",
    "PositiveGradient",
    "RandomMap",
    "RectGrad",
    "SaliencyMethod",
    "ScoreCAM",
    "SmoothGrad",
    "SmoothGradCAMPlusPlus",
    "SquareGrad",
    "VarGrad",
    "XGradCAM",
]
