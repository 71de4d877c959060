"""LayerCAM."""

from __future__ import annotations

from captum_ssgc.attr import _maps
from captum_ssgc.attr._layer_method import LayerMethod
from captum_ssgc.attr._method import register


@register
class LayerCAM(LayerMethod):
    r"""LayerCAM: activations times their positive gradients, cell by cell.

    .. math::

        L = \mathrm{ReLU}\Big(\sum_k \mathrm{ReLU}(g^k) A^k\Big)

    with activations :math:`A` and gradients :math:`g` of the score. It differs from ODAM in that
    cells that lower the score do not count against it.

    Args:
        forward_func: :class:`captum_ssgc.InstanceScoreWrapper`, or any forward function that
            Captum takes (a classifier).
        layer: the module to attribute, or a list of modules (the levels of a feature pyramid).
        reshape_transform: brings layer outputs (and gradients) of another shape to
            ``(N, C, h, w)``.

    Raises:
        ValueError: if ``layer`` is no module of the model.

    Notes:
        The source scales the maps of shallow layers by a hyperbolic tangent before it joins them
        with others; here maps are given as they are, and several layers are joined by their
        maximum or mean.

    References:
        P.-T. Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps for Localization,
        IEEE Transactions on Image Processing 30, 2021, doi:10.1109/TIP.2021.3089943.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> _ = torch.manual_seed(0)
        >>> features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        >>> classifier = torch.nn.Sequential(
        ...     features, torch.nn.Flatten(), torch.nn.Linear(4 * 6 * 6, 5))
        >>> cam = ssgc.LayerCAM(classifier, features)
        >>> cam.attribute(torch.rand(2, 3, 8, 8), target=[0, 3]).shape
        torch.Size([2, 1, 6, 6])
    """

    name, title = "layer-cam", "LayerCAM"
    maps = staticmethod(_maps.layer_cam)
