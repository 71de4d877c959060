"""The base of all layer methods: what they take, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from captum.attr import GradientAttribution, LayerAttribution
from torch import Tensor, nn

from captum_ssgc.attr._forward_maps import ForwardMaps
from captum_ssgc.attr._layer_map import MapOptions, warn_if_empty
from captum_ssgc.attr._masks import check_mask
from captum_ssgc.attr._options import (
    DEFAULT_MASK,
    MapArguments,
    Maps,
    check_options,
    option_names,
    spelled_out,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

FuseLayers = Literal["max", "mean"]


class LayerCAM(LayerAttribution, GradientAttribution):
    """Base of the methods that are a function of one layer's activations and gradients.

    A method is a subclass with a map function, ``maps = staticmethod(...)``: activations and
    gradients ``(N, C, h, w)`` to contributions of the same shape. The further keywords of that
    function become arguments of :meth:`attribute` and :meth:`attribute_instances`.

    Args:
        forward_func: :class:`captum_ssgc.InstanceScoreWrapper`, or any module or function that
            Captum takes.
        layer: the module to attribute, or a list of them (the levels of a feature pyramid).
        reshape_transform: for layers whose output is not ``(N, C, h, w)``, such as the tokens of a
            transformer ``(N, T, C)``: a function that brings output and gradient into that shape.
            ``None``: the detector's own for this layer, where it has one.

    Raises:
        ValueError: if ``layer`` is no module of the model.
    """

    maps: ClassVar[Maps]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for method in (LayerCAM.attribute, LayerCAM.attribute_instances):
            if "maps" in cls.__dict__ and method.__name__ not in cls.__dict__:
                setattr(cls, method.__name__, spelled_out(method, cls.maps, cls))

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: nn.Module | Sequence[nn.Module],
        reshape_transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._forward_maps = ForwardMaps(forward_func, layer, reshape_transform)
        LayerAttribution.__init__(self, forward_func, layer)
        GradientAttribution.__init__(self, forward_func)

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
        interpolate_mode: str | None = None,
        fuse_layers: FuseLayers | None = None,
        **options: Unpack[MapArguments],
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
            **options: keywords of the method's map function.
            interpolate_mode: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``: bring the map to image
                pixels through the detector's own resize and padding; ``None``: leave it on the
                layer's grid.
            fuse_layers: ``"max"`` or ``"mean"``: for a list of layers, join their maps in image
                pixels.

        Returns:
            ``(N, 1, h, w)``, or ``(N, 1, H, W)`` with ``interpolate_mode``, values >= 0 and not
            normalised; a tuple of them for a list of layers, zero at levels that do not own the
            detection. Inputs in a tuple give a tuple, as everywhere in Captum, whose
            ``sensitivity_max`` relies on it.

        Raises:
            IndexError: if ``target`` is out of range.
            TypeError: for an option that the method does not have.
            ValueError: if the layer is not on the path to the score, runs several times, or feeds
                another pyramid level than this detection's; for a wrong mask or option.
        """
        chosen = self._options(
            options, relu_attributions, attr_dim_summation, interpolate_mode, fuse_layers
        )
        found, scores = self._forward_maps.of_examples(
            chosen, inputs, target, additional_forward_args, attribute_to_layer_input, grad_kwargs
        )
        warn_if_empty(found, scores, type(self).__name__)
        result = self._forward_maps.result(found, chosen, inputs)
        return (result,) if isinstance(inputs, tuple) and isinstance(result, Tensor) else result

    def attribute_instances(
        self,
        inputs: Tensor,
        targets: Sequence[int] | None = None,
        *,
        attribute_to_layer_input: bool = False,
        relu_attributions: bool = True,
        attr_dim_summation: bool = True,
        interpolate_mode: str | None = None,
        fuse_layers: FuseLayers | None = None,
        **options: Unpack[MapArguments],
    ) -> Any:
        """Attribute many instances of one image, from one call of the vendor's forward.

        Args:
            inputs: ``(1, 3, H, W)``, the reference image.
            targets: indices of the detections; ``None`` for all.
            attribute_to_layer_input: use what the layer takes instead of what it gives.
            relu_attributions: keep the positive part (the method); otherwise both signs.
            attr_dim_summation: sum over the channels; otherwise every channel's contribution.
            **options: keywords of the method's map function.
            interpolate_mode: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``: bring the maps to
                image pixels; ``None``: leave them on the layer's grid.
            fuse_layers: ``"max"`` or ``"mean"``: for a list of layers, join their maps in image
                pixels.

        Returns:
            ``(K, 1, h, w)``, or ``(K, 1, H, W)`` with ``interpolate_mode``; a tuple of them for a
            list of layers. Row ``i`` is what :meth:`attribute` gives for ``targets[i]``.

        Raises:
            IndexError, TypeError, ValueError: as :meth:`attribute`.
        """
        chosen = self._options(
            options, relu_attributions, attr_dim_summation, interpolate_mode, fuse_layers
        )
        [(found, scores)] = self._forward_maps.of_instances(
            chosen, inputs, targets, None, attribute_to_layer_input
        )
        warn_if_empty(found, scores, type(self).__name__)
        return self._forward_maps.result(found, chosen, inputs)

    def _options(self, own: MapArguments, *shared: Any) -> MapOptions:
        """All options as one, those of the map function bound to it."""
        maps = type(self).maps
        check_options(maps, own, f"{type(self).__name__}.attribute")
        bound = dict(own)
        mask: Any = None
        if "mask" in option_names(maps):
            mask = bound.pop("mask", DEFAULT_MASK)
            check_mask(mask, self._forward_maps.wrapper is not None)
        return MapOptions(partial(maps, **bound), mask, *shared)
