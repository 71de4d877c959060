"""One forward, recorded: the gradients of its values at the layers, and the maps made of them.

Everything that needs activations and gradients goes through here: ``attribute``,
``attribute_instances``, ``attribute_union``, ``explain`` and the benchmark.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from captum_ssgc._arguments import shown
from captum_ssgc._hooks import forward_hooks
from captum_ssgc._windows import WindowGradient, nonzero_windows
from captum_ssgc.attr._batched_gradients import at_once, gradients_of_each
from captum_ssgc.attr._captum import plain
from captum_ssgc.attr._capture import LayerCapture, capturing
from captum_ssgc.attr._formula import MapRequest
from captum_ssgc.attr._half_gradients import gradients_of
from captum_ssgc.attr._layer_grid import GridMasks, LayerGrid, Reshape
from captum_ssgc.attr._layers import Layers
from captum_ssgc.attr._masks import Mask
from captum_ssgc.attr._request_maps import RequestMaps
from captum_ssgc.attr._row_gradients import in_groups
from captum_ssgc.detections import Detections
from captum_ssgc.detector import OUTPUTS, Detector, LocalGradients, Output
from captum_ssgc.geometry import CellGrid, ImageGeometry
from captum_ssgc.map_layout import check_map_layout


class Recording:
    """What passed through the layers in one forward of ``images``.

    Args:
        layers: that were captured.
        capture: their tensors.
        images: ``(N, 3, H, W)``.
        raw: of :meth:`captum_ssgc.Detector.run`, where a detector ran on one image.
        reshape_transform: the user's; ``None`` for the detector's own.
        detections: that the detector ran for; ``None`` for all.

    Raises:
        ValueError: if a layer did not run once, or gave no grid.
    """

    def __init__(
        self,
        layers: Layers,
        capture: LayerCapture,
        images: Tensor,
        raw: Any = None,
        reshape_transform: Reshape | None = None,
        detections: Detections | None = None,
    ) -> None:
        self.layers, self.images, self.raw = layers, images, raw
        self._detections = detections
        self._reshape, self._of_input = reshape_transform, capture.of_input
        self._geometry = cache(partial(_geometry_of, layers.detector, tuple(images.shape)))
        self._image = images[:1].detach()
        self._grids = self._recorded(capture)

    def _recorded(self, capture: LayerCapture) -> list[LayerGrid]:
        self._has_graph, self._went_on = capture.with_graph, capture.went_on
        tensors = capture.tensors(self.layers.names.__getitem__, self.layers.advice)
        pairs = zip(self.layers.modules, tensors, strict=True)
        return [self._grid(module, tensor) for module, tensor in pairs]

    def of_examples(
        self,
        request: MapRequest,
        scores: Tensor,
        instances: Detections | None,
        grad_kwargs: dict[str, Any] | None = None,
    ) -> RequestMaps:
        """Maps of one value per image.

        Args:
            request: what to make.
            scores: ``(N,)`` or one value, with graph.
            instances: ``N`` detections that the values belong to, where they are known.
            grad_kwargs: of ``torch.autograd.grad``.

        Raises:
            ValueError: if no layer is on the path to the values.
        """
        count = self.images.shape[0]
        made = RequestMaps(request, self.layers, self._grids, [None] * count, instances)
        gradients = self._gradients(scores.sum(), self._grids, request.output, grad_kwargs)
        made.values = scores.detach().reshape(-1)
        for place, gradient in enumerate(gradients):
            masks = self._grids[place].masks(request.mask_used, count, instances)
            mask, whole = masks.of_examples()
            made.add_examples(place, gradient, mask, whole)
            alive = gradient.values.flatten(1).ne(0).any(1).tolist()
            for row in (row for row, any_left in enumerate(alive) if any_left):
                made.note_window(row, gradient.window, masks.window(row))
        return made

    def of_instances(
        self,
        requests: Sequence[MapRequest],
        instances: Detections,
        clock: Callable[[], float] | None = None,
        values: Tensor | None = None,
    ) -> list[RequestMaps]:
        """Maps of many detections of the one image, from shared gradients.

        Args:
            requests: what to make of each detection.
            instances: ``K`` detections, among the candidates of the recorded run.
            clock: seconds; ``None`` for no timing of single requests.
            values: of all requests, ``(K,)`` with graph; ``None`` for those of the detector.

        Raises:
            ValueError: if no layer is on the path to a value.
        """
        levels: list[int | None] = list(instances.levels.tolist())
        clock = clock or time.perf_counter
        made = [
            RequestMaps(request, self.layers, self._grids, levels, instances)
            for request in requests
        ]

        @cache
        def masks_of(place: int, mask: Mask) -> GridMasks:
            return self._grids[place].masks(mask, len(levels), instances)

        for output in dict.fromkeys(request.output for request in requests):
            group = [one for one in made if one.request.output == output]
            each, gradients = self._each_gradient(instances, levels, output, values)
            for one in group:
                one.values = each
            for some in gradients:
                self._make(group, some, masks_of, clock)
                del some  # so that the next ones do not come on top
        return made

    def _make(
        self,
        group: Sequence[RequestMaps],
        some: Sequence[tuple[int, int, WindowGradient]],
        masks_of: Callable[[int, Mask], GridMasks],
        clock: Callable[[], float],
    ) -> None:
        """Maps of each request from gradients of some rows, each at a place."""
        for place, rows in in_groups(some, [grid.size for grid in self._grids]):
            for one in group:
                start = clock()
                masks = masks_of(place, one.request.mask_used)
                for part in rows.parts(one.request.reach):
                    one.add(place, part, *masks.of(part.rows))
                one.seconds += clock() - start
        for row, place, gradient in some:
            for one in group:
                own = masks_of(place, one.request.mask_used)
                one.note_window(row, gradient.window, own.window(row))

    def heat_maps(
        self,
        requests: Sequence[MapRequest],
        instances: Detections,
        clock: Callable[[], float] | None = None,
    ) -> list[RequestMaps]:
        """As :meth:`of_instances`, with a warning for empty maps and for layers that do not fit.

        Other detections of the image may well be of the layer's level, so that it is no error.
        """
        made = self.of_instances(requests, instances, clock)
        for one in made:
            one.warn(refused=False)
        return made

    @property
    def geometry(self) -> ImageGeometry:
        """How the images lie on the network's canvas."""
        return self._geometry()

    @property
    def _image_size(self) -> tuple[int, int]:
        return (self.images.shape[-2], self.images.shape[-1])

    @property
    def _detector(self) -> Detector:
        if self.layers.detector is None or self.raw is None:
            raise ValueError("this needs the recorded run of a detector.")
        return self.layers.detector

    def _grid(self, module: nn.Module, tensor: Tensor) -> LayerGrid:
        """What knows nothing of the recording: else only the garbage collector would free both."""
        reshape, detector, image_size = self._reshape, self.layers.detector, self._image_size
        geometry, as_detector = self._geometry, not self._of_input and reshape is None
        image = self._image
        if reshape is not None:  # the user's, which may write to what it is given
            reshape = partial(_of_copy, reshape)
        elif detector is not None and self.images.dim() == 4:
            reshape = detector.reshape_transform_for(module, image_size)

        def cells(size: tuple[int, int]) -> CellGrid:
            if detector is None or not as_detector:
                return geometry().cells(size)
            return detector.cell_grid(module, image_size, size, image)

        name, count = self.layers.names[module], self.images.shape[0]
        grid = LayerGrid(tensor, count, name, self.layers.advice, reshape, geometry, cells)
        if detector is not None and self._reshape is None:
            check_map_layout(grid.activations.shape, self.geometry.canvas_size, name)
        return grid

    def _each_gradient(
        self,
        instances: Detections,
        levels: Sequence[int | None],
        output: Output,
        values: Tensor | None,
    ) -> tuple[Tensor, Iterable[list[tuple[int, int, WindowGradient]]]]:
        """The values, and row, place of the layer, and gradient of each at the layers serving it.

        Of some rows after the others, as many as may be held at once.

        From the few features that a value depends on, where the detector knows how; otherwise by
        going back through the network.
        """
        if values is not None:
            return values.detach(), self._through_network(values, levels, output)
        local = self._local_gradients(instances, levels, output)
        if local is not None:
            places = [self.layers.places(level)[0] for level in levels]
            single = [
                WindowGradient(one.window, one.values.to(self._grids[place].activations))
                for one, place in zip(local.gradients, places, strict=True)
            ]
            return local.values, [list(zip(range(len(places)), places, single, strict=True))]
        if not self._has_graph:
            self._run_again()
        values = self._detector.values(self.raw, [instances], output)[0]
        return values.detach(), self._through_network(values, levels, output)

    def _run_again(self) -> None:
        """With a graph, where a short cut was expected that the model does not allow."""
        with capturing(self._detector.model, self.layers.modules) as capture:
            self.raw = _run(self._detector.run, self.images, self._detections)
        self._grids = self._recorded(capture)

    def _local_gradients(
        self, instances: Detections, levels: Sequence[int | None], output: Output
    ) -> LocalGradients | None:
        if self._of_input or any(grid.reshaped for grid in self._grids):
            return None
        places = {level: self.layers.places(level) for level in set(levels) if level is not None}
        of_levels = self._detector.level_layers() or self.layers.modules
        for level, at in places.items():
            if (
                len(at) != 1
                or of_levels[min(level, len(of_levels) - 1)] is not (self.layers.modules[at[0]])
            ):
                return None
        # Values cannot tell: a function between the two may change the gradient alone.
        for level, taken in self._detector.head_features(self.raw).items():
            if level in places and not self._went_on(self.layers.modules[places[level][0]], taken):
                return None
        features = {level: self._grids[at[0]].tensor.detach() for level, at in places.items()}
        return self._detector.local_gradients(self.raw, features, instances, output)

    def _through_network(
        self, values: Tensor, levels: Sequence[int | None], output: Output
    ) -> Iterator[list[tuple[int, int, WindowGradient]]]:
        of_layers: dict[tuple[int, ...], list[int]] = {}
        for row, level in enumerate(levels):
            of_layers.setdefault(tuple(self.layers.places(level)), []).append(row)
        for places, rows in of_layers.items():
            entries = sum(self._grids[place].tensor.numel() for place in places)
            step = at_once(entries, values.device)
            for start in range(0, len(rows), step):
                yield self._back_to_layers(values, rows[start : start + step], places, output)

    def _back_to_layers(
        self, values: Tensor, rows: Sequence[int], places: Sequence[int], output: Output
    ) -> list[tuple[int, int, WindowGradient]]:
        grids = [self._grids[place] for place in places]
        slopes = gradients_of_each(values, rows, [grid.tensor for grid in grids])
        dense = [one for own in slopes for one in self._on_grids(own, grids, output)]
        where = [(row, place) for row in rows for place in places]
        pairs = zip(where, _cropped(dense), strict=True)
        return [(row, place, gradient) for (row, place), gradient in pairs]

    def _gradients(
        self,
        value: Tensor,
        grids: Sequence[LayerGrid],
        output: Output,
        grad_kwargs: dict[str, Any] | None,
    ) -> list[WindowGradient]:
        slopes: Sequence[Tensor | None] = [None] * len(grids)
        if value.requires_grad:
            options = {"allow_unused": True, **(grad_kwargs or {})}
            slopes = gradients_of(value, [grid.tensor for grid in grids], options)
        return _cropped(self._on_grids(slopes, grids, output))

    def _on_grids(
        self, slopes: Sequence[Tensor | None], grids: Sequence[LayerGrid], output: Output
    ) -> list[Tensor]:
        """Gradients at the layers, ``(N, C, h, w)``; zero where the value does not depend on one.

        Raises:
            ValueError: if it depends on none.
        """
        if all(slope is None for slope in slopes):
            where = {id(grid.tensor) for grid in grids}
            names = ", ".join(
                repr(self.layers.names[module])
                for module, grid in zip(self.layers.modules, self._grids, strict=True)
                if id(grid.tensor) in where
            )
            raise ValueError(
                f"layer {names} is not on the path to the {output} (no gradient), or the model "
                "cuts the path behind it (torch.no_grad, detach); "
                f"{self.layers.advice()}"
            )
        return [
            grid.on_grid(torch.zeros_like(grid.tensor) if slope is None else slope)
            for grid, slope in zip(grids, slopes, strict=True)
        ]


