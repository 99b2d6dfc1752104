"""Whether chains have mixed: effective sample size and split R-hat.

For C chains of N states, W the mean of their variances, B/N the variance of their means,

    V = (N - 1)/N W + B/N,     R-hat = sqrt(V / W),     r_t = 1 - (W - mean_c c_t) / V,

c_t a chain's autocovariance at lag t. Geyer's pairs `P_k = r_2k + r_(2k+1)` of a reversible chain
are positive and fall; sums stop at the first that is not positive, and none may exceed the one
before it:

    tau = -1 + 2 sum_k P_k,     effective sample size = C N / tau.

Chains are cut in two halves first, so that a drift within a chain counts as a difference between
chains. Geyer, "Practical Markov chain Monte Carlo" (1992); Vehtari, Gelman, Simpson, Carpenter and
Bürkner, "Rank-normalization, folding, and localization" (2021), equations 1 to 4 and 10 to 13;
without ranks, which unbounded values need and a box does not.

Values have axes (T, ..., C, D): transitions first, chains last but one; results are (..., D). A
plain quantity of each chain, say the energy, is passed with an axis of one at the end.
"""

import math

import torch
from torch import Tensor

from sourcewise.errors import InputError

__all__ = ["effective_sample_size", "split_r_hat"]


def effective_sample_size(values: Tensor) -> Tensor:
    """How many independent draws give means as exact as these; at most `C T log10(C T)`.

    1 where all values are equal.

    Args:
        values: (T, ..., C, D), T >= 4.

    Returns:
        (..., D)
    """
    halves = _halves(values)
    N, C = len(halves), halves.shape[-2]
    W, V = _variances(halves)
    r = 1 - (W - _autocovariance(halves).mean(-2)) / V  # (N, ..., D)
    r[0] = 1
    pairs = r[: N - N % 2].unflatten(0, (-1, 2)).sum(1)
    positive = (pairs > 0).cumprod(0).bool()
    falling = torch.where(positive, pairs, 0.0).cummin(0).values
    tau = (2 * falling.sum(0) - 1).clamp(min=1 / math.log10(N * C))
    return torch.where(V > 0, N * C / tau, 1.0)


def split_r_hat(values: Tensor) -> Tensor:
    """How much wider all chains together are than each, 1 when mixed; alarming above 1.01.

    The larger of R-hat of the values and of their distances to the median, which tells chains of
    one mean and several spreads apart. Infinite where chains stand still.

    Args:
        values: (T, ..., C, D), T >= 4.

    Returns:
        (..., D)
    """
    halves = _halves(values)
    median = halves.movedim(-2, 1).flatten(0, 1).median(0).values
    folded = (halves - median.unsqueeze(-2)).abs()
    return torch.maximum(_r_hat(halves), _r_hat(folded))


def _r_hat(halves: Tensor) -> Tensor:
    W, V = _variances(halves)
    return torch.where(W > 0, V / W, torch.inf).sqrt()


def _halves(values: Tensor) -> Tensor:
    """(T // 2, ..., 2 C, D) float64; of an odd T, the middle one is left out."""
    if values.ndim < 3 or len(values) < 4:
        raise InputError(f"chains need axes (T >= 4, ..., C, D), got {tuple(values.shape)}")
    half = len(values) // 2
    return torch.cat([values[:half], values[-half:]], -2).double()


def _variances(chains: Tensor) -> tuple[Tensor, Tensor]:
    """(..., D) W and V."""
    N = len(chains)
    W = chains.var(0).mean(-2)
    return W, (N - 1) / N * W + chains.mean(0).var(-2)


def _autocovariance(chains: Tensor) -> Tensor:
    """(N, ..., C, D) c_t of all lags, divided by N, by the Fourier transform."""
    N = len(chains)
    centred = chains - chains.mean(0)
    power = torch.fft.rfft(centred, 2 * N, dim=0).abs().square()
    return torch.fft.irfft(power, 2 * N, dim=0)[:N] / N
