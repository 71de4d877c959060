"""Eigen-CAM."""

from __future__ import annotations

from captum_ssgc.attr import _maps
from captum_ssgc.attr._layer_method import LayerMethod
from captum_ssgc.attr._method import register


@register
class EigenCAM(LayerMethod):
    r"""Eigen-CAM: the first principal component of the activations.

    .. math::

        L = \mathrm{ReLU}\Big(\sum_k v_k A^k\Big), \qquad
        v = \arg\max_{\|v\| = 1} \sum_{ij} \Big(\sum_k v_k A^k_{ij}\Big)^2

    the projection of the activations of each cell on their first right singular vector
    :math:`v`. It uses neither the gradient nor the score: **the map is the same for every class and
    for every detection of a pyramid level**, and shows what the layer reacts to, not why this
    object was found. It is no explanation of a single detection, and is here as what others
    call one, to be compared with.

    Args:
        forward_func: :class:`captum_ssgc.InstanceScoreWrapper`, or any forward function that
            Captum takes (a classifier).
        layer: the module to attribute, or a list of modules (the levels of a feature pyramid).
        reshape_transform: brings layer outputs (and gradients) of another shape to
            ``(N, C, h, w)``.

    Raises:
        ValueError: if ``layer`` is no module of the model.

    Notes:
        * The activations are not centred, as in the source; other implementations subtract the
          mean of each channel.
        * A singular vector has no sign, and the source leaves it open. Here it is the one for which
          the sum over the cells is not negative. After a ReLU all of the map is then >= 0; of a
          signed layer the smaller side is cut off.
        * A layer that the score does not depend on (no gradient at all, such as another pyramid
          level) has a map of zeros, as with every method here.
        * The vector is computed once for each layer, whatever the number of detections.

    References:
        M. B. Muhammad, M. Yeasin, Eigen-CAM: Class Activation Map using Principal Components, IJCNN
        2020, arXiv:2008.00299.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> _ = torch.manual_seed(0)
        >>> features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        >>> classifier = torch.nn.Sequential(
        ...     features, torch.nn.Flatten(), torch.nn.Linear(4 * 6 * 6, 5))
        >>> cam, image = ssgc.EigenCAM(classifier, features), torch.rand(1, 3, 8, 8)
        >>> bool((cam.attribute(image, target=0) == cam.attribute(image, target=3)).all())
        True
    """

    name, title = "eigen-cam", "Eigen-CAM"
    maps = staticmethod(_maps.eigen_cam)
