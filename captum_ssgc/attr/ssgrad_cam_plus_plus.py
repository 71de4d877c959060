"""Spatial Sensitive Grad-CAM++."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from captum_ssgc.attr import _maps
from captum_ssgc.attr._layer_method import FuseLayers, LayerMethod
from captum_ssgc.attr._maps import SignedActivations
from captum_ssgc.attr._masks import Mask
from captum_ssgc.attr._method import register, stands_for
from captum_ssgc.attr._targets import Targets


@register
class SSGradCAMPlusPlus(LayerMethod):
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

    name, title = "ssgrad-cam++", "SSGrad-CAM++"
    maps = staticmethod(_maps.ssgrad_cam_plus_plus)

    @stands_for(LayerMethod.attribute)
    def attribute(  # type: ignore[override]
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        attribute_to_layer_input: bool = False,
        relu_attributions: bool = True,
        attr_dim_summation: bool = True,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        mask: Mask = "region",
        smoothing: float = 0.0,
        signed_activations: SignedActivations = "split",
        interpolate_mode: str | None = None,
        fuse_layers: FuseLayers | None = None,
    ) -> Any:
        """Attribute one output per example, the score of one instance with the wrapper.

        Args:
            inputs: ``(N, 3, H, W)``.
            target: index of the detection, or one per example; for another ``forward_func`` what
                Captum takes.
            additional_forward_args: passed on to ``forward_func``; the wrapper's ``image_index``
                where it has several reference images.
            attribute_to_layer_input: use what the layer takes instead of what it gives.
            relu_attributions: keep the positive part (the method); otherwise both signs.
            attr_dim_summation: sum over the channels; otherwise every channel's contribution.
            grad_kwargs: passed on to ``torch.autograd.grad``.
            mask: ``"region"``: what the score was computed from (proposal or anchor); ``"box"``:
                the predicted box; ``"mask"``: the predicted mask, of a model that gives one; a
                tensor, non-zero inside, ``(1|N, 1|C, H, W)`` in image pixels or
                ``(1|N, 1|C, h, w)`` on the layer's grid, where ``N`` counts the instances;
                ``None``: everywhere. The names need :class:`captum_ssgc.InstanceScoreWrapper`.
            smoothing: standard deviation, in cells, of a Gaussian applied to the magnitude of the
                gradient before the space map is normalised; 0 for none.
            signed_activations: ``"split"``: the layer as its positive and its negative part, which
                are both >= 0; ``"as_is"``: the formula literally. The same for a layer after a
                ReLU.
            interpolate_mode: as in :meth:`LayerMethod.attribute`.
            fuse_layers: as in :meth:`LayerMethod.attribute`.

        Returns:
            As :meth:`LayerMethod.attribute`: ``(N, 1, h, w)``, ``(N, 1, H, W)`` with
            ``interpolate_mode``; a tuple of them for a list of layers.

        Raises:
            IndexError, TypeError, ValueError: as :meth:`LayerMethod.attribute`.
        """

    @stands_for(LayerMethod.attribute_instances)
    def attribute_instances(  # type: ignore[override]
        self,
        inputs: Tensor | tuple[Tensor, ...],
        targets: Targets = None,
        *,
        attribute_to_layer_input: bool = False,
        relu_attributions: bool = True,
        attr_dim_summation: bool = True,
        mask: Mask = "region",
        smoothing: float = 0.0,
        signed_activations: SignedActivations = "split",
        interpolate_mode: str | None = None,
        fuse_layers: FuseLayers | None = None,
    ) -> Any:
        """Attribute many instances of one image, from one call of the vendor's forward.

        Args:
            inputs: ``(1, 3, H, W)``, the reference image; in a tuple, so is what comes back.
            targets: index of a detection, or a list or 1-D tensor of several; ``None`` for all.
            attribute_to_layer_input: use what the layer takes instead of what it gives.
            relu_attributions: keep the positive part (the method); otherwise both signs.
            attr_dim_summation: sum over the channels; otherwise every channel's contribution.
            mask: ``"region"``: what the score was computed from (proposal or anchor); ``"box"``:
                the predicted box; ``"mask"``: the predicted mask, of a model that gives one; a
                tensor, non-zero inside, ``(1|N, 1|C, H, W)`` in image pixels or
                ``(1|N, 1|C, h, w)`` on the layer's grid, where ``N`` counts the instances;
                ``None``: everywhere. The names need :class:`captum_ssgc.InstanceScoreWrapper`.
            smoothing: standard deviation, in cells, of a Gaussian applied to the magnitude of the
                gradient before the space map is normalised; 0 for none.
            signed_activations: ``"split"``: the layer as its positive and its negative part, which
                are both >= 0; ``"as_is"``: the formula literally. The same for a layer after a
                ReLU.
            interpolate_mode: as in :meth:`LayerMethod.attribute`.
            fuse_layers: as in :meth:`LayerMethod.attribute`.

        Returns:
            As :meth:`LayerMethod.attribute_instances`: ``(K, 1, h, w)``, ``(K, 1, H, W)`` with
            ``interpolate_mode``; a tuple of them for a list of layers.

        Raises:
            IndexError, TypeError, ValueError: as :meth:`LayerMethod.attribute`.
        """
