"""The formulas of the papers, literally and slowly: loops, float64, nothing from the package.

Everything takes arrays ``(C, h, w)`` of one example and returns the heat map ``(h, w)`` as
float64, unless said otherwise. Letters are the papers': ``A`` activations, ``g`` the gradient of
the score ``s`` with respect to them, ``M`` a mask of zeros and ones, ``(h, w)`` or ``(C, h, w)``;
``None`` for ones.
"""
# ruff: noqa: E741, N803, N806

from __future__ import annotations

import math
from itertools import combinations

import numpy as np


def grad_cam(A, g):
    """Selvaraju et al., ICCV 2017: weights eq. (1), map eq. (2)."""
    A, g = _double(A, g)
    channels, height, width = A.shape
    L = np.zeros((height, width))
    for k in range(channels):
        w = 0.0
        for i in range(height):
            for j in range(width):
                w += g[k, i, j] / (height * width)  # (1)
        L += w * A[k]
    return np.maximum(L, 0.0)  # (2)


def grad_cam_plus_plus(A, g, s=0.0, clamp=False):
    """Chattopadhay et al., WACV 2018: weights eq. (5), alpha eq. (19) with Y = exp(s).

    ``clamp``: for a signed layer, where the sum of ``A`` times ``g`` may be negative: 0 then.
    """
    A, g = _double(A, g)
    channels, height, width = A.shape
    L = np.zeros((height, width))
    for k in range(channels):
        w = 0.0
        for i in range(height):
            for j in range(width):
                if g[k, i, j] <= 0.0:
                    continue  # ReLU(g) = 0: alpha is not needed, and may be 0/0
                second = math.exp(s) * g[k, i, j] ** 2
                third = math.exp(s) * g[k, i, j] ** 3
                total = max(_total(A[k]), 0.0) if clamp else _total(A[k])
                alpha = second / (2.0 * second + total * third)  # (19)
                w += alpha * max(g[k, i, j], 0.0)  # (5)
        L += w * A[k]
    return np.maximum(L, 0.0)


def odam(A, g, sigma=0.0):
    """Zhao and Chan, ICLR 2023: the gradient itself, smoothed, weighs every cell."""
    A, g = _double(A, g)
    channels, height, width = A.shape
    L = np.zeros((height, width))
    for k in range(channels):
        smooth = blur(g[k], sigma)
        for i in range(height):
            for j in range(width):
                L[i, j] += smooth[i, j] * A[k, i, j]
    return np.maximum(L, 0.0)


def layer_cam(A, g):
    """Jiang et al., IEEE TIP 2021: weights eq. (5), map eq. (6)."""
    A, g = _double(A, g)
    channels, height, width = A.shape
    L = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            for k in range(channels):
                L[i, j] += max(g[k, i, j], 0.0) * A[k, i, j]
    return np.maximum(L, 0.0)


def hires_cam(A, g):
    """Draelos and Carin, 2020, eq. (3): the gradient weighs every cell; its positive part."""
    A, g = _double(A, g)
    channels, height, width = A.shape
    L = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            for k in range(channels):
                L[i, j] += g[k, i, j] * A[k, i, j]
    return np.maximum(L, 0.0)


def eigen_cam(A, g):
    """Muhammad and Yeasin, 2020: O = U S V^T, map O v_1; the sign by the sum of the map.

    Nothing for a layer that the score does not depend on.
    """
    A, g = _double(A, g)
    if not g.any():
        return np.zeros(A.shape[1:])
    channels, height, width = A.shape
    O = np.zeros((height * width, channels))
    for k in range(channels):
        for i in range(height):
            for j in range(width):
                O[i * width + j, k] = A[k, i, j]
    V = np.linalg.svd(O, full_matrices=False)[2]
    L = (O @ V[0]).reshape(height, width)
    return np.maximum(L if L.sum() >= 0.0 else -L, 0.0)


def space_map(g, sigma=0.0):
    """Yamauchi, CVPRW 2024, eq. (5): ``|g| / max |g|`` of one channel ``(h, w)``."""
    magnitude = blur(np.abs(g), sigma)
    peak = max(magnitude[i, j] for i in range(g.shape[0]) for j in range(g.shape[1]))
    return magnitude / peak if peak > 0.0 else np.zeros_like(magnitude)


def ssgrad_cam(A, g, sigma=0.0):
    """Yamauchi and Ishikawa, ICIP 2022: Grad-CAM's weights and the space map."""
    A, g = _double(A, g)
    channels, height, width = A.shape
    L = np.zeros((height, width))
    for k in range(channels):
        w = _total(g[k]) / (height * width)
        S = space_map(g[k], sigma)
        for i in range(height):
            for j in range(width):
                L[i, j] += w * A[k, i, j] * S[i, j]
    return np.maximum(L, 0.0)


