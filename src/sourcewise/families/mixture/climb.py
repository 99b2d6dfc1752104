"""EM until it stands still, and mixtures grown by splitting components."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.families.mixture.em import Fits, Prior, Sums, expect, grouped
from sourcewise.families.mixture.pieces import Pieces
from sourcewise.families.mixture.sharing import Form, maximised

__all__ = ["Climb", "Climbed", "split"]

ASIDE = 0.7  # deviations along the longest axis, by which the halves of a component part
NARROW, WIDE = 0.4, 1.6  # of its covariance, of halves by scale
TRIAL = 4  # steps of EM, after which the better way to split is known


@dataclass(frozen=True)
class Climbed:
    """Fits where EM stopped, and their sums."""

    fits: Fits
    sums: Sums

    def better(self, other: "Climbed") -> "Climbed":
        """Of each pair the one with the higher objective."""
        up = other.sums.objective > self.sums.objective
        return Climbed(self.fits.where(up, other.fits), self.sums.where(up, other.sums))

    def take(self, index: Tensor) -> "Climbed":
        """Some of the S."""
        return Climbed(self.fits.take(index), Sums(*(v[index] for v in vars(self.sums).values())))


@dataclass(frozen=True)
class Climb:
    """EM of S fits to some rows.

    Args:
        pieces: the rows.
        inside: (B, S, L) 1 for the rows that each is fitted to.
        form: what is shared.
        given: columns, the last, that are conditioned on.
        tolerance: nats per row that a step must gain for another to follow.
        steps: the most.
    """

    pieces: Pieces
    inside: Tensor
    form: Form
    given: int = 0
    tolerance: float = 1e-2
    steps: int = 15

    def rows(self, G: int) -> Tensor:
        """(S, G) that each is fitted to."""
        source, own = self.pieces.source[self.pieces.pair], self.inside.sum(2)
        out = own.new_zeros(self.pieces.K, own.shape[1]).index_add_(0, source, own)
        return grouped(out.T, G)

    def up(self, fits: Fits, prior: Prior, steps: int | None = None) -> Climbed:
        """EM until each gains less than the tolerance, or the steps are taken.

        Each stops by itself: what becomes of one does not depend on those beside it.
        """
        least = self.tolerance * self.rows(fits.G)
        moving = torch.ones_like(least, dtype=torch.bool)
        sums = expect(fits, self.pieces, self.inside, prior, self.given)
        for _ in range(self.steps if steps is None else steps):
            before = sums.objective
            fits = fits.where(moving, self.maximised(fits, sums, prior))
            sums = expect(fits, self.pieces, self.inside, prior, self.given)
            moving = moving & (sums.objective - before >= least)
            if not bool(moving.any()):
                break
        return Climbed(fits, sums)

    def maximised(self, fits: Fits, sums: Sums, prior: Prior) -> Fits:
        """The M step."""
        return maximised(fits, sums, prior, self.form)

    def grown(self, climbed: Climbed, prior: Prior, J: int) -> Climbed:
        """Fits with J components, from some with fewer: the heaviest are split, the best way."""
        fits, count = climbed.fits, grouped(climbed.sums.count, climbed.fits.G)
        best = self.up(split(fits, count, J), prior, TRIAL)
        if self.form.shape != "tied":
            best = best.better(self.up(split(fits, count, J, scales=True), prior, TRIAL))
            if self.given:
                slopes = split(fits, count, J, given=self.given)
                best = best.better(self.up(slopes, prior, TRIAL))
        return self.up(best.fits, prior)


def split(fits: Fits, count: Tensor, J: int, *, scales: bool = False, given: int = 0) -> Fits:
    """Fits with J components: the heaviest in two, along their longest axis, by scale or by slope.

    Mean and covariance of the two together are those of the one: means `mu +- a v` and covariances
    `Sigma - a^2 v v'`, v the leading axis of the correlations in units of the deviations; or the
    same mean, and covariances (1 - b) Sigma and (1 + b) Sigma; or, with given columns, slopes
    `B +- a v w'`, v the leading axis of what c leaves of x, and w' c of variance 1.

    Args:
        fits: S of them.
        count: (S, G, J') rows of each component.
        J: components to come.
        scales: whether by scale.
        given: number of given columns, the last, if it is by their slopes.
    """
    heavy = count.topk(J - fits.J, dim=2).indices  # (S, G, m)
    Sigma = _at(fits.covariance, heavy)
    shift = torch.zeros_like(Sigma[..., 0])
    if scales:
        first, second = NARROW * Sigma, WIDE * Sigma
    elif given:
        first, second = _slopes(Sigma, given)
    else:
        shift = ASIDE * _axis(Sigma)
        first = second = Sigma - shift[..., :, None] * shift[..., None, :]
    heavies = heavy.expand(-1, fits.mean.shape[1], -1)  # (S, K, m)
    mean, half = _at(fits.mean, heavies), _at(fits.log_weight, heavies) - math.log(2)
    return Fits(
        _split(fits.log_weight, heavies, half, half),
        _split(fits.mean, heavies, mean + shift, mean - shift),
        _split(fits.covariance, heavy, first, second),
    )


def _axis(Sigma: Tensor) -> Tensor:
    """(..., D) the leading axis of the correlations, a deviation long, in units of the columns."""
    deviation = Sigma.diagonal(dim1=-2, dim2=-1).sqrt()
    values, vectors = torch.linalg.eigh(
        Sigma / (deviation[..., :, None] * deviation[..., None, :])
    )
    return vectors[..., -1] * values[..., -1:].sqrt() * deviation


def _slopes(Sigma: Tensor, given: int) -> tuple[Tensor, Tensor]:
    """Covariances of x and c of two halves with slopes to either side, together Sigma."""
    d = Sigma.shape[-1] - given
    V, cross = Sigma[..., d:, d:], Sigma[..., :d, d:]
    B = torch.linalg.solve(V, cross.mT).mT
    v, along = ASIDE * _axis(Sigma[..., :d, :d] - B @ cross.mT), _axis(V)  # V w = the axis
    turned = v[..., :, None] * along[..., None, :]  # a v w' V
    both = torch.zeros_like(Sigma)
    both[..., :d, d:], both[..., d:, :d] = turned, turned.mT
    both[..., :d, :d] = turned @ B.mT + B @ turned.mT
    return Sigma + both, Sigma - both


def _index(v: Tensor, which: Tensor) -> Tensor:
    return which.view(*which.shape, *[1] * (v.ndim - 3)).expand(*which.shape, *v.shape[3:])


def _at(v: Tensor, which: Tensor) -> Tensor:
    """(S, G, m, ...) of (S, G, J, ...) at indices (S, G, m)."""
    return v.gather(2, _index(v, which))


def _split(v: Tensor, which: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """(S, G, J + m, ...) the first halves at the indices, the second at the end."""
    return torch.cat([v.scatter(2, _index(v, which), first), second], 2)
