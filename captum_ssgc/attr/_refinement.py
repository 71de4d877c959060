"""The pixels of maps put in the order in which a detector needs them, for many detections."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor

from captum_ssgc._arguments import shown
from captum_ssgc.attr._growing_orders import GrowingOrders
from captum_ssgc.attr._visible_scores import VisibleScores
from captum_ssgc.detections import Detections

# Shares of all pixels, and of 50 proposals those of each round: the first pixels matter most.
ROUNDS = ((0.1, 8), (0.1, 8), (0.2, 6), (0.2, 6), (0.3, 8), (0.5, 8), (0.7, 6))
MOST_CELLS = 256  # along the longer side
RAMP = 1e-5  # of the maximum, from the first pixel to the last


@torch.no_grad()
def refined(
    scores: VisibleScores,
    priors: Tensor,
    owners: Sequence[int],
    instances: Detections,
    forwards: int,
    patches: int,
    generator: torch.Generator,
) -> Tensor:
    """Maps of the values of others, in the order that the detector's answers give.

    Args:
        scores: runs the detector.
        priors: ``(K, H, W)``, one map for each detection.
        owners: the image of each detection.
        instances: ``K`` detections.
        forwards: the most changed images for each.
        patches: of the additive model along each side of the box.
        generator: of the proposals, in a state from which every detection starts.

    Returns:
        ``(K, 1, H, W)``.
    """
    size = (priors.shape[-2], priors.shape[-1])
    step = -(-max(size) // MOST_CELLS)
    growing = GrowingOrders(
        [_in_cells(prior, step) for prior in priors],
        (instances.boxes / step).tolist(),
        patches,
        [_copied(generator) for _ in priors],
    )
    single = [instances[row : row + 1] for row in range(len(instances))]
    rounds = rounds_of(forwards)
    for place, (share, count) in enumerate(rounds):
        sets = growing.propose(share, count)
        visible = [
            _in_pixels(cells, step, size)
            for of_one in sets
            for one in of_one
            for cells in (one, ~one)
        ]
        rows = [row for row, of_one in enumerate(sets) for _ in range(2 * len(of_one))]
        values = scores.of(visible, [owners[row] for row in rows], [single[row] for row in rows])
        per_detection = values.cpu().double().split([2 * len(of_one) for of_one in sets])
        growing.learn([torch.cat([both[::2], -both[1::2]], 1) for both in per_detection])
        if [one for one, _ in rounds[place + 1 :]][:1] != [share]:
            growing.choose(width_of(share))
    orders = zip(priors, growing.orders(), strict=True)
    return torch.stack([_dealt_out(prior, order, step) for prior, order in orders])[:, None]


def _copied(generator: torch.Generator) -> torch.Generator:
    """One in the same state, so that a detection's draws do not depend on the others."""
    return torch.Generator(device=generator.device).set_state(generator.get_state())


def width_of(share: float) -> float:
    """The part of a curve that a share stands for: to the middle of its neighbours, and to 1."""
    shares = [0.0, *dict.fromkeys(one for one, _ in ROUNDS), 1.0]
    place = shares.index(share)
    after = 1.0 if place == len(shares) - 2 else (share + shares[place + 1]) / 2
    return after - (shares[place - 1] + share) / 2


def rounds_of(forwards: int) -> list[tuple[float, int]]:
    """Shares, and how many proposals of each, which cost two forwards."""
    if isinstance(forwards, bool) or not isinstance(forwards, Integral):
        raise TypeError(f"forwards: expected a whole number, got {shown(forwards)}.")
    if forwards < 0:
        raise ValueError(f"forwards: expected at least 0, got {forwards}.")
    bounds = list(itertools.accumulate((of_all for _, of_all in ROUNDS), initial=0))
    places = [int(forwards) // 2 * bound // bounds[-1] for bound in bounds]
    counts = [after - before for before, after in itertools.pairwise(places)]
    return [(share, count) for (share, _), count in zip(ROUNDS, counts, strict=True) if count]


def _in_cells(prior: Tensor, step: int) -> Tensor:
    """The map on cells of ``step`` pixels, >= 0 and finite."""
    prior = prior.nan_to_num(0.0, 0.0, 0.0).clamp(min=0.0)
    return torch.nn.functional.avg_pool2d(
        prior[None, None], step, ceil_mode=True, count_include_pad=False
    )[0, 0]


def _in_pixels(cells: Tensor, step: int, size: tuple[int, int]) -> Tensor:
    wide = cells.repeat_interleave(step, 0).repeat_interleave(step, 1)
    return wide[: size[0], : size[1]]


def _dealt_out(prior: Tensor, order: Tensor, step: int) -> Tensor:
    """The values of the map, the largest to the pixels that come first, ``(H, W)``."""
    size = (prior.shape[-2], prior.shape[-1])
    values = prior.nan_to_num(0.0, 0.0, 0.0).clamp(min=0.0)
    peak = values.max()
    # Inside a cell, the map itself tells.
    inside = values / peak.clamp(min=torch.finfo(values.dtype).tiny)
    first = torch.argsort(inside.flatten(), descending=True, stable=True)
    by_cell = _in_pixels(order, step, size).flatten()[first]
    places = first[torch.argsort(by_cell, descending=True, stable=True)]
    falling = torch.linspace(1.0, 0.0, len(places), device=values.device, dtype=values.dtype)
    falling = falling * torch.where(peak > 0, peak * RAMP, torch.ones_like(peak))
    dealt = torch.empty_like(falling)
    dealt[places] = values.flatten().sort(descending=True).values + falling
    return dealt.reshape(size)
