"""Rows and mixtures with which EM is tried."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sourcewise.families.mixture.em import Fits

F64 = torch.float64


@pytest.fixture
def rows() -> Callable[..., tuple[Tensor, Tensor]]:
    """Rows (n, D) of two clusters about 0, some values missing, and their sources (n,)."""

    def made(n: int, D: int, K: int, gaps: float = 0.0) -> tuple[Tensor, Tensor]:
        g = torch.Generator().manual_seed(0)
        mixing = torch.randn(D, D, generator=g, dtype=F64)
        z = torch.randn(n, D, generator=g, dtype=F64) @ mixing
        y = torch.arange(n) % K
        z = z + 3 * torch.randint(2, (n, 1), generator=g) + y[:, None] / 2
        lost = torch.rand(n, D, generator=g) < gaps
        lost[:, 0] = False
        return torch.where(lost, torch.nan, z - z.mean(0)), y

    return made


@pytest.fixture
def mixtures() -> Callable[..., Fits]:
    """S mixtures of J components that are not alike."""

    def made(S: int, K: int, J: int, D: int, G: int = 1) -> Fits:
        g = torch.Generator().manual_seed(1)
        log_weight = torch.randn(S, K, J, generator=g, dtype=F64).log_softmax(2)
        mean = torch.randn(S, K, J, D, generator=g, dtype=F64)
        A = torch.randn(S, G, J, D, D + 2, generator=g, dtype=F64)
        return Fits(log_weight, mean, A @ A.mT / D)

    return made
