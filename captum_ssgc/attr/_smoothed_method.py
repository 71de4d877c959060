"""What the layer methods have in common whose only option is smoothing."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from captum_ssgc.attr._layer_method import FuseLayers, LayerMethod
from captum_ssgc.attr._method import stands_for
from captum_ssgc.attr._targets import Targets


class SmoothedMethod(LayerMethod):
    """A layer method whose gradient may be smoothed."""

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
        smoothing: float = 0.0,
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
            smoothing: standard deviation, in cells, of a Gaussian applied to the gradient (ODAM) or
                to its magnitude before the space map is normalised (SSGrad-CAM); 0 for none.
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
        smoothing: float = 0.0,
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
            smoothing: standard deviation, in cells, of a Gaussian applied to the gradient (ODAM) or
                to its magnitude before the space map is normalised (SSGrad-CAM); 0 for none.
            interpolate_mode: as in :meth:`LayerMethod.attribute`.
            fuse_layers: as in :meth:`LayerMethod.attribute`.

        Returns:
            As :meth:`LayerMethod.attribute_instances`: ``(K, 1, h, w)``, ``(K, 1, H, W)`` with
            ``interpolate_mode``; a tuple of them for a list of layers.

        Raises:
            IndexError, TypeError, ValueError: as :meth:`LayerMethod.attribute`.
        """
