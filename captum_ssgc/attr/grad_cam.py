"""Grad-CAM."""

from __future__ import annotations

from captum_ssgc.attr import _maps
from captum_ssgc.attr._layer_method import LayerMethod
from captum_ssgc.attr._method import register


@register
class GradCAM(LayerMethod):
    r"""Grad-CAM: activations weighted by their mean gradients.

    .. math::

        L = \mathrm{ReLU}\Big(\sum_k w_k A^k\Big), \quad
        w_k = \frac{1}{h w} \sum_{ij} g^k_{ij}

    with activations :math:`A` and gradients :math:`g` of the score. One weight per channel serves
    the whole map, so it explains an image's class better than one of several objects.

    Args:
        forward_func: :class:`captum_ssgc.InstanceScoreWrapper`, or any forward function that
            Captum takes (a classifier).
        layer: the module to attribute, or a list of modules (the levels of a feature pyramid).
        reshape_transform: brings layer outputs (and gradients) of another shape to
            ``(N, C, h, w)``.

    Raises:
        ValueError: if ``layer`` is no module of the model.

    Notes:
        The map equals that of Captum's ``LayerGradCam`` with ``relu_attributions=True``; what this
        class adds are the wrapper's detections: many of them from one forward, maps in image
        pixels, lists of layers.

    References:
        R. R. Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
        Localization, ICCV 2017, arXiv:1610.02391.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> _ = torch.manual_seed(0)
        >>> features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        >>> classifier = torch.nn.Sequential(
        ...     features, torch.nn.Flatten(), torch.nn.Linear(4 * 6 * 6, 5))
        >>> cam = ssgc.GradCAM(classifier, features)
        >>> cam.attribute(torch.rand(2, 3, 8, 8), target=[0, 3]).shape
        torch.Size([2, 1, 6, 6])
    """

    name, title = "grad-cam", "Grad-CAM"
    maps = staticmethod(_maps.grad_cam)
