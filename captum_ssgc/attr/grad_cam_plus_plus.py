"""Grad-CAM++."""

from __future__ import annotations

from captum_ssgc.attr import _maps
from captum_ssgc.attr._layer_method import LayerMethod
from captum_ssgc.attr._method import register


@register
class GradCAMPlusPlus(LayerMethod):
    r"""Grad-CAM++: activations weighted by their positive gradients, evenly over the area.

    .. math::

        L = \mathrm{ReLU}\Big(\sum_k w_k A^k\Big), \quad
        w_k = \sum_{ij} \alpha^k_{ij} \, \mathrm{ReLU}(g^k_{ij}), \quad
        \alpha^k_{ij} = \frac{1}{2 + g^k_{ij} \sum_{ab} A^k_{ab}}

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
        * ``alpha`` is the source's eq. (19) with ``Y = exp(s)``, reduced to the form above; there
          is no epsilon in it, so scaling activations by ``c`` and the score by ``1/c`` changes
          nothing but the scale of the map.
        * The derivation assumes ``A >= 0``. For a signed layer the product in the denominator is
          clamped at 0, so that ``alpha`` stays in (0, 1/2].

    References:
        A. Chattopadhay et al., Grad-CAM++: Generalized Gradient-Based Visual Explanations for Deep
        Convolutional Networks, WACV 2018, arXiv:1710.11063.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> _ = torch.manual_seed(0)
        >>> features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        >>> classifier = torch.nn.Sequential(
        ...     features, torch.nn.Flatten(), torch.nn.Linear(4 * 6 * 6, 5))
        >>> cam = ssgc.GradCAMPlusPlus(classifier, features)
        >>> cam.attribute(torch.rand(2, 3, 8, 8), target=[0, 3]).shape
        torch.Size([2, 1, 6, 6])
    """

    name, title = "grad-cam++", "Grad-CAM++"
    maps = staticmethod(_maps.grad_cam_plus_plus)
