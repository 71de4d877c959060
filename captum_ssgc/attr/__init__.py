"""Attribution methods for single detections."""

# The order of these is the order of METHODS: the paper's, then further ones.
# isort: off
from captum_ssgc.attr.grad_cam import GradCAM
from captum_ssgc.attr.grad_cam_plus_plus import GradCAMPlusPlus
from captum_ssgc.attr.drise import DRISE
from captum_ssgc.attr.odam import ODAM
from captum_ssgc.attr.ssgrad_cam import SSGradCAM
from captum_ssgc.attr.ssgrad_cam_plus_plus import SSGradCAMPlusPlus
from captum_ssgc.attr.layer_cam import LayerCAM
from captum_ssgc.attr.hires_cam import HiResCAM
from captum_ssgc.attr.eigen_cam import EigenCAM
from captum_ssgc.attr.ssgrad_cam_plus_minus import SSGradCAMPlusMinus
from captum_ssgc.attr.refined_cam import RefinedCAM

# isort: on
from captum_ssgc.attr._formula import MapRequest
from captum_ssgc.attr._instance_map import InstanceMap
from captum_ssgc.attr._layer_method import LayerMethod
from captum_ssgc.attr._layers import LayerChoice, Layers
from captum_ssgc.attr._masks import Mask, check_mask
from captum_ssgc.attr._method import (
    METHODS,
    Method,
    PerturbationMethod,
    method_named,
    methods_named,
    register,
)
from captum_ssgc.attr._recording import Recording, recording
from captum_ssgc.attr._request_maps import RequestMaps

__all__ = [
    "DRISE",
    "METHODS",
    "ODAM",
    "EigenCAM",
    "GradCAM",
    "GradCAMPlusPlus",
    "HiResCAM",
    "InstanceMap",
    "LayerCAM",
    "LayerChoice",
    "LayerMethod",
    "Layers",
    "MapRequest",
    "Mask",
    "Method",
    "PerturbationMethod",
    "Recording",
    "RefinedCAM",
    "RequestMaps",
    "SSGradCAM",
    "SSGradCAMPlusMinus",
    "SSGradCAMPlusPlus",
    "check_mask",
    "method_named",
    "methods_named",
    "recording",
    "register",
]
