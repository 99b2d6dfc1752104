"""From a start to the top: EM until it stands still, and mixtures grown by splitting components."""

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
        """Fits with J components, from some with fewer: the heaviest are split, in two ways."""
        fits, count = climbed.fits, grouped(climbed.sums.count, climbed.fits.G)
        best = self.up(split(fits, count, J), prior, TRIAL)
        if self.form.shape != "tied":
            best = best.better(self.up(split(fits, count, J, scales=True), prior, TRIAL))
        return self.up(best.fits, prior)


def split(fits: Fits, count: Tensor, J: int, *, scales: bool = False) -> Fits:
    """Fits with J components: the heaviest in two, along their longest axis or by scale.

    Mean and covariance of the two together are those of the one: means `mu +- a v` and covariances
    `Sigma - a^2 v v'`, v the leading axis of the correlations in units of the deviations; or the
    same mean, and covariances (1 - b) Sigma and (1 + b) Sigma.

    Args:
        fits: S of them.
        count: (S, G, J') rows of each component.
        J: components to come.
        scales: which of the two.
    """
    heavy = count.topk(J - fits.J, dim=2).indices  # (S, G, m)
    Sigma = _at(fits.covariance, heavy)
    deviation = Sigma.diagonal(dim1=-2, dim2=-1).sqrt()
    if scales:
        first, second, shift = NARROW * Sigma, WIDE * Sigma, torch.zeros_like(deviation)
    else:
        outer = deviation[..., :, None] * deviation[..., None, :]
        values, vectors = torch.linalg.eigh(Sigma / outer)
        shift = ASIDE * vectors[..., -1] * values[..., -1:].sqrt() * deviation
        first = second = Sigma - shift[..., :, None] * shift[..., None, :]
    heavies = heavy.expand(-1, fits.mean.shape[1], -1)  # (S, K, m)
    mean, half = _at(fits.mean, heavies), _at(fits.log_weight, heavies) - math.log(2)
    return Fits(
        _split(fits.log_weight, heavies, half, half),
        _split(fits.mean, heavies, mean + shift, mean - shift),
        _split(fits.covariance, heavy, first, second),
    )


def _index(v: Tensor, which: Tensor) -> Tensor:
    return which.view(*which.shape, *[1] * (v.ndim - 3)).expand(*which.shape, *v.shape[3:])


def _at(v: Tensor, which: Tensor) -> Tensor:
    """(S, G, m, ...) of (S, G, J, ...) at indices (S, G, m)."""
    return v.gather(2, _index(v, which))


def _split(v: Tensor, which: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """(S, G, J + m, ...) the first halves at the indices, the second at the end."""
    return torch.cat([v.scatter(2, _index(v, which), first), second], 2)
