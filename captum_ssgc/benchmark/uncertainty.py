"""Uncertainty of means over detections that come in images.

Detections of one image are not independent, so everything random here treats images as the units:
the bootstrap draws images, and the paired test flips the sign of whole images.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEVEL = 0.95
BOOTSTRAP_SAMPLES = 2000
SIGN_FLIPS = 10_000
_EXACT_UP_TO = 13
_NORMAL_95 = 1.959963984540054
_CHUNK = 256


def ratio_of_sums(sums: Array, counts: Array) -> Array:
    """Means over all detections, ``(M,)``, from sums and counts by image, ``(N, M)``."""
    return _ratio(sums.sum(0), counts.sum(0))


def bootstrap_intervals(
    sums: Array, counts: Array, seed: int, samples: int = BOOTSTRAP_SAMPLES
) -> tuple[Array, Array]:
    r"""Percentile intervals of means over detections, by drawing images with replacement.

    Args:
        sums: ``(N, M)`` of each of ``M`` quantities over the detections of each of ``N`` images.
        counts: ``(N, M)`` how many detections these are.
        seed: of the draws; all quantities see the same ones.
        samples: number of draws.

    Returns:
        Lower and upper ends of the 95 % intervals, ``(M,)`` each; NaN where there is no detection.

    References:
        B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap, Chapman & Hall, 1993, ch. 13.

    Example:
        >>> import numpy as np
        >>> from captum_ssgc.benchmark.uncertainty import bootstrap_intervals
        >>> low, high = bootstrap_intervals(np.array([[0.0], [1.0]] * 50), np.ones((100, 1)), 0)
        >>> bool(0.35 < low[0] < 0.45 < 0.55 < high[0] < 0.65)
        True
    """
    images = len(sums)
    generator = np.random.default_rng(seed)
    means = np.full((samples, sums.shape[1]), np.nan)
    for start in range(0, samples, _CHUNK) if images else ():
        draws = min(_CHUNK, samples - start)
        drawn = generator.integers(images, size=(draws, images))
        weights = np.stack([np.bincount(row, minlength=images) for row in drawn]).astype(float)
        means[start : start + draws] = _ratio(_product(weights, sums), _product(weights, counts))
    low, high = np.full((2, sums.shape[1]), np.nan)
    for column in range(sums.shape[1]):
        known = means[:, column][np.isfinite(means[:, column])]
        if len(known):
            tail = (1.0 - LEVEL) / 2.0
            low[column], high[column] = np.quantile(known, [tail, 1.0 - tail])
    return low, high


def sign_flip_test(differences: Array, seed: int, flips: int = SIGN_FLIPS) -> Array:
    r"""Two-sided p-values of paired differences, by flipping the signs of whole images.

    Under the hypothesis that two methods are exchangeable, the sum of an image's differences is as
    likely positive as negative:

    .. math:: p = \frac{1 + \#\{ r : |\sum_n \epsilon_{rn} d_n| \ge |\sum_n d_n| \}}{1 + R}

    over ``R`` random sign vectors; with few images over all of them, without the ones.

    Args:
        differences: ``(N, M)``, the sums over each image's detections of ``M`` differences.
        seed: of the signs; all quantities see the same ones.
        flips: number of random sign vectors.

    Returns:
        ``(M,)`` in (0, 1]; 1 where all differences are zero, NaN where there is no image.

    References:
        P. Good, Permutation, Parametric, and Bootstrap Tests of Hypotheses, Springer, 2005, ch. 3.

    Example:
        >>> import numpy as np
        >>> from captum_ssgc.benchmark.uncertainty import sign_flip_test
        >>> differences = np.array([[1.0], [2.0], [3.0]])   # 2 of 8 sign vectors are as far
        >>> sign_flip_test(differences, 0).tolist()
        [0.25]
    """
    images, columns = differences.shape
    if not images:
        return np.full(columns, np.nan)
    scale = np.abs(differences).sum(0)
    reached = np.abs(differences.sum(0)) - 1e-9 * scale
    exact = images <= _EXACT_UP_TO
    total = 2**images if exact else flips
    generator = np.random.default_rng(seed)
    hits = np.zeros(columns)
    for start in range(0, total, _CHUNK):
        draws = min(_CHUNK, total - start)
        if exact:
            numbers = np.arange(start, start + draws)[:, None] >> np.arange(images)[None]
            flipped = numbers & 1
        else:
            flipped = generator.integers(2, size=(draws, images))
        signs = 1.0 - 2.0 * flipped.astype(np.float64)
        hits += (np.abs(_product(signs, differences)) >= reached).sum(0)
    return hits / total if exact else (1.0 + hits) / (1.0 + total)


def wilson_interval(hits: float, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share, which says something where all trials agree, too.

    Args:
        hits: how many of them, from 0 to ``trials``.
        trials: independent ones, at least 1.

    References:
        E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, Journal
        of the American Statistical Association 22, 1927.

    Example:
        >>> from captum_ssgc.benchmark.uncertainty import wilson_interval
        >>> [round(end, 3) for end in wilson_interval(0, 10)]
        [0.0, 0.278]
    """
    share, z2 = hits / trials, _NORMAL_95**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _NORMAL_95 * (share * (1 - share) / trials + z2 / (4 * trials**2)) ** 0.5
    half /= 1 + z2 / trials
    low, high = float(middle - half), float(middle + half)
    return 0.0 if hits <= 0 else low, 1.0 if hits >= trials else high


def holm(p_values: Array) -> Array:
    """P-values that hold together, NaN left aside.

    References:
        S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of
        Statistics 6, 1979.

    Example:
        >>> import numpy as np
        >>> from captum_ssgc.benchmark.uncertainty import holm
        >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    adjusted = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def _product(rows: Array, columns: Array) -> Array:
    """Matrix product whose rounding does not depend on the number of threads, as BLAS's does."""
    return np.einsum("rn,nm->rm", rows, columns, optimize=False)


def _ratio(sums: Array, counts: Array) -> Array:
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
