"""Slopes on given columns at the maximum of the likelihood; x - B_y c is then fitted as x is.

    x | y = k, c ~ N([phi_k; psi] + B_k c, Sigma_k)

with one B for all sources of a block, or each its own. As in `model`, what the sources share has a
closed form where they share Sigma too (or the intercepts and slopes are all their own):

- with own intercepts, B is the least-squares slope of x on c, both about their sources' means;
- of a split mean, x_2 is regressed with one intercept psi. Given x_2 the rest is a regression on c
  and x_2 with an intercept per source, x_1 = a_k + b_k c + L x_2 + noise, so B_1k = b_k + L B_2k.

Otherwise slopes given Sigma_k, and mean and Sigma_k given slopes, are improved in turn, each step
exact, until the slopes stand still. Where columns of c depend on each other in the training rows,
the slopes are the smallest of those that fit alike.
"""

import torch
from torch import Tensor

from sourcewise.batch import needed
from sourcewise.errors import InputError
from sourcewise.families.gaussian.closed_form import solve
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.families.gaussian.sums import RowSums
from sourcewise.partition import Partition

__all__ = ["MOST_SLOPES", "moved", "slopes"]

MOST_SLOPES = 4000  # of one block that are solved for together
STEPS, STILL = 10_000, 1e-12
ALIKE = 1e-10  # singular values of c, relative to the largest, below which columns depend


def moved(x: Tensor, y: Tensor, c: Tensor | None, B: Tensor | None) -> Tensor:
    """(n, d) `x - B_y c`; x as it is without slopes.

    Raises:
        InputError: there are slopes and no c.
    """
    if B is None:
        return x
    c = needed(c)
    return x - torch.einsum("ndc,nc->nd", B[y], c) if len(B) > 1 else x - c @ B[0].T


def slopes(
    settings: GaussianSettings,
    x: Tensor,
    c: Tensor,
    y: Tensor,
    names: tuple[str, ...],
    weighed: Tensor | None = None,
) -> Tensor:
    """(1, d, C) the slopes that all K sources of a block share, or (K, d, C) each its own.

    Args:
        settings: what is shared.
        x: (n, d) training rows without gaps.
        c: (n, C) their given columns, encoded.
        y: (n,) their sources.
        names: the K sources' names, for messages.
        weighed: (C, M) of ways to shrink covariances, where slopes depend on them.

    Raises:
        InputError: too many shared slopes, or see `closed_form.solve`.
    """
    K, d = len(names), x.shape[1]
    d1 = d if K == 1 else settings.specific_means(d)
    rows = [torch.arange(len(y))] if settings.shared_slopes else _by_source(y, K)
    shared = settings.shared_slopes and K > 1
    if d1 == d and (settings.shares or not shared):
        return _own_intercepts(x, c, y, K, rows)
    start = _split(settings, x, c, y, K, d1, rows) if d1 < d else None
    if start is None:
        start = _own_intercepts(x, c, y, K, rows)
    return start if settings.shares else _in_turn(settings, x, c, y, names, weighed, start)


def _own_intercepts(x: Tensor, c: Tensor, y: Tensor, K: int, rows: list[Tensor]) -> Tensor:
    x, c = _centred(x, y, K), _centred(c, y, K)
    return torch.stack([_regression(x[own], c[own]) for own in rows])


def _split(
    settings: GaussianSettings,
    x: Tensor,
    c: Tensor,
    y: Tensor,
    K: int,
    d1: int,
    rows: list[Tensor],
) -> Tensor:
    """Slopes where the last d - d1 coordinates have one intercept, and one Sigma is shared."""
    x1, x2 = x[:, :d1], x[:, d1:]
    psi = _shared_intercept(x2, c, rows)
    B2 = torch.stack([_regression(x2[own] - psi, c[own]) for own in rows])
    if d1 == 0:
        return B2
    if settings.covariance != "full":
        return torch.cat([_own_intercepts(x1, c, y, K, rows), B2], 1)
    ours, others, given = (_centred(v, y, K) for v in (x1, x2, c))
    apart = [(_left(ours[own], given[own]), _left(others[own], given[own])) for own in rows]
    left, right = (torch.cat(parts) for parts in zip(*apart, strict=True))
    L = _regression(left, right)
    b = torch.stack([_regression((ours - others @ L.T)[own], given[own]) for own in rows])
    return torch.cat([b + L @ B2, B2], 1)


