"""In which order the cells of one detection matter: a set of them that grows share by share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captum_ssgc._patch_grid import PatchGrid
from captum_ssgc.attr._additive_model import AdditiveModel, drawn
from captum_ssgc.attr._cell_maps import middle, nearness, ranks, shares, smoothed

WIDTHS = (0.15, 0.4)  # of the Gaussians that make a map smooth, in sides of the box
FAINT = 1e-3  # weight of what only orders cells that the rest leaves tied
NOISE = 0.2  # what an additive model of a score is off by
SURE = 1e-2  # the same of the whole image, whose value is known
LOSS = 3.0  # how much more a loss counts than a gain
TIE = 1e-4  # merits that differ less are the same: last digits must not choose
SUMMIT = 0.9  # cells above this share of the prior's maximum come first
TRIES = 3  # draws for each proposal, as some are proposed already


class GrowingOrder:
    """Nested sets of cells, each the best of a few proposals.

    What is on the device of the map stays there: that sets are equal, and what is in which patch,
    is asked by :class:`captum_ssgc.attr._growing_orders.GrowingOrders`, for all detections at once.

    Args:
        prior: ``(h, w)`` >= 0 and finite; all zero where nothing is known but the box.
        box: ``x1, y1, x2, y2`` in cells.
        per_side: patches along each side of the box.
        generator: of the proposals that are drawn.
    """

    def __init__(
        self, prior: Tensor, box: Sequence[float], per_side: int, generator: torch.Generator
    ) -> None:
        self._size, self._generator = (prior.shape[0], prior.shape[1]), generator
        self.patches = PatchGrid(box, self._size, per_side, prior.device)
        prior = prior / prior.max().clamp(min=torch.finfo(prior.dtype).tiny)
        near = nearness(box, self._size, prior)
        side = max(((box[2] - box[0]) * (box[3] - box[1])) ** 0.5, 1.0)
        scattered = torch.rand(
            self._size, generator=generator, device=generator.device, dtype=torch.float32
        )
        scattered = FAINT**2 * scattered.to(prior)
        self._reference = ranks(prior + scattered)
        smooth = [smoothed(prior, width * side) + FAINT * near for width in WIDTHS]
        fixed = (prior + FAINT * near, prior + near, *smooth, near + FAINT * prior)
        self._fixed = [ranks(one + scattered) for one in fixed]
        self._last = self._fixed[0]
        self._mixed = ranks(
            prior + near + FAINT * (smooth[-1] + FAINT * middle(box, self._size, prior))
        )
        self.known = torch.stack([shares(prior), shares(near), self._mixed])
        self._kept = (prior >= SUMMIT) & (prior > 0)
        self._order = torch.where(self._kept, 1.0 + prior, torch.zeros_like(prior))
        self._level = 0
        self._gain = torch.zeros(4, dtype=torch.float64, device="cpu")
        self._orders: list[Tensor] = []
        self._sets: list[Tensor] = []
        self._values = torch.zeros(0, 4, dtype=torch.float64, device="cpu")

    def start(self, sums: Tensor) -> None:
        """Begin with what patches are worth, from the ``sums`` ``(3, P)`` of :attr:`known`."""
        del self.known  # whole maps, of each detection
        mean = sums[:2].sum(0)
        mean = mean / mean.sum()
        self._before = sums[2] / self.patches.areas
        self._model = AdditiveModel(mean, mean[:, None] * self.patches.kinship() * mean)
        everything = torch.ones(1, len(mean), dtype=torch.float64, device="cpu")
        self._model.observe(everything, everything[:, 0], SURE)

    def offer(self, share: float, count: int) -> None:
        """Have at most ``count`` further sets of this share of all cells, which are no others yet.

        The first one for a share is what the prior takes, scattered where it is tied: the others
        are compared with it, and it alone need not hold the set that was chosen last.
        """
        self._share, self._tries = share, TRIES * count
        self._seen, self._most = len(self._sets), len(self._sets) + count
        orders = []
        if not self._sets:
            self._orders, self._sets = [self._reference], [self._of_share(self._reference)]
            orders = [self._reference, self._last, *self._fixed]
        self._mean, self._covariance = self._model.posterior()
        orders.append(self._by_model(self._mean))
        self._offer([*orders, *self._drawn(self._most - len(self._sets) - len(orders))])

    def questions(self) -> Tensor:
        """What decides on the offers, bool: for each its equality with all sets and with all
        offers; at the end, whether the first set holds what was chosen.
        """
        offered = torch.stack(self._proposals)
        others = torch.cat([torch.stack(self._sets), offered])
        same = (offered[:, None] == others).flatten(2).all(2)
        return torch.cat([same.flatten(), (self._sets[0] | ~self._kept).all()[None]])

    def take(self, answers: Sequence[bool]) -> bool:
        """Take the offers that are new, as many as are wanted.

        Args:
            answers: to :meth:`questions`.

        Returns:
            Whether there are further offers, as some were not new.
        """
        taken = list(range(len(self._sets)))
        first, width = len(taken), len(taken) + len(self._proposals)
        self._first_holds = answers[-1]
        for number, proposal in enumerate(self._proposals):
            same = answers[number * width : (number + 1) * width]
            if len(self._sets) < self._most and not any(same[place] for place in taken):
                taken.append(first + number)
                self._orders.append(self._offered[number])
                self._sets.append(proposal)
        self._offer(self._drawn(self._most - len(self._sets)))
        return bool(self._offered)

    def further(self) -> Tensor:
        """The sets that were taken since they were offered, ``(M, h, w)`` bool."""
        return torch.stack(self._sets)[self._seen :]

    def learn(self, values: Tensor, sums: Tensor) -> None:
        """What the detector says of :meth:`further`, ``(M, 4)``, and how much of each patch they
        hold, ``(M, P)``.
        """
        if len(values):
            rows = sums / self.patches.areas
            self._model.observe(2.0 * rows - 1.0, values.sum(1) / 2, NOISE)
            self._values = torch.cat([self._values, values])

    def merits(self, width: float) -> Tensor:
        """How good each of the sets is, on the host.

        Args:
            width: of the part of the curves that the share stands for.
        """
        self._total = self._gain + width * (self._values - self._values[:1])
        return (self._total + LOSS * self._total.clamp(max=0.0)).sum(1)

    def choose(self, merits: Sequence[float]) -> None:
        """Go on with the best of all that were proposed for this share."""
        eligible = range(0 if self._first_holds else 1, len(self._sets))
        if eligible:
            enough = max(merits[place] for place in eligible) - TIE
            best = next(place for place in eligible if merits[place] >= enough)
            self._gain, self._last = self._total[best], self._orders[best]
            self._level += 1
            new = self._sets[best] & ~self._kept
            inside = self._fixed[0] if self._level == 1 else self._last
            self._order = torch.where(new, inside - 2.0 * self._level, self._order)
            self._kept = self._kept | new
        self._orders, self._sets, self._values = [], [], self._values[:0]

    def order(self) -> Tensor:
        """``(h, w)``: the higher, the earlier."""
        rest = self._last - 2.0 * (self._level + 1)
        return torch.where(self._kept, self._order, rest)

    def _offer(self, orders: list[Tensor]) -> None:
        self._offered = orders
        self._proposals = [self._of_share(one + 2.0 * self._kept) | self._kept for one in orders]

    def _drawn(self, missing: int) -> list[Tensor]:
        """Orders that come by chance, as many as are missing even if all offers are new."""
        count = min(max(missing, 0), self._tries)
        self._tries -= count
        draws = (drawn(self._mean, self._covariance, self._generator) for _ in range(count))
        return [self._by_model(one) for one in draws]

    def _of_share(self, order: Tensor) -> Tensor:
        return ranks(order) >= 1.0 - self._share

    def _by_model(self, adds: Tensor) -> Tensor:
        """The mixed order, with each patch moved to its place by what it adds for its size."""
        areas = self.patches.areas
        falling = (adds / areas).argsort(descending=True, stable=True)
        taken = areas[falling].cumsum(0) - areas[falling] / 2
        after = torch.empty_like(self._before).index_copy_(0, falling, 1.0 - taken / areas.sum())
        return ranks(self._mixed + self.patches.spread(after - self._before).to(self._mixed))
