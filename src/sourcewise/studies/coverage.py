"""Do the intervals cover? Fresh data again and again, against the exact answer.

Four sources in three dimensions, equal (one covariance) or opposite (correlations of alternating
sign), normal or t with 5 degrees of freedom, 30 or 200 rows of each. Each repetition draws new
data, runs the whole of `compare`, and asks whether the 95 % intervals of pooled minus separate
hold the true value: the expectation over training samples of the size used in a fold, averaged
over many of them, with `expected_log_likelihood` in place of test rows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from sourcewise.comparison import CompareSettings, compare, prepare
from sourcewise.comparison.plan import FOLDS
from sourcewise.encoders.numeric import NumericEncoder
from sourcewise.fitting.job import Work
from sourcewise.fitting.strategy import fit_all
from sourcewise.metrics.likelihood import expected_log_likelihood
from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.sources import Sources

__all__ = ["Coverage", "CoverageCell", "CoverageSettings", "coverage"]

K, D = 4, 3
Likeness = Literal["equal", "opposite"]
Tails = Literal["normal", "t5"]


class CoverageSettings(Settings):
    """How much is simulated."""

    repetitions: int = Field(default=400, ge=1, description="data sets per cell")
    truth_samples: int = Field(
        default=2000, ge=2, description="data sets per cell that tell the true differences"
    )
    sizes: tuple[int, ...] = Field(default=(30, 200), description="rows per source")
    likeness: tuple[Likeness, ...] = ("equal", "opposite")
    tails: tuple[Tails, ...] = ("normal", "t5")
    seeds: int = Field(default=1, ge=1, description="repetitions of the cross-validation")
    seed: int = 0


@dataclass(frozen=True)
class CoverageCell:
    """One setting of the simulation.

    Args:
        likeness: of the sources.
        tails: of their distribution.
        n_k: rows of each source.
        truth: (K + 1,) true differences of the sources, and of their macro average.
        covered: (repetitions, K + 1) whether the interval held the truth.
        width: mean width of the macro interval.
        verdicts: overall verdict to its share.
    """

    likeness: Likeness
    tails: Tails
    n_k: int
    truth: np.ndarray
    covered: np.ndarray
    width: float
    verdicts: dict[str, float]

    @property
    def per_source(self) -> float:
        """Share of the sources' intervals that cover."""
        return float(self.covered[:, :-1].mean())

    @property
    def macro(self) -> float:
        """Share of the macro intervals that cover."""
        return float(self.covered[:, -1].mean())

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "likeness": self.likeness,
            "tails": self.tails,
            "n_k": self.n_k,
            "repetitions": len(self.covered),
            "true_macro": float(self.truth[-1]),
            "coverage_per_source": self.per_source,
            "coverage_macro": self.macro,
            "width_macro": self.width,
            "verdicts": self.verdicts,
        }


@dataclass(frozen=True)
class Coverage:
    """The study's table."""

    settings: CoverageSettings
    cells: list[CoverageCell] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": "coverage",
            "settings": self.settings.model_dump(mode="json"),
            "cells": [cell.to_json() for cell in self.cells],
        }

    def __str__(self) -> str:
        """A Markdown table."""
        head = (
            "| sources | tails | n_k | true difference | covers, per source | covers, macro "
            "| width | verdicts |\n|---|---|---|---|---|---|---|---|"
        )
        return "\n".join([head, *(_row(cell) for cell in self.cells)])


def _row(cell: CoverageCell) -> str:
    words = ", ".join(f"{word} {100 * share:.1f} %" for word, share in cell.verdicts.items())
    return (
        f"| {cell.likeness} | {cell.tails} | {cell.n_k} | {cell.truth[-1]:+.4f} "
        f"| {100 * cell.per_source:.1f} % | {100 * cell.macro:.1f} % | {cell.width:.4f} "
        f"| {words} |"
    )


def coverage(
    settings: CoverageSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Coverage:
    """Run the study; `progress` is called with (cells done, cells in all)."""
    settings = settings or CoverageSettings()
    grid = list(product(settings.likeness, settings.tails, settings.sizes))
    cells = []
    for done, (likeness, tails, n_k) in enumerate(grid):
        if progress:
            progress(done, len(grid))
        cells.append(_cell(likeness, tails, n_k, settings))
    return Coverage(settings, cells)


def _cell(likeness: Likeness, tails: Tails, n_k: int, settings: CoverageSettings) -> CoverageCell:
    noise = Noise(settings.seed).of("coverage", likeness, tails, n_k)
    truth = _truth(likeness, tails, n_k, settings.truth_samples, noise.of("truth"))
    covered, widths, verdicts = [], [], []
    for r in range(settings.repetitions):
        data = _draw(likeness, tails, n_k, noise.of("data", r))
        result = compare(data, seeds=settings.seeds, seed=r)
        rows = result.document["differences"]
        covered.append(
            [row["low"] <= t <= row["high"] for row, t in zip(rows, truth, strict=True)]
        )
        widths.append(rows[-1]["high"] - rows[-1]["low"])
        verdicts.append(result.verdict["overall"])
    words, counts = np.unique(verdicts, return_counts=True)
    shares = dict(zip(words.tolist(), (counts / len(verdicts)).tolist(), strict=True))
    return CoverageCell(
        likeness, tails, n_k, truth, np.array(covered), float(np.mean(widths)), shares
    )


def covariances(likeness: Likeness) -> Tensor:
    """(K, D, D): unit variances and correlations .5; opposite: -.25 for every other source."""
    signs = torch.tensor([1.0, -0.5] * (K // 2) if likeness == "opposite" else [1.0] * K)
    eye = torch.eye(D, dtype=torch.float64)
    return eye + 0.5 * signs.double()[:, None, None] * (1 - eye)


def _draw(likeness: Likeness, tails: Tails, n_k: int, noise: Noise) -> Sources:
    """A sample with n_k rows of each source; the sources' means are k."""
    y = torch.arange(K).repeat_interleave(n_k)
    scale_tril = torch.linalg.cholesky(covariances(likeness))
    x = (scale_tril[y] @ noise.of("x").normal(len(y), D, 1)).squeeze(2)
    if tails == "t5":
        # A t vector is a normal one over a root of chi-square / 5; its variance is 5/3.
        chi = noise.of("chi").normal(len(y), 5).square().sum(1, keepdim=True)
        x = x / (chi / 5).sqrt() * math.sqrt(3 / 5)
    return Sources(x + y[:, None], y, [f"source {k + 1}" for k in range(K)])


def _truth(likeness: Likeness, tails: Tails, n_k: int, samples: int, noise: Noise) -> np.ndarray:
    """(K + 1,) expected pooled minus separate, per source and macro, after 4/5 n_k rows each."""
    C, size = covariances(likeness), n_k * (FOLDS - 1) // FOLDS
    differences = []
    for i in range(samples):
        data = _draw(likeness, tails, size, noise.of(i))
        job = prepare(data, CompareSettings()).plan.job
        rows = job.coding.lift(data.x, noise.each(data.y))
        fitted = fit_all(job, rows, data.y, Work(noise))
        scores = {}
        for name, item in fitted.items():
            assert isinstance(item.encoder, NumericEncoder)
            scale = item.encoder.scale
            means = (torch.arange(K)[:, None] - item.encoder.mean) / scale
            scaled = C / (scale[:, None] * scale)
            scores[name] = np.array(expected_log_likelihood(item.model, means, scaled).values)
        differences.append(scores["pooled"] - scores["separate"])
    mean = np.mean(differences, 0)
    return np.append(mean, mean.mean())