def alpha_of_derivatives(second, third, A, M):
    """Yamauchi, CVPRW 2024, eq. (10), of one channel; NaN where M = 0 or 0/0.

    ``second`` and ``third`` are the derivatives of ``Y`` with respect to each ``A_ij``.
    """
    alpha = np.full(A.shape, np.nan)
    total = _total(A * M)
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            denominator = 2.0 * second[i, j] * M[i, j] + total * third[i, j]
            if M[i, j] == 1 and denominator != 0.0:
                alpha[i, j] = second[i, j] / denominator
    return alpha


def ssgrad_cam_plus_plus(A, g, M=None, s=0.0, sigma=0.0, clamp=False):
    """Yamauchi, CVPRW 2024, eq. (3) to (10) with Y = exp(s).

    ``clamp`` keeps ``(sum A M) g >= 0``, for activations that are not >= 0, as the package states
    for ``signed_activations="as_is"``.
    """
    A, g = _double(A, g)
    channels, height, width = A.shape
    M = np.ones(A.shape) if M is None else np.broadcast_to(np.asarray(M, float), A.shape)
    L = np.zeros((height, width))
    for k in range(channels):
        S = space_map(g[k], sigma)  # (5)
        total = 0.0
        for a in range(height):
            for b in range(width):
                total += A[k, a, b] * M[k, a, b]
        w = 0.0
        for i in range(height):
            for j in range(width):
                if g[k, i, j] <= 0.0 or M[k, i, j] == 0.0:
                    continue  # ReLU(g) = 0; or alpha = 0, as Y does not depend on A outside M
                second = math.exp(s) * g[k, i, j] ** 2
                third = math.exp(s) * g[k, i, j] ** 3
                product = max(total * third, 0.0) if clamp else total * third
                alpha = second / (2.0 * second * M[k, i, j] + product)  # (10)
                w += alpha * max(g[k, i, j], 0.0)  # (6)
        for i in range(height):
            for j in range(width):
                L[i, j] += w * A[k, i, j] * S[i, j]
    return np.maximum(L, 0.0)  # (3)


def ssgrad_cam_plus_plus_split(A, g, M=None, s=0.0, sigma=0.0):
    """The same of the layer written as 2C channels >= 0, ``A = A+ - A-``, with ``g`` and ``-g``."""
    A, g = _double(A, g)
    if M is not None and np.ndim(M) == 3:
        M = np.concatenate([M, M]) if len(M) == len(A) else M
    both = np.concatenate([np.maximum(A, 0.0), np.maximum(-A, 0.0)])
    return ssgrad_cam_plus_plus(both, np.concatenate([g, -g]), M, s, sigma)


def ssgrad_cam_plus_minus(A, g, M=None, s=0.0):
    """SSGrad-CAM with net weights, before its halo: parts ``A+``, ``A-`` with ``p = g``, ``-g``."""
    A, g = _double(A, g)
    channels, height, width = A.shape
    M = np.ones(A.shape) if M is None else np.broadcast_to(np.asarray(M, float), A.shape)
    L = np.zeros((height, width))
    for k in range(channels):
        for part, p in ((np.maximum(A[k], 0.0), g[k]), (np.maximum(-A[k], 0.0), -g[k])):
            w = 0.0
            for sign in (1.0, -1.0):  # for, and against
                second, third = math.exp(s) * p**2, sign * math.exp(s) * p**3
                for i in range(height):
                    for j in range(width):
                        if M[k, i, j] == 1 and sign * p[i, j] > 0.0:
                            total = _total(part * M[k])
                            alpha = second[i, j] / (2.0 * second[i, j] + total * third[i, j])
                            w += sign * alpha * sign * p[i, j]
            S = space_map(np.maximum(p, 0.0))
            for i in range(height):
                for j in range(width):
                    L[i, j] += w * part[i, j] * S[i, j]
    return np.maximum(L, 0.0)


def halo(L, M, h):
    """``L + h (G * L)``: what a cell has goes to all cells by a Gaussian, ``sigma^2 = sum M``."""
    (height, width), total = L.shape, max(float(np.sum(np.asarray(M) != 0)), 1.0)
    spread = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            share = np.zeros((height, width))
            for a in range(height):
                for b in range(width):
                    share[a, b] = math.exp(-((a - i) ** 2 + (b - j) ** 2) / (2.0 * total))
            spread += L[i, j] * share / share.sum()
    return L + h * spread


def blur(values, sigma):
    """Two-dimensional Gaussian, cut at 3 sigma (rounded, at least 1 cell), edges replicated."""
    values = np.asarray(values, dtype=np.float64)
    if sigma == 0.0:
        return values
    height, width = values.shape
    radius = max(int(3.0 * sigma + 0.5), 1)
    offsets = range(-radius, radius + 1)
    bell = {d: math.exp(-0.5 * (d / sigma) ** 2) for d in offsets}
    norm = sum(bell.values()) ** 2
    blurred = np.zeros_like(values)
    for i in range(height):
        for j in range(width):
            for di in offsets:
                for dj in offsets:
                    y = min(max(i + di, 0), height - 1)
                    x = min(max(j + dj, 0), width - 1)
                    blurred[i, j] += bell[di] * bell[dj] / norm * values[y, x]
    return blurred


