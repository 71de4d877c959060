"""The orders of the cells of many detections, found side by side: a device is waited for once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captum_ssgc._exact import listed
from captum_ssgc._patch_grid import sums_of_each
from captum_ssgc.attr._growing_order import GrowingOrder


class GrowingOrders:
    """A :class:`GrowingOrder` of each detection.

    Args:
        priors: ``(h, w)`` each, >= 0 and finite.
        boxes: ``x1, y1, x2, y2`` in cells.
        per_side: patches along each side of a box.
        generators: of the proposals that are drawn, one for each.
    """

    def __init__(
        self,
        priors: Sequence[Tensor],
        boxes: Sequence[Sequence[float]],
        per_side: int,
        generators: Sequence[torch.Generator],
    ) -> None:
        self._each = [
            GrowingOrder(prior, box, per_side, generator)
            for prior, box, generator in zip(priors, boxes, generators, strict=True)
        ]
        self._patches = [one.patches for one in self._each]
        sums = sums_of_each(self._patches, [one.known for one in self._each])
        for one, its in zip(self._each, sums, strict=True):
            one.start(its)

    def propose(self, share: float, count: int) -> list[Tensor]:
        """At most ``count`` further sets ``(M, h, w)`` bool of this share of all cells, for each.

        The first one for a share is what the prior takes, scattered where it is tied: the others
        are compared with it, and it alone need not hold the set that was chosen last.
        """
        for one in self._each:
            one.offer(share, count)
        unsure = self._each
        while unsure:
            answers = listed([one.questions() for one in unsure])
            unsure = [one for one, its in zip(unsure, answers, strict=True) if one.take(its)]
        return [one.further() for one in self._each]

    def learn(self, values: Sequence[Tensor]) -> None:
        """What the detector says of the sets that were proposed last.

        Args:
            values: ``(M, 4)`` float64 on the host for each, higher is better in each column: two
                scores of the set alone, two of all but the set with the opposite sign.
        """
        sums = sums_of_each(self._patches, [one.further() for one in self._each])
        for one, its, of_patches in zip(self._each, values, sums, strict=True):
            one.learn(its, of_patches)

    def choose(self, width: float) -> None:
        """Go on with the best of all that were proposed for this share.

        Args:
            width: of the part of the curves that the share stands for.
        """
        merits = listed([one.merits(width) for one in self._each])
        for one, its in zip(self._each, merits, strict=True):
            one.choose(its)

    def orders(self) -> list[Tensor]:
        """``(h, w)`` each: the higher, the earlier."""
        return [one.order() for one in self._each]
