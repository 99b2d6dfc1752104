"""Conditional Gaussians (section 4.1 of the paper), fitted exactly by maximum likelihood.

    x | y = k ~ N([phi_k; psi], Sigma_k),   phi_k in R^d1,  psi in R^(d - d1)

The sources of a block share psi and, unless each has its own, Sigma. With `W = sum_k n_k S_k / n`
the pooled covariance within sources and `xbar_k = [a_k; b_k]` the sources' means, the maximum of
the likelihood is, for one shared Sigma,

    psi = bbar (mean over all rows),   phi_k = a_k - B (b_k - psi),   B = W_12 W_22^-1,
    Sigma = W + sum_k (n_k / n) (xbar_k - mu_k)(xbar_k - mu_k)'

(given x_2, the rest is a regression with an intercept per source; x_2 itself has one mean). Given
columns c move the mean by `B_k c` (see `slopes`): all else is fitted to x - B_k c. With a
diagonal or identity Sigma, B = 0. With own full covariances there is no closed form: psi and the
Sigma_k are improved in turn, each step exact, until psi stands still.

Shrinkage replaces the covariance S by `(1 - a) S + a T`, a and T chosen by how well parts of the
training rows are predicted from the others (see `shrinkage`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from sourcewise.batch import Batch, needed
from sourcewise.errors import InputError, rounded
from sourcewise.families.base import (
    BatchNoise,
    Caution,
    ConditionalModel,
    Density,
    Diagnosed,
    Diagnostic,
    Occasion,
)
from sourcewise.families.gaussian.closed_form import (
    Solution,
    free_parameters,
    predicted,
    predicted_parts,
    solve,
    solve_moments,
    summed,
)
from sourcewise.families.gaussian.partial import (
    apart,
    partial_moments,
    pooled_settings,
    solve_partial,
)
from sourcewise.families.gaussian.partial_slopes import PartialSlopes, partial_slopes
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.families.gaussian.shrinkage import choices, weights
from sourcewise.families.gaussian.slopes import moved, slopes
from sourcewise.families.gaussian.sums import RowSums
from sourcewise.moments import MomentParts, Moments
from sourcewise.partition import Partition
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.truths.gaussian import gaussian_log_prob, gaussian_sample

__all__ = ["Gaussian"]

KINDS = ("means", "covariances", "slopes")
ROOM = 4  # times the numbers in rows, that sums over parts of them may take


class Gaussian(ConditionalModel):
    """`N(mu_y + B_y c, L_y L_y')` with exact maximum-likelihood (or shrunk) parameters.

    Args:
        settings: what is shared, and the form of the covariance.
        K: number of sources.
        d: number of variables.
        C: number of given columns, encoded.
        partial: each source has a mean, covariance and slopes of its own, drawn towards those of
            all: see `partial`.

    Attributes:
        mean: mu, (K, d).
        scale_tril: L, (K, d, d), or (1, d, d) if the covariance is shared.
        intensity: shrinkage a, (K,) or (1,).
        weights: (C, M) of ways to shrink each covariance; 0: nothing was chosen.
        slopes: B, (K, d, C), or (1, d, C) if they are shared; None without given columns.
        shares: (K, 3) of what all sources share, in the mean, covariance and slopes of each; None
            unless partially pooled.
    """

    recipe: ClassVar[str] = "exact"
    mean: Tensor
    scale_tril: Tensor
    intensity: Tensor
    weights: Tensor
    slopes: Tensor | None
    shares: Tensor | None

    def __init__(
        self, settings: GaussianSettings, *, K: int, d: int, C: int = 0, partial: bool = False
    ):
        super().__init__()
        settings = pooled_settings(settings, d) if partial else settings
        self.settings, self.K, self.d, self.C = settings, K, d, C
        self.d1, self.partial = settings.specific_means(d), partial
        M = 1 if settings.shares and not partial else K
        self.register_buffer("mean", torch.zeros(K, d, dtype=torch.float64))
        # An identity by hand: `torch.eye` on the meta device takes seconds to import.
        scale_tril = torch.zeros(M, d, d, dtype=torch.float64)
        scale_tril.diagonal(dim1=1, dim2=2).fill_(1.0)
        self.register_buffer("scale_tril", scale_tril)
        self.register_buffer("intensity", torch.zeros(M, dtype=torch.float64))
        ways, shrunk = len(choices(settings, d)), 1 if partial else M
        self.register_buffer("weights", torch.zeros(ways, shrunk, dtype=torch.float64))
        one = settings.shared_slopes and not partial
        each = torch.zeros(1 if one else K, d, C, dtype=torch.float64)
        self.register_buffer("slopes", each if C else None)
        self.register_buffer("shares", torch.zeros(K, 3, dtype=torch.float64) if partial else None)

    @property
    def free_parameters(self) -> int:
        """See `closed_form.free_parameters`; and the slopes."""
        own = 0 if self.slopes is None else self.slopes.numel()
        settings = apart(self.settings) if self.partial else self.settings
        return free_parameters(settings, self.K, self.d) + own

    def diagnostics(self) -> list[Diagnostic]:
        """The shrinkage intensity of each covariance, and how it shrinks if that is `auto`."""
        out, how = [], self.settings.shrinks(self.d)
        if self.penalty:
            out.append(Diagnostic("shrinkage", tuple(self.intensity.tolist()), shown=_told))
        if self.settings.shrinkage == "auto":
            fitted, chosen = bool(self.intensity.any()), bool(self.weights.any())
            alone = how == "predictive" and fitted and not chosen
            how = "ledoit-wolf" if alone else how  # it has seen no parts
            out.append(Diagnostic("shrinkage", (how,), setting=True))
        if self.shares is not None:
            kinds = KINDS[:2] if self.slopes is None else KINDS
            for kind, values in zip(kinds, self.shares.T.tolist(), strict=False):
                out.append(Diagnostic(f"pooled share of {kind}", tuple(values)))
        return out

    @classmethod
    def cautions(
        cls, strategies: Mapping[str, Diagnosed], occasion: Occasion
    ) -> Iterator[Caution]:
        """Where a column is far from normal, a verdict says so: notes tell what helps."""
        if told := occasion.told_misfits:
            yield Caution(condition=f"under a normal density of {told}, see the notes")

    @property
    def penalty(self) -> str:
        """Shrinkage, if there is any."""
        return "" if self.settings.shrinks(self.d) == "none" else "shrinkage"

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of each row (B, d) under its source; gaps (NaN) are left out."""
        x = moved(batch.tensor, batch.y, batch.c, self.slopes)
        return Density(gaussian_log_prob(x, batch.y, self.mean, self.scale_tril))

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """Minus the log density, (B,)."""
        x = moved(batch.tensor, batch.y, batch.c, self.slopes)
        return -gaussian_log_prob(x, batch.y, self.mean, self.scale_tril)

    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Tensor:
        """One draw per entry of y, (B, d)."""
        x = gaussian_sample(y, self.mean, self.scale_tril, noise)
        return x if self.slopes is None else moved(x, y, c, -self.slopes)

    def source_moments(self) -> tuple[Tensor, Tensor]:
        """See `families.offers.HasMoments`."""
        spread = self.scale_tril.square().sum(2).sqrt()
        return self.mean, spread.expand_as(self.mean)

    @torch.no_grad()
    def fit_exactly(self, rows: Batch, names: tuple[str, ...]) -> None:
        """Set mean, covariance, shrinkage and slopes from all rows.

        Args:
            rows: (n, d) training rows and their sources.
            names: the K sources' names, for messages.

        Raises:
            InputError: a source without rows, or a singular covariance, with the remedy.
        """
        x, y, c = rows.tensor, rows.y, rows.c
        weighed = self.weights if bool(self.weights.any()) else None
        if self.slopes is not None and c is not None:
            self.slopes.copy_(slopes(self.settings, x, c, y, names, weighed))
            if self.shares is not None:
                B = self._draw_slopes(rows, names, weighed)
                self.slopes.copy_(B.slopes)
                self.shares[:, 2] = B.share
        sums = RowSums(moved(x, y, c, self.slopes), y, self.K)
        how = (self.settings, sums, Partition.pooled(self.K), names, weighed)
        if self.shares is not None:
            partial = solve_partial(*how)
            found, self.shares[:, :2] = partial.solution, partial.share
        else:
            found = solve(*how)
        for name in ("mean", "scale_tril", "intensity"):
            getattr(self, name).copy_(getattr(found, name))

    def _draw_slopes(
        self, rows: Batch, names: tuple[str, ...], weighed: Tensor | None
    ) -> PartialSlopes:
        """Slopes of each source, from those that all share."""
        x, y, c = rows.tensor, rows.y, needed(rows.c)
        sums = RowSums(moved(x, y, c, self.slopes), y, self.K)
        pooled = solve(self.settings, sums, Partition.pooled(self.K), names, weighed)
        return partial_slopes(x, c, y, self.K, pooled.scale_tril[0])

    @torch.no_grad()
    def choose(self, rows: Batch, part: Tensor, names: tuple[str, ...]) -> None:
        """See `families.offers.Choosing`: the weights of ways to shrink."""
        if len(self.weights) == 1:
            return
        numbers, part = part.unique(return_inverse=True)
        P = len(numbers)
        if self.slopes is None and 3 * self.d * P * self.K <= ROOM * len(rows):
            sums = MomentParts.of(rows.tensor, rows.y, part, self.K).grouped(torch.arange(P), P)
            whole, pooled = sums.joined(self.K), Partition.pooled(self.K)
            if bool(whole.count.all()):
                self.weights.copy_(weights(predicted_parts(self.settings, whole, sums, pooled)))
        else:
            self._choose_by_rows(rows, part, names)

    def _choose_by_rows(self, rows: Batch, part: Tensor, names: tuple[str, ...]) -> None:
        """See `choose`; where sums over rows do not do, or would be larger than they are."""
        scores, owners = [], []
        for p in part.unique().tolist():
            known, unknown = rows.take(part != p), rows.take(part == p)
            present = torch.bincount(known.y, minlength=self.K) > 0
            sources = present.nonzero().squeeze(1)
            number = torch.where(present, present.cumsum(0) - 1, -1)
            unknown = unknown.take(present[unknown.y])
            if len(known) and len(unknown):
                told = tuple(names[k] for k in sources.tolist())
                known, unknown = _numbered(known, number), _numbered(unknown, number)
                try:
                    scores.append(self._predicted(known, unknown, told))
                except InputError:  # of slopes under covariances that so few rows do not have
                    continue
                owners.append(sources if self.weights.shape[1] > 1 else sources[:1] * 0)
        if scores:
            found = summed(torch.cat(scores, 1), torch.cat(owners), self.weights.shape[1])
            self.weights.copy_(weights(found))

    def _predicted(self, known: Batch, unknown: Batch, names: tuple[str, ...]) -> Tensor:
        """(C, M) of unknown rows, by fits to known ones of every source."""
        K, B = len(names), None
        if self.slopes is not None and known.c is not None:
            B = slopes(self.settings, known.tensor, known.c, known.y, names)

        def sums(rows: Batch) -> RowSums:
            return RowSums(moved(rows.tensor, rows.y, rows.c, B), rows.y, K)

        return predicted(self.settings, sums(known), sums(unknown), Partition.pooled(K))

    @staticmethod
    def solve(
        settings: GaussianSettings,
        moments: Moments,
        partition: Partition,
        names: tuple[str, ...],
        parts: Moments | None = None,
        partial: bool = False,
    ) -> Solution:
        """See `families.offers.Solvable`."""
        if partial:
            return partial_moments(settings, moments, partition, names, parts)
        return solve_moments(settings, moments, partition, names, parts)


def _numbered(rows: Batch, number: Tensor) -> Batch:
    """With other numbers of sources."""
    return replace(rows, y=number[rows.y])


def _told(intensity: float) -> str:
    return rounded(intensity) if intensity >= 1e-4 else "0"
