"""The maps that one request has led to: on the layers' grids, and in image pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captum_ssgc._warnings import warn_user
from captum_ssgc._windows import Window, WindowGradient
from captum_ssgc.attr._formula import MapRequest
from captum_ssgc.attr._instance_map import InstanceMap
from captum_ssgc.attr._layer_grid import LayerGrid
from captum_ssgc.attr._layers import Layers
from captum_ssgc.attr._maps import WholeGrid
from captum_ssgc.attr._own_functions import warn_of_empty
from captum_ssgc.attr._row_gradients import RowGradients
from captum_ssgc.detections import Detections

HALF = (torch.float16, torch.bfloat16)
SATURATED = 1e-6
CLASS_OUTPUTS = ("score", "logit")


class RequestMaps:
    """Maps of ``K`` rows (detections of one image, or one per example) at the layers.

    Args:
        request: what was asked for.
        layers: that were recorded.
        grids: what they gave.
        levels: pyramid level of each row; ``None``: all layers serve it.
        instances: ``K`` detections, where they are known.
    """

    def __init__(
        self,
        request: MapRequest,
        layers: Layers,
        grids: Sequence[LayerGrid],
        levels: Sequence[int | None],
        instances: Detections | None,
    ) -> None:
        self.request, self.layers, self.instances = request, layers, instances
        self.values = grids[0].activations.new_zeros(0)
        self.seconds = 0.0
        self._grids, self._count = grids, len(levels)
        self._rows: list[list[int]] = [[] for _ in grids]
        for row, level in enumerate(levels):
            for place in layers.places(level):
                self._rows[place].append(row)
        self._maps = [self._zeros(grid, rows) for grid, rows in zip(grids, self._rows)]
        self._without_gradient, self._outside_mask = set(range(len(levels))), set[int]()
        self._gradients_finite: bool | Tensor = True  # without waiting for a device

    def _zeros(self, grid: LayerGrid, rows: list[int]) -> Tensor:
        channels = 1 if self.request.attr_dim_summation else grid.activations.shape[1]
        return grid.activations.new_zeros(len(rows), channels, *grid.size)

    def add_examples(
        self, place: int, gradient: WindowGradient, mask: Tensor | None, whole: WholeGrid
    ) -> None:
        """Make the maps of all rows at one layer, each of an image of its own."""
        self._note_gradients(gradient.values)
        window, values = self.request.formula.contributions(
            self._grids[place].activations,
            gradient,
            mask,
            whole,
            summed=self.request.attr_dim_summation,
        )
        window.of(self._maps[place]).copy_(self._kept(values))
        if self._to_be_finished:
            self._maps[place] = self.request.formula.finished(self._maps[place], mask)

    def add(
        self, place: int, gradients: RowGradients, mask: Tensor | None, whole: WholeGrid
    ) -> None:
        """Make the maps of some instances of one image at one layer."""
        self._note_gradients(gradients.on_windows(self.request.formula.reach)[1])
        windows, values = self.request.formula.of_rows(
            self._grids[place].activations,
            gradients,
            mask,
            whole,
            summed=self.request.attr_dim_summation,
        )
        maps, values = self._maps[place], self._kept(values)
        at = [self._rows[place].index(row) for row in gradients.rows]
        for own, (window, within), value in zip(at, windows, values, strict=True):
            window.of(maps[own]).copy_(within.of(value))
        if self._to_be_finished:
            maps[at] = self.request.formula.finished(maps[at], mask)

    def _note_gradients(self, values: Tensor) -> None:
        """Remember whether a function of which nothing is known was given finite ones."""
        if not self.request.formula.is_known:
            self._gradients_finite = values.isfinite().all() & self._gradients_finite

    def _kept(self, values: Tensor) -> Tensor:
        return values.clamp(min=0.0) if self.request.relu_attributions else values

    @property
    def _to_be_finished(self) -> bool:
        request = self.request
        summed = request.relu_attributions and request.attr_dim_summation
        return request.formula.finish is not None and summed

    def note_window(self, row: int, gradient: Window, mask: Window | None) -> None:
        """Remember where the gradient of a row was, for what warnings say."""
        if gradient.is_empty:
            return
        self._without_gradient.discard(row)
        if mask is not None and not gradient.overlaps(mask):
            self._outside_mask.add(row)

    def on_grids(self) -> list[Tensor]:
        """Each layer's maps ``(K, 1, h, w)`` (``(K, C, h, w)`` without summation)."""
        return self._maps

    def replace_maps(self, maps: Sequence[Tensor]) -> None:
        """Go on with other maps of the same rows, ``(K, 1, h, w)`` for each layer."""
        self._maps = list(maps)

    def in_image_pixels(self, mode: str, joined: str | None) -> list[Tensor]:
        """Each layer's maps ``(K, 1, H, W)``; one for all of them where they are ``joined``.

        Args:
            mode: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.
            joined: ``"max"`` or ``"mean"`` over the layers that serve a row; ``None`` for none.
        """
        of_layers = [
            grid.to_image(maps, mode) for grid, maps in zip(self._grids, self._maps) if len(maps)
        ]
        if joined is None or len(of_layers) < 2:
            return of_layers
        if len(of_layers) == len(self._grids) and all(len(one) == self._count for one in of_layers):
            stacked = torch.stack(of_layers)
            return [stacked.amax(0) if joined == "max" else stacked.mean(0)]
        result = of_layers[0].new_zeros(self._count, *of_layers[0].shape[1:])
        for rows, maps in zip(filter(None, self._rows), of_layers, strict=True):
            result[rows] = maps
        return [result]

    def heat_maps(self) -> Tensor:
        """``(K, H, W)`` in image pixels, several layers joined by their maximum."""
        if not self._count:
            raise ValueError("there is no detection to explain.")
        return self.in_image_pixels("bilinear", "max")[0][:, 0]

    def of(self, row: int) -> InstanceMap:
        """The map of one row."""
        mine = [
            (maps[rows.index(row)][None].clone(), grid.cells)
            for grid, rows, maps in zip(self._grids, self._rows, self._maps, strict=True)
            if row in rows
        ]
        return InstanceMap(tuple(mine), self._grids[0].geometry)

    def problems(self) -> dict[int, str]:
        """What is wrong with the layers for a row: they feed other pyramid levels."""
        if self.instances is None or self.layers.detector is None:
            return {}
        problems = self.layers.wrong_level(self.instances)
        class_output = self.request.output in CLASS_OUTPUTS
        if not self._without_gradient or not class_output or len(self._levels()) < 2:
            return problems
        reported = self.instances.scores.tolist()
        values = self.values.tolist() if self.request.output == "score" else reported
        for row in sorted(self._without_gradient - set(problems)):
            known = (reported[row], values[row] if len(values) > 1 else values[0])
            if all(SATURATED < value < 1.0 - SATURATED for value in known):
                problem = self.layers.without_gradient(row, self.instances)
                problems |= {} if problem is None else {row: problem}
        return problems

    def _levels(self) -> Sequence[object]:
        return [] if self.layers.detector is None else self.layers.detector.level_layers()

    def warn(self, refused: bool) -> None:
        """Warn of maps that are all zero or not finite, with the likely cause.

        Args:
            refused: a layer that does not fit a row is an error.

        Raises:
            ValueError: for such a layer.
        """
        problems = self.problems()
        if problems and refused:
            raise ValueError(next(iter(problems.values())))
        for problem in dict.fromkeys(problems.values()):
            warn_user(problem)
        title = self.request.title
        warn_of_empty(title, self._peaks(), self._not_finite, self._cause, known=problems)

    def _peaks(self) -> list[float]:
        """The largest absolute value of each row's maps."""
        peaks = self._maps[0].new_zeros(self._count)
        for rows, maps in zip(self._rows, self._maps, strict=True):
            if rows:
                peaks[rows] = torch.maximum(peaks[rows], maps.flatten(1).abs().amax(1))
        each: list[float] = peaks.tolist()
        return each

    def _not_finite(self) -> str:
        """Why maps are not, as far as the recorded layers tell."""
        layers = all(bool(grid.activations.isfinite().all()) for grid in self._grids)
        if not self.request.formula.is_known and layers and bool(self._gradients_finite):
            return "the method divides by zero or overflows, as what it was given is finite"
        if not layers and not any(grid.tensor.dtype in HALF for grid in self._grids):
            return "the layer's own values are not: look at the image and the model's weights"
        return "the gradient overflows in the precision of the model; use float32 or bfloat16"

    def _cause(self, empty: Sequence[int]) -> str:
        values = self.values.tolist()
        of_empty = [values[row] if len(values) > 1 else values[0] for row in empty]
        if self.request.output == "score":
            if any(1.0 - SATURATED <= value <= 1.0 for value in of_empty):
                return "the score is saturated at 1, so its gradient vanishes: try output='logit'"
            if any(value == 0.0 for value in of_empty):
                return "the score is 0, so its gradient vanishes: try output='logit'"
        if self._outside_mask.intersection(empty):
            return (
                "the mask and the gradient have no cell in common: try mask='box', a mask of your "
                "own, or mask=None"
            )
        if self._without_gradient.issuperset(empty):
            return f"no gradient reaches the layer: try {self._instead()}"
        return f"by this method no cell of the layer raises the score: try {self._instead()}"

    def _instead(self) -> str:
        """What else may give a map."""
        known = self.layers.detector is not None
        ways = ["another layer" + " (detector.target_layers())" * known]
        if known and self.request.output == "score":
            ways.append("output='logit'")
        if self.request.formula.option("signed_activations") == "as_is":
            ways.append("signed_activations='split'")
        return ", ".join([*ways, "another method"])
