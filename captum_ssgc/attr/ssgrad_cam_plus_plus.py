"""Spatial Sensitive Grad-CAM++."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from torch import Tensor

from captum_ssgc.attr._layer_cam import LayerCAM, MapOptions
from captum_ssgc.attr._maps import ssgrad_cam_plus_plus
from captum_ssgc.attr._masks import Mask


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

    def attribute(
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
        signed_activations: Literal["split", "as_is"] = "split",
        interpolate_mode: str | None = None,
        fuse_layers: Literal["max", "mean"] | None = None,
    ) -> Any:
        """Attribute the score of one instance per example.

        Args:
            inputs: ``(N, 3, H, W)``.
            target: index of the detection, or one per example.
            additional_forward_args: passed on to ``forward_func``; the wrapper's ``image_index``
                where it has several reference images.
            attribute_to_layer_input: use what the layer takes instead of what it gives.
            relu_attributions: keep the positive part (the method); otherwise both signs.
            attr_dim_summation: sum over the channels; otherwise every channel's contribution.
            grad_kwargs: passed on to ``torch.autograd.grad``.
            mask: ``"region"``: what the score was computed from (proposal or anchor); ``"box"``:
                the predicted box; a tensor, non-zero inside, ``(1|N, 1|C, H, W)`` in image pixels
                or ``(1|N, 1|C, h, w)`` on the layer's grid; ``None``: everywhere.
            smoothing: standard deviation, in cells, of a Gaussian applied to ``|g|`` before the
                space map is normalised; 0 for none.
            signed_activations: ``"split"`` or ``"as_is"``, see *Notes*.
            interpolate_mode: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``: bring the map to image
                pixels through the detector's own resize and padding; ``None``: leave it on the
                layer's grid.
            fuse_layers: for a list of layers: join their maps in image pixels.

        Returns:
            ``(N, 1, h, w)``, or ``(N, 1, H, W)`` with ``interpolate_mode``, values >= 0 and not
            normalised; a tuple of them for a list of layers, zero at levels that do not own the
            detection.

        Raises:
            IndexError: if ``target`` is out of range.
            ValueError: if the layer is not on the path to the score, runs several times, or feeds
                another pyramid level than this detection's; for a wrong mask or option.
        """
        options = MapOptions(
            mask, relu_attributions, attr_dim_summation, interpolate_mode, fuse_layers
        )
        return self._attribute(
            self._maps_function(smoothing, signed_activations),
            options,
            inputs,
            target,
            additional_forward_args,
            attribute_to_layer_input,
            grad_kwargs,
        )

    def attribute_instances(
        self,
        inputs: Tensor,
        targets: Sequence[int] | None = None,
        *,
        attribute_to_layer_input: bool = False,
        mask: Mask = "region",
        smoothing: float = 0.0,
        signed_activations: Literal["split", "as_is"] = "split",
        interpolate_mode: str | None = None,
        fuse_layers: Literal["max", "mean"] | None = None,
    ) -> Any:
        """Attribute many instances of one image, from one call of the vendor's forward.

        Args:
            inputs: ``(1, 3, H, W)``, the reference image.
            targets: indices of the detections; ``None`` for all.
            attribute_to_layer_input: as in :meth:`attribute`, as the other arguments.

        Returns:
            ``(K, 1, h, w)``, or ``(K, 1, H, W)`` with ``interpolate_mode``; a tuple of them for a
            list of layers.

        Raises:
            IndexError, ValueError: as :meth:`attribute`.
        """
        options = MapOptions(mask, interpolate_mode=interpolate_mode, fuse_layers=fuse_layers)
        return self._attribute_instances(
            self._maps_function(smoothing, signed_activations),
            options,
            inputs,
            targets,
            attribute_to_layer_input,
        )

    @staticmethod
    def _maps_function(smoothing: float, signed_activations: str) -> Any:
        if signed_activations not in ("split", "as_is"):
            raise ValueError(
                f"signed_activations: expected 'split' or 'as_is', got {signed_activations!r}."
            )
        if smoothing < 0:
            raise ValueError(f"smoothing: expected a width in cells >= 0, got {smoothing}.")
        return partial(
            ssgrad_cam_plus_plus, smoothing=smoothing, signed_activations=signed_activations
        )
