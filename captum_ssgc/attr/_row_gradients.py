"""Gradients of several instances of one image at one layer, ready for one computation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from captum_ssgc._windows import Window, WindowGradient, aligned

# Windows are made as large as the next of these, in cells: on a CPU it is the cells that cost, on
# a GPU the operations.
SIDES = sorted({part * 2**power for power in range(16) for part in (2, 3)})
FEWER_SIDES = [4**power for power in range(9)]


def entries_at_once(device: torch.device) -> int:
    """Entries of layers that are computed with; more would be much of the memory of a run."""
    return 2**20 if device.type == "cpu" else 2**22


class RowGradients:
    """Gradients at one layer.

    Args:
        rows: numbers of the instances.
        gradients: of each, ``(1, C, *window.size)``, not zero somewhere.
        grid: ``(h, w)`` of the layer.
    """

    def __init__(
        self, rows: Sequence[int], gradients: Sequence[WindowGradient], grid: tuple[int, int]
    ) -> None:
        self.rows, self._gradients, self._grid = list(rows), gradients, grid
        self._known: dict[int | None, tuple[list[Window], Tensor]] = {}

    def reached(self, reach: int | None) -> list[Window]:
        """The cells that far around what is not zero, of each; ``None`` for the whole grid."""
        if reach is None:
            return [Window.whole(self._grid)] * len(self.rows)
        return [one.window.grown(reach, self._grid) for one in self._gradients]

    def parts(self, reach: int | None) -> Iterator[RowGradients]:
        """As many at once as memory allows on windows that large; ``None``: each by itself."""
        count, step = len(self.rows), 1
        if reach is not None:
            [window, *_] = aligned(self.reached(reach), self._grid)
            values = self._gradients[0].values
            entries = values.shape[1] * window.size[0] * window.size[1]
            step = max(entries_at_once(values.device) // entries, 1)
        if step >= count:
            yield self
            return
        for start in range(0, count, step):
            some = slice(start, start + step)
            yield RowGradients(self.rows[some], self._gradients[some], self._grid)

    def on_windows(self, reach: int | None) -> tuple[list[Window], Tensor]:
        """Windows of one size, that far around what is not zero, and ``(R, C, *size)`` on them.

        ``None`` is the whole grid.
        """
        if reach not in self._known:
            windows = aligned(self.reached(reach), self._grid)
            each = zip(self._gradients, windows, strict=True)
            values = [one.window.padded(one.values, window) for one, window in each]
            self._known[reach] = windows, values[0] if len(values) == 1 else torch.cat(values)
        return self._known[reach]


def in_groups(
    gradients: Sequence[tuple[int, int, WindowGradient]], grids: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, RowGradients]]:
    """Place of the layer, and gradients at it whose windows are of about one size.

    Args:
        gradients: row, place of the layer, and gradient; those that are zero are left out.
        grids: ``(h, w)`` of each layer.
    """
    groups: dict[tuple[int, ...], list[tuple[int, WindowGradient]]] = {}
    for row, place, gradient in gradients:
        if not gradient.window.is_empty:
            known = SIDES if gradient.values.device.type == "cpu" else FEWER_SIDES
            sides = (next(side for side in known if side >= n) for n in gradient.window.size)
            groups.setdefault((place, *sides), []).append((row, gradient))
    for (place, height, width), members in groups.items():
        values = members[0][1].values
        step = max(entries_at_once(values.device) // (values.shape[1] * height * width), 1)
        for start in range(0, len(members), step):
            rows, own = zip(*members[start : start + step], strict=True)
            yield place, RowGradients(rows, own, grids[place])
