"""How covariances are shrunk, and what says how much: rows that the fit has not seen.

    Sigma = (1 - a) S + a T,   a = r / (r + n) or Ledoit-Wolf's,   T = tr(S)/d I or diag(S)

S is the covariance of n rows; the target T counts as much as r rows. No amount suits all data:
Ledoit-Wolf's is best for the entries of Sigma (mean squared error), and can be far too much for a
density of columns that nearly depend on each other. So every covariance may try all `choices`. Its
training rows come in parts; each part is scored under fits to the other parts, and the covariance
of all training rows is the mean of all choices, weighed by what they predicted:

    Sigma = sum_c w_c Sigma_c,   w_c proportional to p(parts given the others, choice c)

A weighed mean moves little when a few rows do, which the jackknife of a comparison asks for; where
one choice predicts better by many nats, it is that choice. All choices of one target have the
eigenvectors of S = V L V' (or of the correlations), so that they cost one decomposition:

    -2 log p = t (d log 2 pi + sum_i log l_i) + sum_i q_i / l_i,   l = (1 - a) diag(L) + a m

of t rows, q the diagonal of `V' (sum r r') V`, r their residuals. (Ledoit and Wolf, "A
well-conditioned estimator for large-dimensional covariance matrices", 2004; the weights are those
of pseudo-Bayesian model averaging, Geisser and Eddy, 1979.)
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sourcewise.families.gaussian.settings import GaussianSettings

__all__ = [
    "Covariances",
    "Shrinkage",
    "choices",
    "held_out",
    "ledoit_wolf_intensity",
    "shrunk",
    "sound",
    "weights",
]


@dataclass(frozen=True)
class Covariances:
    """Covariances of rows, before they are shrunk.

    Args:
        S: `sum r r' / n` of centred residuals r, (M, d, d).
        fourth: sum |r r'|^2 over rows, (M,); of a diagonal S, of diagonal entries.
        n: rows, (M,).
    """

    S: Tensor
    fourth: Tensor
    n: Tensor

    def take(self, index: Tensor) -> "Covariances":
        """Some of them."""
        return Covariances(self.S[index], self.fourth[index], self.n[index])


@dataclass(frozen=True)
class Shrinkage:
    """One way to shrink.

    Args:
        rows: r, that the target counts for; None: Ledoit and Wolf's estimate says.
        target: T, the sphere `tr(S)/d I` or the diagonal of S.
        share: a itself, if that is given.
    """

    rows: float | None = 0.0
    target: Literal["sphere", "diagonal"] = "sphere"
    share: float | None = None


ROWS = tuple(4.0**i for i in range(-1, 7))  # 1/4 to 4096


def choices(settings: GaussianSettings, d: int) -> tuple[Shrinkage, ...]:
    """What a fit of d columns has to choose among: one where settings leave nothing open.

    The first is that of a fit that has seen no parts.
    """
    how = settings.shrinks(d)
    if how == "none":
        return (Shrinkage(),)
    if how == "ledoit-wolf":
        return (Shrinkage(None),)
    if how != "predictive":
        return (Shrinkage(share=how),)
    ladder = [Shrinkage(rows) for rows in ROWS]
    if settings.covariance == "full":
        ladder += [Shrinkage(rows, "diagonal") for rows in ROWS]
    return (Shrinkage(None), Shrinkage(), *ladder)


def held_out(
    ways: tuple[Shrinkage, ...], known: Covariances, scatter: Tensor, rows: Tensor
) -> Tensor:
    """(C, M) log densities of rows that M fits have not seen, summed, under every choice.

    Minus infinity for a choice without a density where others have one; NaN where there are no
    rows, or none has.

    Args:
        ways: C choices.
        known: the covariances of the fits.
        scatter: sum r r' of the rows' residuals, (M, d, d).
        rows: t, (M,) numbers of them.
    """
    used = ((rows > 0) & (known.n > 0)).nonzero().squeeze(1)
    out = torch.full((len(ways), len(rows)), torch.nan, dtype=rows.dtype)
    out[:, used] = _held_out(ways, known.take(used), scatter[used], rows[used])
    return out


def _held_out(
    ways: tuple[Shrinkage, ...], known: Covariances, scatter: Tensor, rows: Tensor
) -> Tensor:
    """(C, M) see `held_out`, where there are rows."""
    S, d = known.S, known.S.shape[1]
    a = intensities(ways, known)
    scores = torch.empty_like(a)
    for target, mine in _by_target(ways).items():
        scale = _target(S, target).sqrt()
        outer = scale[:, :, None] * scale[:, None, :]
        values, vectors = torch.linalg.eigh((S / outer).nan_to_num(0.0, 0.0, 0.0))
        q = ((vectors.mT @ (scatter / outer)) * vectors.mT).sum(2)
        share = a[mine][:, :, None]
        each = (1 - share) * values.clamp(min=0) + share
        log_det = each.log().sum(2) + 2 * scale.log().sum(1)
        whole = rows * (d * math.log(2 * math.pi) + log_det) + (q / each).sum(2)
        scores[mine] = -0.5 * whole
    for i, way in enumerate(ways):
        if not way.rows:  # the others are sound wherever columns vary
            one = torch.ones_like(a[:1])
            full, _ = shrunk((way,), one, known)
            scores[i, ~sound(full, *torch.linalg.cholesky_ex(full))] = -torch.inf
    scores = scores.nan_to_num(-torch.inf, -torch.inf, -torch.inf)
    return scores.masked_fill(~scores.isfinite().any(0), torch.nan)


def intensities(ways: tuple[Shrinkage, ...], of: Covariances) -> Tensor:
    """(C, M) a of each covariance under each choice."""
    rows = of.n.new_tensor([[0.0 if way.rows is None else way.rows] for way in ways])
    a = rows / (rows + of.n)
    for i, way in enumerate(ways):
        if way.share is not None:
            a[i] = way.share
        elif way.rows is None:
            a[i] = ledoit_wolf_intensity(of.S, of.fourth, of.n)
    return a


def _by_target(ways: tuple[Shrinkage, ...]) -> dict[str, list[int]]:
    """The numbers of the choices of each target."""
    found: dict[str, list[int]] = {}
    for i, way in enumerate(ways):
        found.setdefault(way.target, []).append(i)
    return found


def _target(S: Tensor, target: str) -> Tensor:
    """(M, d) the diagonal of T."""
    diagonal = S.diagonal(dim1=1, dim2=2)
    return diagonal.mean(1, keepdim=True).expand_as(diagonal) if target == "sphere" else diagonal


def weights(scores: Tensor) -> Tensor:
    """(C, M) w of choices by what they predicted, (C, M); the first where nothing was (NaN).

    >>> weights(torch.tensor([[0.0, torch.nan], [0.0, torch.nan], [-torch.inf, torch.nan]])).T
    tensor([[0.5000, 0.5000, 0.0000],
            [1.0000, 0.0000, 0.0000]])
    """
    first = torch.zeros_like(scores)
    first[0] = 1.0
    return torch.where(scores.isnan(), first, scores.nan_to_num(0.0, neginf=-torch.inf).softmax(0))


def shrunk(ways: tuple[Shrinkage, ...], weighed: Tensor, of: Covariances) -> tuple[Tensor, Tensor]:
    """Covariances (M, d, d) shrunk as `weights` (C, M) say, and the share of all targets, (M,)."""
    share = weighed * intensities(ways, of)
    if not bool(share.any()):
        return of.S, share.sum(0)
    total, added = share.sum(0), torch.zeros_like(of.S.diagonal(dim1=1, dim2=2))
    for target, mine in _by_target(ways).items():
        added = added + share[mine].sum(0)[:, None] * _target(of.S, target)
    return (1 - total)[:, None, None] * of.S + torch.diag_embed(added), total


def ledoit_wolf_intensity(S: Tensor, fourth: Tensor, n: Tensor) -> Tensor:
    """The shrinkage that minimises the expected squared (Frobenius) error, estimated, (M,).

    `a = min(b, e) / e`, `e = |S - m I|^2`, `b = sum_i |r_i r_i' - S|^2 / n^2`, `m = tr(S)/d`; of
    `Covariances`.
    """
    norm = S.square().sum((1, 2))
    spread = (fourth / n - norm) / n
    m = S.diagonal(dim1=1, dim2=2).mean(1)
    error = norm - S.shape[1] * m * m
    return torch.where(error > 0, (spread / error).clamp(0, 1), 1.0)


def sound(S: Tensor, factor: Tensor, failed: Tensor) -> Tensor:
    """(M,) whether covariances (M, d, d) have a density, given their Cholesky factors."""
    pivots = factor.diagonal(dim1=1, dim2=2)
    # A pivot is what a variable adds to those before it, on the scale of its own deviation.
    scales = S.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    return (failed == 0) & (pivots > 1e-7 * scales).all(1) & (scales > 0).all(1)
