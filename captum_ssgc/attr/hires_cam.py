"""HiResCAM."""

from __future__ import annotations

from captum_ssgc.attr import _maps
from captum_ssgc.attr._layer_method import LayerMethod
from captum_ssgc.attr._method import register


@register
class HiResCAM(LayerMethod):
    r"""HiResCAM: activations times their gradients, cell by cell.

    .. math::

        L = \mathrm{ReLU}\Big(\sum_k g^k A^k\Big)

    with activations :math:`A` and gradients :math:`g` of the score. Without smoothing, which is its
    default, :class:`ODAM` is the same formula and gives the same map; it stands here under its own
    name for those who look for it. ODAM adds smoothing, and the union with the box edges.

    Args:
        forward_func: :class:`captum_ssgc.InstanceScoreWrapper`, or any forward function that
            Captum takes (a classifier).
        layer: the module to attribute, or a list of modules (the levels of a feature pyramid).
        reshape_transform: brings layer outputs (and gradients) of another shape to
            ``(N, C, h, w)``.

    Raises:
        ValueError: if ``layer`` is no module of the model.

    Notes:
        * The source proves its faithfulness (the map's sum is the score, but for the bias) for
          networks in which one linear layer follows the attributed one, and for the score before
          softmax or sigmoid: ``output="logit"``. For other layers it is gradient times activation.
        * The source has no ReLU; ``relu_attributions=False`` leaves it out.

    References:
        R. L. Draelos, L. Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of
        convolutional neural networks, 2020, arXiv:2011.08891.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> _ = torch.manual_seed(0)
        >>> features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        >>> classifier = torch.nn.Sequential(
        ...     features, torch.nn.Flatten(), torch.nn.Linear(4 * 6 * 6, 5))
        >>> image = torch.rand(1, 3, 8, 8)
        >>> hires = ssgc.HiResCAM(classifier, features).attribute(image, target=3)
        >>> bool((hires == ssgc.ODAM(classifier, features).attribute(image, target=3)).all())
        True
    """

    name, title = "hires-cam", "HiResCAM"
    maps = staticmethod(_maps.hires_cam)
