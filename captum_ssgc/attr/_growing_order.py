"""In which order cells matter, found by growing a set of them share by share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ssgc._gaussian import gaussian_blur
from captum_ssgc._patch_grid import PatchGrid
from captum_ssgc.attr._additive_model import AdditiveModel, drawn

FALL = 0.5  # sides of the box over which nearness to it falls by e
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
        self._patches = PatchGrid(box, self._size, per_side, prior.device)
        prior = prior / prior.max().clamp(min=torch.finfo(prior.dtype).tiny)
        near = nearness(box, self._size, prior)
        side = max(((box[2] - box[0]) * (box[3] - box[1])) ** 0.5, 1.0)
        scattered = torch.rand(
            self._size, generator=generator, device=generator.device, dtype=torch.float32
        )
        scattered = FAINT**2 * scattered.to(prior)
        self._reference = ranks(prior + scattered)
        smooth = [_smooth(prior, width * side) + FAINT * near for width in WIDTHS]
        fixed = (prior + FAINT * near, prior + near, *smooth, near + FAINT * prior)
        self._fixed = [ranks(one + scattered) for one in fixed]
        self._last = self._fixed[0]
        self._mixed = ranks(
            prior + near + FAINT * (smooth[-1] + FAINT * _middle(box, self._size, prior))
        )
        mean = self._patches.sums(torch.stack([_shares(prior), _shares(near)])).sum(0)
        mean = mean / mean.sum()
        self._model = AdditiveModel(mean, mean[:, None] * self._patches.kinship() * mean)
        everything = torch.ones(1, len(mean), dtype=torch.float64, device="cpu")
        self._model.observe(everything, everything[:, 0], SURE)
        self._kept = (prior >= SUMMIT) & (prior > 0)
        self._found = torch.where(self._kept, 1.0 + prior, torch.zeros_like(prior))
        self._level = 0
        self._gain = torch.zeros(4, dtype=torch.float64, device="cpu")
        self._orders: list[Tensor] = []
        self._sets: list[Tensor] = []
        self._values = torch.zeros(0, 4, dtype=torch.float64, device="cpu")

    def propose(self, share: float, count: int) -> Tensor:
        """At most ``count`` further sets ``(M, h, w)`` bool of this share of all cells.

        The first one for a share is what the prior takes, scattered where it is tied: the others
        are compared with it, and it alone need not hold the set that was chosen last.
        """
        mean, covariance = self._model.posterior()
        seen = len(self._sets)
        if not seen:
            self._orders, self._sets = [self._reference], [self._of_share(self._reference, share)]
            for order in (self._reference, self._last, *self._fixed):
                self._add(order, share, count)
        self._add(self._by_model(mean), share, seen + count)
        for _ in range(TRIES * count):
            if len(self._sets) >= seen + count:
                break
            self._add(self._by_model(drawn(mean, covariance, self._generator)), share, seen + count)
        return torch.stack(self._sets)[seen:]

    def learn(self, values: Tensor) -> None:
        """What the detector says of the sets that were proposed last.

        Args:
            values: ``(M, 4)``, higher is better in each column: two scores of the set alone, two of
                all but the set with the opposite sign.
        """
        if not len(values):
            return
        values = values.cpu().double()
        sets = torch.stack(self._sets[len(self._values) :])
        rows = self._patches.sums(sets) / self._patches.areas
        self._model.observe(2.0 * rows - 1.0, values.sum(1) / 2, NOISE)
        self._values = torch.cat([self._values, values])

    def choose(self, width: float) -> None:
        """Go on with the best of all that were proposed for this share.

        Args:
            width: of the part of the curves that the share stands for.
        """
        total = self._gain + width * (self._values - self._values[:1])
        merit = (total + LOSS * total.clamp(max=0.0)).sum(1)
        eligible = [
            place for place, one in enumerate(self._sets) if bool((one | ~self._kept).all())
        ]
        if eligible:
            enough = float(merit[eligible].max()) - TIE
            best = next(place for place in eligible if float(merit[place]) >= enough)
            self._gain, self._last = total[best], self._orders[best]
            self._level += 1
            new = self._sets[best] & ~self._kept
            inside = self._fixed[0] if self._level == 1 else self._last
            self._found = torch.where(new, inside - 2.0 * self._level, self._found)
            self._kept = self._kept | new
        self._orders, self._sets, self._values = [], [], self._values[:0]

    def order(self) -> Tensor:
        """``(h, w)``: the higher, the earlier."""
        rest = self._last - 2.0 * (self._level + 1)
        return torch.where(self._kept, self._found, rest)

    def _add(self, order: Tensor, share: float, count: int) -> None:
        proposal = self._of_share(order + 2.0 * self._kept, share) | self._kept
        if len(self._sets) < count and not any(bool((one == proposal).all()) for one in self._sets):
            self._orders.append(order)
            self._sets.append(proposal)

    def _of_share(self, order: Tensor, share: float) -> Tensor:
        return ranks(order) >= 1.0 - share

    def _by_model(self, adds: Tensor) -> Tensor:
        """The mixed order, with each patch moved to its place by what it adds for its size."""
        areas = self._patches.areas
        before = self._patches.sums(self._mixed[None])[0] / areas
        falling = (adds / areas).argsort(descending=True, stable=True)
        taken = areas[falling].cumsum(0) - areas[falling] / 2
        after = torch.empty_like(before).index_copy_(0, falling, 1.0 - taken / areas.sum())
        return ranks(self._mixed + self._patches.spread(after - before).to(self._mixed))


def ranks(values: Tensor) -> Tensor:
    """From 1 for the highest to 0 for the lowest; the first of equal ones is the higher."""
    order = values.flatten().sort(descending=True, stable=True).indices
    falling = torch.linspace(1.0, 0.0, len(order), device=values.device, dtype=values.dtype)
    return torch.empty_like(falling).index_copy_(0, order, falling).reshape(values.shape)


def nearness(box: Sequence[float], size: tuple[int, int], like: Tensor) -> Tensor:
    """1 inside the box, and falling with the distance to it in units of its sides, ``(h, w)``."""
    away = torch.hypot(*_distances(box, size, like, 0.5))
    return torch.exp(-away / FALL)


def _middle(box: Sequence[float], size: tuple[int, int], like: Tensor) -> Tensor:
    """1 in the middle of the box, and falling with the distance to it."""
    return torch.exp(-torch.hypot(*_distances(box, size, like, 0.0)))


def _distances(
    box: Sequence[float], size: tuple[int, int], like: Tensor, free: float
) -> tuple[Tensor, Tensor]:
    """To the middle of the box in units of its sides, less ``free``."""
    away = []
    for low, high, count in ((box[1], box[3], size[0]), (box[0], box[2], size[1])):
        places = torch.arange(count, device=like.device, dtype=like.dtype) + 0.5
        distance = (places - (low + high) / 2).abs() / max(high - low, 1.0)
        away.append((distance - free).clamp(min=0.0))
    return away[0][:, None], away[1]


def _smooth(prior: Tensor, sigma: float) -> Tensor:
    """At the resolution that a Gaussian of this width leaves, with a maximum of 1."""
    factor = max(1, int(sigma / 2))
    coarse = F.avg_pool2d(prior[None, None], factor, ceil_mode=True, count_include_pad=False)
    coarse = gaussian_blur(coarse, max(sigma / factor, 0.3))
    size = (coarse.shape[-2] * factor, coarse.shape[-1] * factor)
    fine = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    fine = fine[0, 0, : prior.shape[0], : prior.shape[1]]
    return fine / fine.max().clamp(min=torch.finfo(fine.dtype).tiny)


def _shares(values: Tensor) -> Tensor:
    return values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
