"""The sources of a data set as populations, whose means and covariances are known."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Population"]


@dataclass(frozen=True)
class Population:
    """The sources as populations: what is known without training.

    Args:
        rows: K tensors (N_k, d).
        means: (K, d).
        covariances: (K, d, d).
    """

    rows: list[Tensor]
    means: Tensor
    covariances: Tensor

    @property
    def K(self) -> int:
        """Number of sources."""
        return len(self.rows)

    @property
    def d(self) -> int:
        """Number of columns."""
        return self.means.shape[1]

    @property
    def pooled_covariance(self) -> Tensor:
        """(d, d) the mean of the sources' covariances."""
        return self.covariances.mean(0)

    @property
    def harm(self) -> float:
        """`H_pooled - H_separate = 1/2 [log det mean C_k - mean log det C_k]`, nats per row."""
        own = torch.linalg.slogdet(self.covariances)[1].mean()
        return float(torch.linalg.slogdet(self.pooled_covariance)[1] - own) / 2

    def sandwich(self) -> tuple[float, float]:
        """`tr(H^-1 J)` of pooled and of separate training, for equal and fixed n_k."""
        pooled, separate = 0.0, 0.0
        for rows, mean, C in zip(self.rows, self.means, self.covariances, strict=True):
            separate += self.d + _covariance_term(rows - mean, C)
            pooled += _covariance_term(rows - mean, self.pooled_covariance) / self.K
        return self.K * self.d + pooled, separate


def _covariance_term(residuals: Tensor, C: Tensor) -> float:
    """`(E|z|^4 - |A|^2) / 2` for z the residuals whitened by C and `A = E z z'`."""
    L = torch.linalg.cholesky(C)
    z = torch.linalg.solve_triangular(L, residuals.T, upper=False).T
    A = z.T @ z / len(z)
    return float(z.square().sum(1).square().mean() - A.square().sum()) / 2
