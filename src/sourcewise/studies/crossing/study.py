"""Where separate overtakes pooled: the crossing on real data, beside its predictions.

Pooled is the Gaussian with own means and one shared covariance, separate has its own covariance
per source. The rows of each source are taken as its whole population; n_k of them, drawn with
replacement, train both. The expected log-likelihood under the population is exact (it needs the
population's mean and covariance only), so nothing is lost to test noise.

With few rows per source pooled wins, because it estimates less; with many rows separate wins,
because the sources' covariances differ. With H the losses of the best models of either kind and
n = K n_k, three predictions of where they cross:

- *law* (theory.md section 3): `n = (p_separate - tr_pooled) / (2 (H_pooled - H_separate))` with
  the parameter counts: `p_separate = K (d + d(d+1)/2)`, `tr_pooled = K d + d(d+1)/2`.
- *sandwich*: the same with `tr(H^-1 J)` of both, from the population's fourth moments:
  `d + (E|z|^4 - |A|^2)/2` for each covariance, z the whitened rows, A their second moment.
- *exact*: where `H_pooled + E KL_pooled(n)` equals `H_separate + E KL_separate(n_k)`, with the
  exact expectations for estimated mean and covariance (digamma functions; Gaussian sources).
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sourcewise.encoders.numeric import plan
from sourcewise.errors import InputError
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import family
from sourcewise.metrics.likelihood import expected_log_likelihood
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.screening.numeric import screen
from sourcewise.screening.options import Rules
from sourcewise.sources import Sources
from sourcewise.studies.crossing.points import (
    PICTURE,
    Crossing,
    CrossingPoint,
    CrossingSettings,
)
from sourcewise.studies.grid import Grid, Progress, Trials, Work, within
from sourcewise.theory.gaussian.laws import expected_kl
from sourcewise.training import TrainingData, fit

__all__ = ["CrossingSettings", "grid"]


@dataclass(frozen=True)
class _Population:
    """The sources as populations: what is known without training."""

    rows: list[Tensor]  # K tensors (N_k, d)
    means: Tensor  # (K, d)
    covariances: Tensor  # (K, d, d)

    @property
    def K(self) -> int:
        """Number of sources."""
        return len(self.rows)

    @property
    def d(self) -> int:
        """Number of columns."""
        return self.means.shape[1]

    @property
    def harm(self) -> float:
        """`H_pooled - H_separate = 1/2 [log det mean C_k - mean log det C_k]`, nats per row."""
        own = torch.linalg.slogdet(self.covariances)[1].mean()
        return float(torch.linalg.slogdet(self.covariances.mean(0))[1] - own) / 2

    def sandwich(self) -> tuple[float, float]:
        """`tr(H^-1 J)` of pooled and of separate training, for equal and fixed n_k."""
        pooled, separate, shared = 0.0, 0.0, self.covariances.mean(0)
        for rows, mean, C in zip(self.rows, self.means, self.covariances, strict=True):
            separate += self.d + _covariance_term(rows - mean, C)
            pooled += _covariance_term(rows - mean, shared) / self.K
        return self.K * self.d + pooled, separate


def _covariance_term(residuals: Tensor, C: Tensor) -> float:
    """`(E|z|^4 - |A|^2) / 2` for z the residuals whitened by C and `A = E z z'`."""
    L = torch.linalg.cholesky(C)
    z = torch.linalg.solve_triangular(L, residuals.T, upper=False).T
    A = z.T @ z / len(z)
    return float(z.square().sum(1).square().mean() - A.square().sum()) / 2


class Cell(NamedTuple):
    """A number of training rows per source."""

    n_k: int

    @property
    def name(self) -> str:
        """Says it."""
        return f"n{self.n_k}"


def grid(settings: CrossingSettings, data: Sources) -> Grid[Cell, CrossingPoint, Crossing]:
    """The sizes that are measured on a data set; all its sources with enough rows take part."""
    population = _population(data, settings)
    K, d, harm = population.K, population.d, population.harm
    cells = [Cell(n_k) for n_k in _sizes(d, settings)]
    return Grid(
        cells=cells,
        compute=partial(_measure, settings, population),
        found=CrossingPoint,
        fold=lambda found: Crossing(
            settings, tuple(found[cell.name] for cell in cells), data.name, K, d, harm
        ),
        time=Trials(
            lambda cell: Work(settings.repetitions, cell.n_k),
            lambda: grid(settings.model_copy(update={"repetitions": 2}), data),
        ),
        picture=PICTURE,
    )


def _population(data: Sources, settings: CrossingSettings) -> _Population:
    """All rows, encoded as `compare` does, source by source."""
    screened = screen(data, Rules(settings.min_rows, settings.missing, settings.log))
    coding, y = plan(screened), screened.data.y
    prepared = coding.prepare(screened.table, Noise(settings.seed).of("encode").each(y))
    z, _ = coding.fit(prepared, y, data.K).encode(prepared, y)
    kept = (screened.data.counts >= settings.min_rows).nonzero().squeeze(1).tolist()
    if len(kept) < 2:
        raise InputError(
            f"fewer than two sources have {settings.min_rows} rows (setting min_rows)"
        )
    rows = [z[y == k] for k in kept]
    covariances = torch.stack(
        [torch.cov(part.T, correction=0).reshape(z.shape[1], -1) for part in rows]
    )
    return _Population(rows, torch.stack([part.mean(0) for part in rows]), covariances)


def _sizes(d: int, settings: CrossingSettings) -> list[int]:
    """From just above d (separate covariances exist) to the largest, evenly in log."""
    first = d + 3
    if settings.largest <= first:
        raise InputError(f"setting largest: above {first} with {d} columns")
    sizes = np.geomspace(first, settings.largest, settings.sizes)
    return sorted({round(float(n)) for n in sizes})


def _measure(
    s: CrossingSettings,
    population: _Population,
    cell: Cell,
    progress: Progress | None,
    folder: Path | None,
) -> CrossingPoint:
    """The differences, and what is predicted."""
    K, d, n_k = population.K, population.d, cell.n_k
    noise = Noise(s.seed).of("crossing", n_k)
    draws = [_draw(population, n_k, noise.of(r)) for r in range(s.repetitions)]
    (plain, plain_error), (shrunk, shrunk_error) = (
        _mean_difference(population, draws, n_k, shrinkage, within(progress, i / 2, (i + 1) / 2))
        for i, shrinkage in enumerate(("none", "ledoit-wolf"))
    )
    entries = d * (d + 1) // 2
    pooled, separate = population.sandwich()
    law = (K * (d + entries) - K * d - entries) / (2 * K * n_k) - population.harm
    exact = expected_kl([n_k], d) - expected_kl([n_k] * K, d) - population.harm
    sandwich = (separate - pooled) / (2 * K * n_k) - population.harm
    return CrossingPoint(n_k, plain, plain_error, shrunk, shrunk_error, law, sandwich, exact)


def _mean_difference(
    population: _Population,
    draws: list[Tensor],
    n_k: int,
    shrinkage: str,
    progress: Progress | None,
) -> tuple[float, float]:
    """Mean difference over the draws, and its standard error."""
    settings, differences = GaussianSettings.parse({"shrinkage": shrinkage}), []
    for done, x in enumerate(draws, 1):
        differences.append(_difference(population, x, n_k, settings))
        if progress:
            progress(done, len(draws))
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    return float(np.mean(differences)), error


def _draw(population: _Population, n_k: int, noise: Noise) -> Tensor:
    """(K n_k, d) rows drawn with replacement, source after source.

    A draw with fewer than d + 2 different rows is drawn again: it has no covariance. That
    happens where a small population is asked for hardly more rows than columns.
    """
    parts = []
    for k, rows in enumerate(population.rows):
        attempts = (noise.of("source", k, i).integers(len(rows), n_k) for i in range(1000))
        index = next((i for i in attempts if len(i.unique()) >= population.d + 2), None)
        if index is None:
            raise InputError(f"source {k}: {n_k} of {len(rows)} rows repeat too often")
        parts.append(rows[index])
    return torch.cat(parts)


def _difference(population: _Population, x: Tensor, n_k: int, settings: GaussianSettings) -> float:
    """Expected log-likelihood, pooled minus separate, averaged over the sources."""
    K = population.K
    y = torch.arange(K).repeat_interleave(n_k)
    names = tuple(f"source {k}" for k in range(K))
    averages = []
    for partition in (Partition.pooled(K), Partition.separate(K)):
        model = PartitionedModel(
            partition,
            lambda size: family("gaussian").build(settings, K=size, d=population.d),
            names,
        )
        fit(model, TrainingData.plain(x, y), names=names)
        score = expected_log_likelihood(model, population.means, population.covariances)
        averages.append(score.average.value)
    return averages[0] - averages[1]
