"""What each patch adds to a score, learned from few sets of them."""

from __future__ import annotations

import torch
from torch import Tensor

JITTER = 1e-8  # of the largest variance, so that rounding leaves no negative one


class AdditiveModel:
    r"""A value of a set of patches as the sum of what they add, and how sure that is.

    .. math:: y = \sum_p x_p \varphi_p + \varepsilon, \qquad
              \varphi \sim N(m, \Sigma), \quad \varepsilon \sim N(0, \tau^2)

    with ``x_p`` from 1 (patch ``p`` is in the set) to -1 (it is not). Everything is float64 on the
    CPU.

    Args:
        mean: ``(P,)``, ``m``.
        covariance: ``(P, P)``, ``Sigma``.
    """

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        self.mean, self.covariance = mean, covariance
        self._rows = mean.new_zeros(0, len(mean))
        self._values = mean.new_zeros(0)
        self._noise = mean.new_zeros(0)

    def observe(self, rows: Tensor, values: Tensor, noise: float) -> None:
        """Values ``(M,)`` of sets ``(M, P)`` in [-1, 1], which are off by about ``noise``."""
        values = values.to(self.mean)
        self._rows = torch.cat([self._rows, rows.to(self.mean)])
        self._values = torch.cat([self._values, values])
        self._noise = torch.cat([self._noise, torch.full_like(values, noise**2)])

    def posterior(self) -> tuple[Tensor, Tensor]:
        """Mean ``(P,)`` and covariance ``(P, P)`` of what patches add, given what was observed."""
        shared = self.covariance @ self._rows.mT
        gain = torch.linalg.solve(self._rows @ shared + self._noise.diag(), shared.mT).mT
        mean = self.mean + gain @ (self._values - self._rows @ self.mean)
        covariance = self.covariance - gain @ shared.mT
        return mean, (covariance + covariance.mT) / 2


def drawn(mean: Tensor, covariance: Tensor, generator: torch.Generator) -> Tensor:
    """One draw ``(P,)`` from a normal distribution; it hardly moves where these hardly do."""
    jitter = JITTER * covariance.diagonal().max() * torch.ones_like(mean)
    root = torch.linalg.cholesky(covariance + jitter.diag())
    noise = torch.randn(
        len(mean), generator=generator, device=generator.device, dtype=torch.float64
    )
    return mean + root @ noise.to(mean)
