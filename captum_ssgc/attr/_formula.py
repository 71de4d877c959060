"""A method's formula with its options, and how it is applied to a window of a layer's grid."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from captum_ssgc._autocast import own_precision
from captum_ssgc._windows import Window, WindowGradient, gathered
from captum_ssgc.attr._maps import Maps, Marks, WholeGrid, marks_of, smoothing_radius
from captum_ssgc.attr._masks import Mask
from captum_ssgc.attr._own_functions import Keywords, checked_maps, copied
from captum_ssgc.attr._row_gradients import RowGradients

WHOLE = "whole"


@dataclass(frozen=True)
class Formula:
    """From activations and gradients to a map.

    Args:
        maps: activations and gradients ``(N, C, h, w)`` to contributions of that shape.
        options: keywords of ``maps``.
        caller: what an error calls ``maps``.
    """

    maps: Maps
    options: Mapping[str, Any] = field(default_factory=dict)
    caller: str = "maps"

    @cached_property
    def taken(self) -> Keywords:
        """The keywords of ``maps``."""
        return Keywords.of(self.maps, 2)

    @cached_property
    def marks(self) -> Marks:
        """What is known of ``maps``."""
        return marks_of(self.maps)

    @property
    def is_local(self) -> bool:
        """See :func:`captum_ssgc.attr._maps.local`."""
        return self.marks.is_local

    @property
    def is_known(self) -> bool:
        """Whether ``maps`` is marked, as those of this package are."""
        return self.marks != Marks(self.maps)

    def option(self, name: str) -> Any:
        """Its value, as given or as the map function has it; ``None`` where that has no such."""
        return self.options.get(name, self.taken.defaults.get(name))

    @property
    def channel_weights(self) -> Maps | None:
        """See :func:`captum_ssgc.attr._maps.weighted_by`."""
        return self.marks.channel_weights

    @property
    def reach(self) -> int | None:
        """How far around a gradient its map looks; ``None`` for the whole grid."""
        if self.channel_weights is not None:
            return 0
        if not self.is_local:
            return None
        smooths = "smoothing" in self.taken.defaults
        return smoothing_radius(self.option("smoothing")) if smooths else 0

    @property
    def finish(self) -> Maps | None:
        """See :func:`captum_ssgc.attr._maps.finished_by`."""
        return self.marks.finish

    def finished(self, maps: Tensor, mask: Tensor | None) -> Tensor:
        """Summed maps ``(N, 1, h, w)``, which are at least zero, as the method leaves them."""
        if self.finish is None:
            return maps
        wanted = inspect.signature(self.finish).parameters
        options = {name: self.option(name) for name in list(wanted)[2:]}
        with own_precision(maps.device):
            return self.finish(maps, mask, **options)

    @property
    def takes_mask(self) -> bool:
        """Whether it looks at the mask of the instance."""
        return "mask" in self.taken.defaults

    def contributions(
        self,
        activations: Tensor,
        gradient: WindowGradient,
        mask: Tensor | None,
        whole: WholeGrid,
        summed: bool,
    ) -> tuple[Window, Tensor]:
        """The window of the grid that holds them, and they, ``(N, C, *window)``.

        Args:
            activations: ``(N, C, h, w)``.
            gradient: of the value, on its window.
            mask: ``(1|N, 1|C, h, w)``, or ``None`` for all cells.
            whole: of these activations and this mask.
            summed: over the channels, ``(N, 1, *window)``.
        """
        with own_precision(activations.device):
            return self._contributions(activations, gradient, mask, whole, summed)

    def of_rows(
        self,
        activations: Tensor,
        gradients: RowGradients,
        mask: Tensor | None,
        whole: WholeGrid,
        summed: bool,
    ) -> tuple[list[tuple[Window, Window]], Tensor]:
        """:meth:`contributions` to the maps of several instances of one image, at once.

        Args:
            activations: ``(1, C, h, w)``, of the image.
            gradients: of ``R`` instances, each not zero somewhere.
            mask: ``(1|R, 1|C, h, w)``, or ``None`` for all cells.
            whole: of these activations and these masks.
            summed: over the channels.

        Returns:
            Of each instance its window of the grid, and where that lies in its contributions, and
            these, ``(R, C|1, ...)``, which reach beyond the window in some.
        """
        count, grid = len(gradients.rows), (activations.shape[-2], activations.shape[-1])
        windows, slopes = gradients.on_windows(self.reach)
        own = gradients.reached(self.reach)
        if self.channel_weights is None:
            activations = gathered(activations, windows).expand(count, -1, -1, -1)
            mask = None if mask is None else gathered(mask, windows)
        else:  # wherever they are: it is a sum over the cells that counts
            windows = own = [Window.whole(grid)] * count
        within = Window.whole((slopes.shape[-2], slopes.shape[-1]))
        gradient = WindowGradient(within, slopes)
        values = self.contributions(activations, gradient, mask, whole, summed)[1]
        pairs = zip(own, windows, strict=True)
        return [(inner, inner.within(outer)) for inner, outer in pairs], values

    def _contributions(
        self,
        activations: Tensor,
        gradient: WindowGradient,
        mask: Tensor | None,
        whole: WholeGrid,
        summed: bool,
    ) -> tuple[Window, Tensor]:
        grid = (activations.shape[-2], activations.shape[-1])
        everything = Window.whole(grid)
        if self.channel_weights is not None:
            weights = self.channel_weights(activations, gradient.values, whole=whole)
            if not summed:
                return everything, weights * activations
            weights_row, cells = weights.flatten(1)[:, None], activations.flatten(2)
            shared = len(activations) == 1
            total = weights_row @ cells[0] if shared else torch.bmm(weights_row, cells)
            return everything, total.unflatten(-1, grid)
        reach = self.reach
        window = everything if reach is None else gradient.window.grown(reach, grid)
        if window.is_empty:
            count, channels = activations.shape[:2]
            return window, activations.new_zeros(count, 1 if summed else channels, *window.size)
        mask = None if mask is None else window.of(mask)
        cells, slopes = window.of(activations), gradient.window.padded(gradient.values, window)
        if self.is_known or len(slopes) == 1:
            return window, self._of_window(cells, slopes, mask, whole, summed)
        each = []  # a user's function sees one example at a time
        for row in (slice(row, row + 1) for row in range(len(slopes))):
            own = mask if mask is None or len(mask) == 1 else mask[row]
            alone = WholeGrid(cells[row], own)
            each.append(self._of_window(cells[row], slopes[row], own, alone, summed))
        return window, torch.cat(each)

    def _of_window(
        self,
        activations: Tensor,
        gradients: Tensor,
        mask: Tensor | None,
        whole: WholeGrid,
        summed: bool,
    ) -> Tensor:
        """What ``maps`` gives, ``(N, C|1, *window)``."""
        given, further = [activations, gradients], dict(self.options)
        if self.takes_mask:
            further["mask"] = mask
        if not self.is_known:  # a user's function may write to what it is given
            given, further, whole = copied(given), copied(further), whole.copy()
        if WHOLE in self.taken.defaults:
            further[WHOLE] = whole
        (count, channels), size = activations.shape[:2], activations.shape[2:]
        each = self.maps(*given, **further)
        if summed and isinstance(each, Tensor) and each.dim() == 4:  # some of them will do
            channels = each.shape[1]
        expected = (count, channels, *size)
        each = checked_maps(each, expected, self.caller, "as the activations", repeats=True)
        each = each.expand(-1, -1, *size)
        return each.sum(1, keepdim=True) if summed else each


@dataclass(frozen=True)
class MapRequest:
    """One map per detection: what to make.

    Args:
        title: of the method, for messages.
        formula: with its options.
        mask: of a formula that takes one.
        output: of the wrapper: what is differentiated.
        relu_attributions: keep the positive part.
        attr_dim_summation: sum over the channels.
    """

    title: str
    formula: Formula
    mask: Mask = None
    output: Any = "score"
    relu_attributions: bool = True
    attr_dim_summation: bool = True

    @property
    def reach(self) -> int | None:
        """Of its formula; ``None`` also where what is kept is of the whole grid and large."""
        if self.formula.channel_weights is not None and not self.attr_dim_summation:
            return None
        return self.formula.reach

    @property
    def mask_used(self) -> Mask:
        """The mask, ``None`` for a formula that takes none."""
        return self.mask if self.formula.takes_mask else None
