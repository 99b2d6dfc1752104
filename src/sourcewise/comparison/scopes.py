"""The two scopes of an interval, as plans of splits, and the scores that come of them.

- `procedure`: repeated 5-fold cross-validation of all rows, and of all rows but one of 10
  jackknife groups, each in turn: R x 11 x 5 splits.
- `these models`: one split; the models are trained R times on the same rows.

A *cell* of the plan is one repetition with one deletion: the unit of work that is saved, so that
an interrupted comparison goes on where it stopped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from sourcewise.comparison.evaluation import Job, evaluate, lifted, shuffle
from sourcewise.encoders.numeric import Lifted
from sourcewise.randomness import Noise

__all__ = ["FOLDS", "GROUPS", "Cell", "CellScores", "Plan", "Scope"]

Scope = Literal["procedure", "these models"]
FOLDS = 5
GROUPS = 10


@dataclass(frozen=True)
class Cell:
    """One repetition, with one jackknife group left out (or None)."""

    repetition: int
    deletion: int | None

    def __str__(self) -> str:
        return f"{self.repetition}-{'all' if self.deletion is None else self.deletion}"


@dataclass(frozen=True)
class CellScores:
    """Of one strategy in one cell; all float64, so that a file gives back the same bits.

    Args:
        rows: (n,) log density of each row when it was a test row, NaN if never; or empty.
        test: (K,) mean over the source's test rows.
        train: (K,) mean over the source's own training rows, averaged over folds.
        n_train: (K,) training rows, averaged over folds.
        n_test: (K,) test rows.
        examples_seen: (K,) averaged over folds.
        updates: (K,) averaged over folds.
        parameters: () of all models together, averaged over folds.
    """

    rows: Tensor
    test: Tensor
    train: Tensor
    n_train: Tensor
    n_test: Tensor
    examples_seen: Tensor
    updates: Tensor
    parameters: Tensor

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """By name, for a file."""
        return {f"{prefix}/{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, tensors: dict[str, Tensor], prefix: str) -> "CellScores":
        """The inverse of `tensors`."""
        return cls(**{field.name: tensors[f"{prefix}/{field.name}"] for field in fields(cls)})


@dataclass(frozen=True)
class Plan:
    """Which rows train and which test, in every cell.

    Args:
        job: what is compared.
        scope: what the intervals are to cover.
        repetitions: R.
        seed: of all random choices.
    """

    job: Job
    scope: Scope
    repetitions: int
    seed: int

    @property
    def cells(self) -> list[Cell]:
        """All cells, in the order of work."""
        deletions = [None, *range(GROUPS)] if self.scope == "procedure" else [None]
        return [Cell(r, g) for r in range(self.repetitions) for g in deletions]

    @cached_property
    def groups(self) -> Tensor:
        """(n,) jackknife group of each row."""
        return self.job.data.folds(GROUPS, Noise(self.seed).of("jackknife"))

    def noise(self, repetition: int) -> Noise:
        """Of one repetition; with the scope `these models` only training differs between them."""
        return Noise(self.seed).of("repetition", repetition if self.scope == "procedure" else 0)

    def folds(self, repetition: int) -> Tensor:
        """(n,) fold of each row in a repetition."""
        return self.job.data.folds(FOLDS, self.noise(repetition).of("folds"))

    def splits(self, cell: Cell, fold: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Indices of training and test rows, for each split of a cell."""
        tested = torch.isin(self.job.data.y, torch.tensor(self.job.tested))
        kept = torch.ones(len(fold), dtype=torch.bool)
        if cell.deletion is not None:
            kept = self.groups != cell.deletion
        for part in range(FOLDS) if self.scope == "procedure" else [0]:
            train, test = kept & (fold != part), kept & (fold == part) & tested
            yield train.nonzero().squeeze(1), test.nonzero().squeeze(1)

    def shared(self, repetition: int) -> tuple[Tensor, Lifted, Tensor]:
        """What the cells of a repetition share: folds, lifted rows, shuffled labels."""
        noise, fold = self.noise(repetition), self.folds(repetition)
        return fold, lifted(self.job, noise), shuffle(self.job.data.y, fold, noise)

    def run(
        self, cell: Cell, prepared: tuple[Tensor, Lifted, Tensor], splits: int | None = None
    ) -> dict[str, CellScores]:
        """Train and score every strategy on every split of a cell, or on the first few."""
        fold, rows, shuffled = prepared
        y, K, n = self.job.data.y, self.job.data.K, len(self.job.data)
        chosen = list(self.splits(cell, fold))[:splits]
        per_split = [evaluate(self.job, rows, *split, shuffled) for split in chosen]
        n_train = torch.stack([torch.bincount(y[train], minlength=K) for train, _ in chosen])
        out = {}
        for strategy in self.job.strategies:
            scores = [by_name[strategy.name] for by_name in per_split]
            by_row = torch.full((n,), torch.nan, dtype=torch.float64)
            for (_, test), score in zip(chosen, scores, strict=True):
                by_row[test] = score.test
            scored = torch.cat([test for _, test in chosen]).sort().values
            _refuse_non_finite(by_row[scored], strategy.name)
            n_test = torch.bincount(y[scored], minlength=K).double()
            sums = torch.zeros(K, dtype=torch.float64).index_add_(0, y[scored], by_row[scored])
            out[strategy.name] = CellScores(
                by_row if cell.deletion is None else by_row[:0],
                sums / n_test,
                torch.stack([s.train for s in scores]).nanmean(0),
                n_train.double().mean(0),
                n_test,
                torch.stack([s.examples_seen for s in scores]).mean(0),
                torch.stack([s.updates for s in scores]).mean(0),
                torch.tensor([s.parameters for s in scores], dtype=torch.float64).mean(),
            )
        return out


def _refuse_non_finite(scores: Tensor, strategy: str) -> None:
    if not bool(scores.isfinite().all()):
        bad = int((~scores.isfinite()).sum())
        raise FloatingPointError(f"{strategy}: {bad} of {len(scores)} scores are not finite")
