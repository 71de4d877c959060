"""Spatial Sensitive Grad-CAM."""

from __future__ import annotations

from captum_ssgc.attr import _maps
from captum_ssgc.attr._method import register
from captum_ssgc.attr._smoothed_method import SmoothedMethod


@register
class SSGradCAM(SmoothedMethod):
    r"""Spatial Sensitive Grad-CAM: Grad-CAM times where its gradients are.

    .. math::

        L = \mathrm{ReLU}\Big(\sum_k w_k A^k S^k\Big), \quad
        w_k = \frac{1}{hw} \sum_{ij} g^k_{ij}, \quad
        S^k = \frac{|g^k|}{\max_{ij} |g^k_{ij}|}

    with activations :math:`A` and gradients :math:`g` of the instance's score.

    Args:
        forward_func: :class:`captum_ssgc.InstanceScoreWrapper`, or any forward function that
            Captum takes.
        layer: the module to attribute, or a list of modules (the levels of a feature pyramid).
        reshape_transform: brings layer outputs (and gradients) of another shape to
            ``(N, C, h, w)``.

    Raises:
        ValueError: if ``layer`` is no module of the model.

    Notes:
        The source smooths the space map and gives no size; here ``smoothing`` is 0 by default. A
        channel without any gradient has ``S = 0``.

    References:
        T. Yamauchi, M. Ishikawa, Spatial Sensitive Grad-CAM: Visual Explanations for Object
        Detection by Incorporating Spatial Sensitivity, ICIP 2022, pp. 256-260,
        doi:10.1109/ICIP46576.2022.9897350.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> _ = torch.manual_seed(0)
        >>> features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        >>> classifier = torch.nn.Sequential(
        ...     features, torch.nn.Flatten(), torch.nn.Linear(4 * 6 * 6, 5))
        >>> cam = ssgc.SSGradCAM(classifier, features)
        >>> cam.attribute(torch.rand(1, 3, 8, 8), target=3, interpolate_mode="bilinear").shape
        torch.Size([1, 1, 8, 8])
    """

    name, title = "ssgrad-cam", "SSGrad-CAM"
    maps = staticmethod(_maps.ssgrad_cam)