def _of_copy(reshape: Reshape, tensor: Tensor) -> Tensor:
    grid = reshape(tensor.clone())
    if not isinstance(grid, Tensor):
        raise TypeError(f"reshape_transform: expected a tensor (N, C, h, w), got {shown(grid)}.")
    return grid.detach()


def _geometry_of(detector: Detector | None, shape: tuple[int, ...]) -> ImageGeometry:
    if len(shape) != 4:
        raise ValueError(f"expected images (N, C, H, W), got inputs {shape}.")
    size = (shape[-2], shape[-1])
    return ImageGeometry.identity(size) if detector is None else detector.geometry(size)


def _cropped(gradients: Sequence[Tensor]) -> list[WindowGradient]:
    """Each gradient on the smallest window outside of which it is zero."""
    windows = nonzero_windows(gradients)
    return [
        WindowGradient(window, window.of(gradient))
        for window, gradient in zip(windows, gradients, strict=True)
    ]


@contextmanager
def recording(
    detector: Detector,
    layers: Layers,
    images: Tensor,
    detections: Detections | None = None,
    *,
    outputs: Iterable[Output] | None = None,
    of_input: bool = False,
    reshape_transform: Reshape | None = None,
) -> Iterator[Recording]:
    """Run a detector on one image and record the layers.

    Args:
        detector: to run.
        layers: of its model.
        images: ``(1, 3, H, W)``.
        detections: where only their candidates are wanted; ``None`` for all.
        outputs: that maps will be made of; ``None``: any.
        of_input: record what the layers take instead of what they give.
        reshape_transform: the user's; ``None`` for the detector's own.
    """
    wanted: set[Any] = set(OUTPUTS if outputs is None else outputs)
    is_local = not of_input and reshape_transform is None and layers.are_levels()
    with_graph = not (is_local and wanted <= set(detector.local_outputs()))
    apart = detector.modules_apart(wanted) if with_graph else ()
    with capturing(detector.model, layers.modules, of_input, with_graph) as capture:
        run = detector.run if with_graph else detector.run_for_gradients
        with forward_hooks(before=dict.fromkeys(apart, _without_graph)):
            raw = _run(run, images, detections)
    incomplete = detections is None and not capture.is_complete()
    if incomplete and len(found := detector.select(raw)[0]):
        # What only finds candidates does not run for their scores, of which others would say so.
        with capturing(detector.model, layers.modules, of_input, with_graph) as of_scores:
            _run(run, images, found)
        capture = capture if of_scores.is_complete() else of_scores
    with torch.inference_mode(False), torch.enable_grad():
        yield Recording(layers, capture, images, raw, reshape_transform, detections)


def _without_graph(module: nn.Module, args: tuple[Any, ...]) -> Any:
    """What comes in, cut off from what it was computed from."""
    return tree_map(lambda one: one.detach() if isinstance(one, Tensor) else one, args)


def _run(run: Callable[..., Any], images: Tensor, detections: Detections | None) -> Any:
    return run(plain(images), None if detections is None else [detections])
