"""Spatial Sensitive Grad-CAM++."""

from __future__ import annotations

from captum_ssgc.attr import _maps
from captum_ssgc.attr._layer_cam import LayerCAM


class SSGradCAMPlusPlus(LayerCAM):
    r"""Spatial Sensitive Grad-CAM++: which pixels made the detector find this object.

    .. math::

        L = \mathrm{ReLU}\Big(\sum_k w_k A^k S^k\Big), \quad
        w_k = \sum_{ij} \alpha^k_{ij} \, \mathrm{ReLU}(g^k_{ij}), \quad
        S^k = \frac{|g^k|}{\max_{ij} |g^k_{ij}|}, \quad
        \alpha^k_{ij} = \frac{M_{ij}}{2 + g^k_{ij} \sum_{ab} A^k_{ab} M_{ab}}

    with activations :math:`A`, gradients :math:`g` of the instance's score, and :math:`M` the
    binary mask of the cells that belong to the instance.

    Args:
        forward_func: :class:`captum_ssgc.InstanceScoreWrapper`; or any forward function that
            Captum takes, then ``mask`` must be a tensor or ``None``.
        layer: the module to attribute, or a list of modules (the levels of a feature pyramid).
        reshape_transform: brings layer outputs (and gradients) of another shape to
            ``(N, C, h, w)``.

    Raises:
        ValueError: if ``layer`` is no module of the model.

    Notes:
        * ``alpha`` is the paper's eq. (10) with ``Y = exp(s)``, reduced to the form above: the
          powers of the gradient in the original form underflow float32.
        * ``alpha`` is 0 outside the mask, where the paper's score model does not depend on ``A``.
        * The derivation assumes ``A >= 0``. ``signed_activations="split"`` treats a signed layer
          as its positive and negative parts; for a layer after a ReLU it changes nothing.
        * The paper gives ``M`` a channel index; by default one mask serves all channels.
        * The measured effect of each choice is on the documentation's method page.

    References:
        T. Yamauchi, Spatial Sensitive Grad-CAM++: Improved Visual Explanation for Object Detectors
        via Weighted Combination of Gradient Map, CVPR Workshops 2024, pp. 8164-8168.

    Example:
        >>> import torch, torchvision, captum_ssgc as ssgc
        >>> _ = torch.manual_seed(0)
        >>> model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        ...     weights=None, weights_backbone=None, box_score_thresh=0.0).eval()
        >>> image = torch.rand(1, 3, 64, 96)
        >>> detector = ssgc.wrap_detector(model)
        >>> detections = detector.detect(image)[0]
        >>> wrapper = ssgc.InstanceScoreWrapper(detector, detections)
        >>> cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.layer_for(detections, 0))
        >>> cam.attribute(image, target=0, interpolate_mode="bilinear").shape
        torch.Size([1, 1, 64, 96])
    """

    maps = staticmethod(_maps.ssgrad_cam_plus_plus)
