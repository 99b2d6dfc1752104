"""Do the intervals cover? Fresh data again and again, against the exact answer.

Four sources in three dimensions, equal (one covariance) or opposite (correlations of alternating
sign), normal or t with 5 degrees of freedom, 30 or 200 rows of each. Each repetition draws new
data, runs the whole of `compare`, and asks whether the 95 % intervals of pooled minus separate
hold the true value: the expectation over training samples of the size used in a fold, averaged
over many of them, with `expected_log_likelihood` in place of test rows.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from sourcewise.comparison.compare import compare
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.scores import FOLDS
from sourcewise.encoders.numeric import NumericEncoder
from sourcewise.fitting import job as fitted_job
from sourcewise.fitting.strategy import TrainedStrategy, fit_all
from sourcewise.metrics.expected_distance import expected_energy_score
from sourcewise.metrics.likelihood import expected_log_likelihood
from sourcewise.randomness import Noise
from sourcewise.settings import Many, Seed, Settings
from sourcewise.sources import Sources
from sourcewise.studies.grid import Grid, Progress, Work, within
from sourcewise.studies.result import Result

__all__ = ["Coverage", "CoveragePoint", "CoverageSettings", "grid"]

K, D = 4, 3
Likeness = Literal["equal", "opposite"]
Tails = Literal["normal", "t5"]
Decides = Literal["log-likelihood", "energy-distance"]


class CoverageSettings(Settings):
    """How much is simulated."""

    repetitions: int = Field(default=400, ge=1, le=1_000_000, description="data sets per cell")
    truth_samples: int = Field(
        default=2000,
        ge=2,
        le=1_000_000,
        description="data sets per cell that tell the true differences",
    )
    sizes: tuple[Many, ...] = Field(default=(30, 200), description="rows per source")
    likeness: tuple[Likeness, ...] = ("equal", "opposite")
    tails: tuple[Tails, ...] = ("normal", "t5")
    metric: Decides = Field(default="log-likelihood", description="what decides")
    seeds: int = Field(default=1, ge=1, le=1000, description="repetitions of the cross-validation")
    seed: Seed = 0


class Cell(NamedTuple):
    """One setting of the simulation."""

    likeness: Likeness  # of the sources
    tails: Tails  # of their distribution
    n_k: int  # rows of each source

    @property
    def name(self) -> str:
        """Says all three."""
        return f"{self.likeness}-{self.tails}-{self.n_k}"


@dataclass(frozen=True)
class CoveragePoint:
    """What was found in a cell."""

    likeness: Likeness  # likeness, tails, n_k: the cell
    tails: Tails
    n_k: int
    repetitions: int  # data sets
    true_macro: float  # true difference on average over the sources
    coverage_per_source: float  # share of the sources' intervals that hold the true difference
    coverage_macro: float  # of the intervals of the average
    width_macro: float  # their mean width
    verdicts: dict[str, float]  # overall verdict to its share

    def __str__(self) -> str:
        words = ", ".join(f"{word} {100 * share:.1f} %" for word, share in self.verdicts.items())
        shares = f"{100 * self.coverage_per_source:.1f} % | {100 * self.coverage_macro:.1f} %"
        return (
            f"| {self.likeness} | {self.tails} | {self.n_k} | {self.true_macro:+.4f} "
            f"| {shares} | {self.width_macro:.4f} | {words} |"
        )


@dataclass(frozen=True)
class Coverage(Result):
    """The study's table."""

    settings: CoverageSettings
    points: tuple[CoveragePoint, ...]

    def __str__(self) -> str:
        """A Markdown table."""
        head = (
            "| sources | tails | n_k | true difference | covers, per source | covers, macro "
            "| width | verdicts |\n|---|---|---|---|---|---|---|---|"
        )
        return "\n".join([head, *map(str, self.points)])


def grid(settings: CoverageSettings) -> Grid[Cell, CoveragePoint, Coverage]:
    """All settings of the simulation."""
    s = settings
    cells = [Cell(*values) for values in product(s.likeness, s.tails, s.sizes)]
    few = {"repetitions": 3, "truth_samples": 15}
    return Grid(
        cells=cells,
        compute=partial(_measure, settings),
        found=CoveragePoint,
        fold=lambda found: Coverage(s, tuple(found[cell.name] for cell in cells)),
        work=lambda cell: Work(s.repetitions, cell.n_k),
        short=lambda: grid(s.model_copy(update=few)),
    )