def drise_mask(cells, shift, size):
    """Petsiuk et al., RISE, BMVC 2018: a grid of 0 and 1 to a mask ``(H, W)``.

    A cell is ``ceil(H / h)`` pixels; the grid is stretched to ``h + 1`` cells, bilinearly between
    the cells' centres and constant outside of them, and cropped at ``shift``.
    """
    cells = np.asarray(cells, dtype=np.float64)
    rows, columns = cells.shape
    stretched = (
        (rows + 1) * math.ceil(size[0] / rows),
        (columns + 1) * math.ceil(size[1] / columns),
    )
    mask = np.zeros(size)
    for y in range(size[0]):
        for x in range(size[1]):
            v = (y + shift[0] + 0.5) * rows / stretched[0] - 0.5
            u = (x + shift[1] + 0.5) * columns / stretched[1] - 0.5
            v, u = min(max(v, 0.0), rows - 1.0), min(max(u, 0.0), columns - 1.0)
            i, j = min(int(v), rows - 1), min(int(u), columns - 1)
            below, right = min(i + 1, rows - 1), min(j + 1, columns - 1)
            p, q = v - i, u - j
            mask[y, x] = (1 - p) * ((1 - q) * cells[i, j] + q * cells[i, right]) + p * (
                (1 - q) * cells[below, j] + q * cells[below, right]
            )
    return mask


def iou(one, other):
    """Of two boxes xyxy; 0 where both are empty."""
    width = max(min(one[2], other[2]) - max(one[0], other[0]), 0.0)
    height = max(min(one[3], other[3]) - max(one[1], other[1]), 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    union = sum(areas) - width * height
    return width * height / union if union > 0.0 else 0.0


def cosine(one, other):
    """Of two vectors; 0 where one is zero."""
    product = sum(a * b for a, b in zip(one, other, strict=True))
    norms = math.sqrt(sum(a * a for a in one)) * math.sqrt(sum(b * b for b in other))
    return product / norms if norms > 0.0 else 0.0


def drise_weight(box, classes, boxes, class_scores, objectness=None):
    """Petsiuk et al., CVPR 2021, section 3: the best similarity among the detections found."""
    best = 0.0
    for j in range(len(boxes)):
        O = 1.0 if objectness is None else float(objectness[j])
        best = max(best, iou(box, boxes[j]) * cosine(classes, class_scores[j]) * O)
    return best


def drise_map(masks, weights, probability):
    """The weighted sum of masks, divided by their number and their mean."""
    total = np.zeros(np.asarray(masks[0]).shape)
    for mask, weight in zip(masks, weights, strict=True):
        total += weight * np.asarray(mask, dtype=np.float64)
    return total / (len(masks) * probability)


def _double(*arrays):
    return [np.asarray(array, dtype=np.float64) for array in arrays]


def _total(values):
    total = 0.0
    for value in np.asarray(values, dtype=np.float64).reshape(-1):
        total += value
    return total


def gaussian_posterior(mean, covariance, rows, values, noises):
    """Of ``y = x . phi + e`` by precisions instead of gains: mean and covariance of ``phi``."""
    precision = np.linalg.inv(covariance)
    weighted = precision @ mean
    for x, y, tau in zip(rows, values, noises):
        precision = precision + np.outer(x, x) / tau**2
        weighted = weighted + x * y / tau**2
    return np.linalg.solve(precision, weighted), np.linalg.inv(precision)


def best_set(worth, size):
    """The most that any ``size`` parts of an additive score are worth, by trying all."""
    return max(
        sum(worth[part] for part in parts) for parts in combinations(range(len(worth)), size)
    )


def refined_choice(sets, values, kept, total):
    """Which proposal Refined CAM goes on with, and the gains so far over the first one's.

    A gain counts once, a loss four times, all of them times the width of the share, here 0.5; a set
    has to hold what was kept; of those that are within 0.0001 of the best the first.
    """
    merits = {}
    for place, (one, value) in enumerate(zip(sets, values)):
        if np.any(kept & ~one):
            continue
        gains = [total[q] + 0.5 * (float(value[q]) - float(values[0][q])) for q in range(4)]
        merits[place] = (sum(gain if gain >= 0.0 else 4.0 * gain for gain in gains), gains)
    top = max(merit for merit, _ in merits.values())
    best = next(place for place, (merit, _) in merits.items() if merit >= top - 0.0001)
    return best, np.array(merits[best][1])