def _shared_intercept(x: Tensor, c: Tensor, rows: list[Tensor]) -> Tensor:
    """(d,) psi of `x = psi + B_k c`, by what c does not explain of x and of 1."""
    one = torch.ones_like(x[:, :1])
    left = [(_left(x[own], c[own]), _left(one[own], c[own])) for own in rows]
    along = sum(float((ones * ones).sum()) for _, ones in left)
    total = torch.stack([(ones * rest).sum(0) for rest, ones in left]).sum(0)
    return total / along if along > ALIKE * len(x) else torch.zeros_like(total)


def _in_turn(
    settings: GaussianSettings,
    x: Tensor,
    c: Tensor,
    y: Tensor,
    names: tuple[str, ...],
    weighed: Tensor | None,
    B: Tensor,
) -> Tensor:
    """Slopes where Sigma_k are the sources' own."""
    K, d, C = len(names), x.shape[1], c.shape[1]
    if settings.shared_slopes and d * C > MOST_SLOPES:
        raise InputError(
            f"{d * C} slopes under covariances of their own: at most {MOST_SLOPES} are solved for "
            "together; --set shared_covariance=true has a closed form, or name fewer in --given"
        )
    own = _by_source(y, K)
    whole = settings.specific_means(d) == d
    for _ in range(STEPS):
        sums = RowSums(moved(x, y, c, B), y, K)
        found = solve(settings, sums, Partition.pooled(K), names, weighed)
        r, g = (_centred(x, y, K), _centred(c, y, K)) if whole else (x - found.mean[y], c)
        if settings.shared_slopes:
            new = _weighted(r, g, own, found.scale_tril)
        else:
            new = torch.stack([_regression(r[rows], g[rows]) for rows in own])
        step, B = float((new - B).abs().max()), new
        if step <= STILL * max(1.0, float(B.abs().max())):
            break
    return B


def _weighted(r: Tensor, c: Tensor, own: list[Tensor], scale_tril: Tensor) -> Tensor:
    """(1, d, C) B of `sum_k W_k B C_k = sum_k W_k R_k`, W_k = Sigma_k^-1."""
    d, C = r.shape[1], c.shape[1]
    left, right = r.new_zeros(d * C, d * C), r.new_zeros(d, C)
    for k, rows in enumerate(own):
        W = torch.cholesky_inverse(scale_tril[k]).contiguous()
        left += torch.kron(W, (c[rows].T @ c[rows]).contiguous())
        right += W @ (r[rows].T @ c[rows])
    return (torch.linalg.pinv(left, rtol=ALIKE, hermitian=True) @ right.flatten()).reshape(1, d, C)


def _by_source(y: Tensor, K: int) -> list[Tensor]:
    """The rows of each source."""
    return list(torch.argsort(y, stable=True).split(torch.bincount(y, minlength=K).tolist()))


def _centred(v: Tensor, y: Tensor, K: int) -> Tensor:
    """About the means of the sources."""
    sums = v.new_zeros(K, v.shape[1]).index_add_(0, y, v)
    return v - (sums / torch.bincount(y, minlength=K).clamp(min=1)[:, None])[y]


def _regression(v: Tensor, on: Tensor) -> Tensor:
    """(q, p) least-squares slopes of v (n, q) on (n, p), the smallest if many fit."""
    return torch.linalg.lstsq(on, v, rcond=ALIKE, driver="gelsd").solution.T


def _left(v: Tensor, on: Tensor) -> Tensor:
    """What a regression leaves of v."""
    return v - on @ _regression(v, on).T