def _measure(
    s: CoverageSettings, cell: Cell, progress: Progress | None, folder: Path | None
) -> CoveragePoint:
    """The true differences, and whether each repetition's intervals hold them."""
    noise = Noise(s.seed).of("coverage", *cell)
    truth = _truth(s, cell, noise.of("truth"), within(progress, 0, 10))
    covered, widths, verdicts = [], [], []
    for r in range(s.repetitions):
        data = _draw(cell, cell.n_k, noise.of("data", r))
        result = compare(data, metric=s.metric, seeds=s.seeds, seed=r)
        rows = result.document["differences"]
        pairs = zip(rows, truth, strict=True)
        covered.append([row["low"] <= t <= row["high"] for row, t in pairs])
        widths.append(rows[-1]["high"] - rows[-1]["low"])
        verdicts.append(result.verdict["overall"])
        if progress:
            progress(s.repetitions + 9 * (r + 1), 10 * s.repetitions)
    words, counts = np.unique(verdicts, return_counts=True)
    shares = dict(zip(words.tolist(), (counts / len(verdicts)).tolist(), strict=True))
    held = np.array(covered)  # (repetitions, K + 1)
    per_source, macro = float(held[:, :-1].mean()), float(held[:, -1].mean())
    width = float(np.mean(widths))
    return CoveragePoint(*cell, s.repetitions, truth[-1], per_source, macro, width, shares)


def covariances(likeness: Likeness) -> Tensor:
    """(K, D, D): unit variances and correlations .5; opposite: -.25 for every other source."""
    signs = torch.tensor([1.0, -0.5] * (K // 2) if likeness == "opposite" else [1.0] * K)
    eye = torch.eye(D, dtype=torch.float64)
    return eye + 0.5 * signs.double()[:, None, None] * (1 - eye)


def _draw(cell: Cell, n_k: int, noise: Noise) -> Sources:
    """A sample with n_k rows of each source; the sources' means are k."""
    y = torch.arange(K).repeat_interleave(n_k)
    scale_tril = torch.linalg.cholesky(covariances(cell.likeness))
    x = (scale_tril[y] @ noise.of("x").normal(len(y), D, 1)).squeeze(2)
    if cell.tails == "t5":
        # A t vector is a normal one over a root of chi-square / 5; its variance is 5/3.
        chi = noise.of("chi").normal(len(y), 5).square().sum(1, keepdim=True)
        x = x / (chi / 5).sqrt() * math.sqrt(3 / 5)
    return Sources(x + y[:, None], y, [f"source {k + 1}" for k in range(K)])


def _truth(
    s: CoverageSettings, cell: Cell, noise: Noise, progress: Progress | None
) -> list[float]:
    """K + 1 expected pooled minus separate, per source and macro, after 4/5 n_k rows each."""
    size, differences = cell.n_k * (FOLDS - 1) // FOLDS, []
    for i in range(s.truth_samples):
        data = _draw(cell, size, noise.of(i))
        job = prepare(data, CompareSettings(metric=s.metric)).plan.job
        rows = job.coding.prepare(data.x, noise.each(data.y))
        fitted = fit_all(job, rows, data.y, fitted_job.Work(noise))
        scores = {name: _expected(s.metric, cell, item) for name, item in fitted.items()}
        differences.append(job.metric.sign * (scores["pooled"] - scores["separate"]))
        if progress:
            progress(i + 1, s.truth_samples)
    mean = np.mean(differences, 0)
    return [*mean.tolist(), float(mean.mean())]


def _expected(metric: Decides, cell: Cell, item: TrainedStrategy) -> np.ndarray:
    """(K,) of models under the truth; all up to what no model changes."""
    assert isinstance(item.encoder, NumericEncoder)
    scale = item.encoder.scale
    means = (torch.arange(K)[:, None] - item.encoder.mean) / scale
    scaled = covariances(cell.likeness) / (scale[:, None] * scale)
    if metric == "log-likelihood":
        return np.array(expected_log_likelihood(item.model, means, scaled).values)
    mixture = t5_mixture() if cell.tails == "t5" else None
    return expected_energy_score(item.model, means, scaled, mixture).numpy()


def t5_mixture(nodes: int = 64) -> Tensor:
    """(2, N) weights and scales of the normals that t with 5 degrees and unit variance mixes.

    The scale is 3 / w^2, w a chi variable with 5 degrees: Gauss-Legendre nodes in w.
    """
    points, weights = np.polynomial.legendre.leggauss(nodes)
    w = 6 * (points + 1)  # to 12, where exp(-w^2 / 2) is below rounding
    weights = weights * w**4 * np.exp(-(w**2) / 2)
    return torch.from_numpy(np.array([weights / weights.sum(), 3 / w**2]))
