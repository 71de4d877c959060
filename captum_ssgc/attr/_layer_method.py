"""The base of all layer methods: what they take, and what they give."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import FunctionType
from typing import Any, ClassVar, Literal, get_args

import torch
from captum.attr import GradientAttribution, LayerAttribution
from torch import Tensor, nn

from captum_ssgc._arguments import shown
from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc._hooks import left_alone
from captum_ssgc._outputs import of_rows, with_label_indices
from captum_ssgc.attr._captum import as_tuple, call_forward, like_inputs, log_usage
from captum_ssgc.attr._capture import capturing
from captum_ssgc.attr._formula import WHOLE, Formula, MapRequest
from captum_ssgc.attr._layer_grid import Reshape
from captum_ssgc.attr._layers import Layers
from captum_ssgc.attr._maps import Maps
from captum_ssgc.attr._masks import Mask, check_mask
from captum_ssgc.attr._method import OF_THE_RUN, Method
from captum_ssgc.attr._own_functions import REQUIRED, Keywords
from captum_ssgc.attr._recording import Recording, recording
from captum_ssgc.attr._request_maps import RequestMaps
from captum_ssgc.attr._targets import Asked, Targets, asked_of_examples, asked_of_image
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Output
from captum_ssgc.geometry import check_mode
from captum_ssgc.instance_score import InstanceScoreWrapper

FuseLayers = Literal["max", "mean"]
DEFAULT_MASK = "region"
_EXPECTED = "expected a map function of activations, gradients, and options by keyword"
FUSIONS: tuple[str, ...] = get_args(FuseLayers)


class LayerMethod(Method, LayerAttribution, GradientAttribution):
    """Base of the methods that are a function of one layer's activations and gradients.

    A method is a subclass with a ``name``, a ``title`` and a map function,
    ``maps = staticmethod(...)``: activations and gradients ``(N, C, h, w)`` to contributions of the
    same shape. The further keywords of that function are options of :meth:`attribute`,
    :meth:`attribute_instances` and ``explain``; :func:`captum_ssgc.attr.register` offers the class
    by its name.

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

    gradient_based = True
    of_settings: ClassVar[Mapping[str, str]] = {"output": "output", "mask": "mask"}
    maps: ClassVar[Maps]

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: nn.Module | Sequence[nn.Module],
        reshape_transform: Reshape | None = None,
    ) -> None:
        self._layers = Layers.of_forward(forward_func, layer)
        self._wrapper = forward_func if isinstance(forward_func, InstanceScoreWrapper) else None
        self._reshape_transform = reshape_transform
        LayerAttribution.__init__(self, forward_func, layer)
        GradientAttribution.__init__(self, forward_func)

    @classmethod
    def keywords(cls) -> Keywords:
        """Those of the map function that are options."""
        function, caller = getattr(cls, "maps", None), f"{cls.__name__}.maps"
        if isinstance(function, FunctionType) and function.__code__.co_varnames[:1] == ("self",):
            raise TypeError(f"{caller}: {_EXPECTED}; it takes self: make it a staticmethod.")
        if not callable(function):
            raise TypeError(f"{caller}: {_EXPECTED}, got {shown(function)}.")
        taken = Keywords.checked(function, 2, f"{caller}: {_EXPECTED}")
        own = dict(taken.defaults)
        whole = own.pop(WHOLE, None)
        taken_already = [name for name in own if name in _arguments()]
        if whole is not None and whole is not REQUIRED:
            taken_already.append(WHOLE)
        if taken_already:
            raise ValueError(
                f"{caller}: its keyword {taken_already[0]!r} already means something else, in "
                "attribute or in a run: rename it."
            )
        if "mask" in own:
            own["mask"] = DEFAULT_MASK
        return replace(taken, defaults=own)

    @classmethod
    def reserved(cls) -> frozenset[str]:
        """What a map function gets that names it, and arguments of :meth:`attribute`."""
        return _arguments() | {"mask", WHOLE}

    @classmethod
    def recorded(cls, options: Mapping[str, Any]) -> type[LayerMethod] | None:
        """The method itself."""
        return cls

    @classmethod
    def check_values(cls, options: Mapping[str, Any]) -> None:
        """Let a map function of this package look at its options.

        One that a window serves takes a window of one cell. One of yours may need more than that,
        and nothing is known of it before the run.
        """
        if "mask" in options:
            check_mask(options["mask"])
        own = {name: value for name, value in options.items() if name != "mask"}
        if own and Formula(cls.maps).is_known:
            cell = torch.ones(1, 1, 1, 1, dtype=torch.float32, device="cpu")
            cls.maps(cell, cell, **own)

    @classmethod
    def request(
        cls,
        options: Mapping[str, Any],
        output: Output = "score",
        *,
        relu_attributions: bool = True,
        attr_dim_summation: bool = True,
        has_detections: bool = True,
        caller: str | None = None,
    ) -> MapRequest:
        """This method with its options as one value.

        Args:
            options: keywords of the map function, ``mask`` among them.
            output: of the wrapper.
            relu_attributions: keep the positive part.
            attr_dim_summation: sum over the channels.
            has_detections: whether the instances are known, for the default mask.
            caller: to name in an error.

        Raises:
            TypeError: for an option that the method does not have, or that it misses.
            ValueError: for a wrong mask.
        """
        caller = caller or f"{cls.__name__}.attribute"
        cls.check_options(options, caller)
        cls.check_complete(options, caller)
        bound = dict(options)
        mask: Mask = None
        if "mask" in cls.option_names():
            mask = bound.pop("mask", DEFAULT_MASK)
            check_mask(mask, has_detections)
        formula = Formula(cls.maps, bound, f"{cls.__name__}.maps")
        return MapRequest(cls.title, formula, mask, output, relu_attributions, attr_dim_summation)

    @leaves_all_as_before
    @log_usage()
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
        **options: Any,
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
            interpolate_mode: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``: bring the map to image
                pixels through the detector's own resize and padding; ``None``: leave it on the
                layer's grid.
            fuse_layers: ``"max"`` or ``"mean"``: for a list of layers, join their maps in image
                pixels.
            options: keywords of the map function of your own subclass.

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
        _check_joining(fuse_layers, interpolate_mode)
        request = self._request("attribute", options, relu_attributions, attr_dim_summation)
        images = as_tuple(inputs)
        instances = None
        if self._wrapper is not None:
            asked = asked_of_examples(self._wrapper, images, target, additional_forward_args)
            instances, target = asked.instances, asked.indices
            self._refuse_wrong_level(instances)
        model = self.forward_func if isinstance(self.forward_func, nn.Module) else None
        with capturing(model, self._layers.modules, attribute_to_layer_input) as capture:
            scores = call_forward(self.forward_func, images, target, additional_forward_args)
            if scores.numel() not in (1, images[0].shape[0]):
                raise ValueError(
                    f"the forward function gives {tuple(scores.shape)} values for "
                    f"{images[0].shape[0]} examples: pass target= to choose one for each."
                )
        run = Recording(self._layers, capture, images[0], reshape_transform=self._reshape_transform)
        with torch.inference_mode(False):
            made = run.of_examples(request, scores, instances, grad_kwargs)
        made.warn(refused=True)
        return like_inputs(inputs, self._result(made, interpolate_mode, fuse_layers))

    @leaves_all_as_before
    def attribute_instances(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        targets: Targets = None,
        *,
        attribute_to_layer_input: bool = False,
        relu_attributions: bool = True,
        attr_dim_summation: bool = True,
        interpolate_mode: str | None = None,
        fuse_layers: FuseLayers | None = None,
        **options: Any,
    ) -> Any:
        """Attribute many instances of one image, from one call of the vendor's forward.

        Args:
            inputs: ``(1, 3, H, W)``, the reference image; in a tuple, so is what comes back.
            targets: index of a detection, or a list or 1-D tensor of several; ``None`` for all.
            attribute_to_layer_input: use what the layer takes instead of what it gives.
            relu_attributions: keep the positive part (the method); otherwise both signs.
            attr_dim_summation: sum over the channels; otherwise every channel's contribution.
            interpolate_mode: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``: bring the maps to
                image pixels; ``None``: leave them on the layer's grid.
            fuse_layers: ``"max"`` or ``"mean"``: for a list of layers, join their maps in image
                pixels.
            options: keywords of the map function of your own subclass.

        Returns:
            ``(K, 1, h, w)``, or ``(K, 1, H, W)`` with ``interpolate_mode``; a tuple of them for a
            list of layers. Row ``i`` is what :meth:`attribute` gives for ``targets[i]``.

        Raises:
            IndexError, TypeError, ValueError: as :meth:`attribute`.
        """
        _check_joining(fuse_layers, interpolate_mode)
        request = self._request(
            "attribute_instances", options, relu_attributions, attr_dim_summation
        )
        asked = asked_of_image(self._wrapper, inputs, targets)
        if _runs_as_written(asked.wrapper):
            [made] = self._of_instances([request], asked, attribute_to_layer_input)
        else:
            [made] = self._of_wrapper([request], asked, attribute_to_layer_input)
        made.warn(refused=True)
        return like_inputs(inputs, self._result(made, interpolate_mode, fuse_layers))

    def _request(
        self,
        call: str,
        options: Mapping[str, Any],
        relu_attributions: bool,
        attr_dim_summation: bool,
    ) -> MapRequest:
        return self.request(
            options,
            "score" if self._wrapper is None else self._wrapper.output,
            relu_attributions=relu_attributions,
            attr_dim_summation=attr_dim_summation,
            has_detections=self._wrapper is not None,
            caller=f"{type(self).__name__}.{call}",
        )

    def _of_instances(
        self,
        requests: Sequence[MapRequest],
        asked: Asked,
        of_input: bool,
    ) -> list[RequestMaps]:
        self._refuse_wrong_level(asked.instances)
        names = asked.wrapper.detector.label_names
        requests = [
            replace(one, output=of_rows(with_label_indices(one.output, names), asked.indices))
            for one in requests
        ]
        with recording(
            asked.wrapper.detector,
            self._layers,
            asked.images,
            asked.instances,
            outputs=[request.output for request in requests],
            of_input=of_input,
            reshape_transform=self._reshape_transform,
        ) as run:
            return run.of_instances(requests, asked.instances)

    def _of_wrapper(
        self, requests: Sequence[MapRequest], asked: Asked, of_input: bool
    ) -> list[RequestMaps]:
        """Of what the wrapper gives, where that is not what its detector gives."""
        self._refuse_wrong_level(asked.instances)
        with capturing(asked.wrapper, self._layers.modules, of_input) as capture:
            values = asked.wrapper(asked.images)[0, asked.indices]
        run = Recording(
            self._layers, capture, asked.images, reshape_transform=self._reshape_transform
        )
        with torch.inference_mode(False):
            return run.of_instances(requests, asked.instances, values=values)

    def _refuse_wrong_level(self, instances: Detections) -> None:
        for problem in self._layers.wrong_level(instances).values():
            raise ValueError(problem)

    def _result(self, made: RequestMaps, mode: str | None, fused: FuseLayers | None) -> Any:
        """What the user gets: one tensor, or a tuple for a list of layers."""
        if mode is None and fused is None:
            maps = made.on_grids()
        else:
            maps = made.in_image_pixels(mode or "bilinear", fused)
        return tuple(maps) if self._layers.several and fused is None else maps[0]


def _runs_as_written(wrapper: InstanceScoreWrapper) -> bool:
    """Whether it gives what its detector gives: a subclass, and hooks, may make more of that."""
    written = type(wrapper).forward is InstanceScoreWrapper.forward
    return written and left_alone([wrapper])


@cache
def _arguments() -> frozenset[str]:
    """Names that mean something else than an option of a map function."""
    calls = (LayerMethod.attribute, LayerMethod.attribute_instances)
    written = {name for call in calls for name in inspect.signature(call).parameters}
    return frozenset((written - {"options"}) | {"output", "outputs", *OF_THE_RUN})


def _check_joining(fuse_layers: object, interpolate_mode: object) -> None:
    if not (fuse_layers is None or (isinstance(fuse_layers, str) and fuse_layers in FUSIONS)):
        raise ValueError(f"fuse_layers: expected 'max', 'mean' or None, got {shown(fuse_layers)}.")
    if interpolate_mode is not None:
        check_mode(interpolate_mode)
