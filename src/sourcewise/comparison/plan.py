"""The two scopes of an interval, as plans of splits, and the scores that come of them.

- `procedure`: repeated 5-fold cross-validation of all rows, and of all rows but one of 10
  jackknife groups, each in turn: R x 11 x 5 splits.
- `these models`: one split; the models are trained R times on the same rows, each time with other
  initial weights and batches. Validation rows are set apart from the training rows once, the same
  for all strategies and seeds.

A *cell* of the plan is one repetition with one deletion: the unit of work that is saved, so that
an interrupted comparison goes on where it stopped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from sourcewise.comparison.evaluate import Keep, Scores, evaluate
from sourcewise.encoders.base import Rows
from sourcewise.execution import Execution
from sourcewise.fitting.encoded import prepared_rows, shuffled_labels
from sourcewise.fitting.job import Job, Progress, Split, Work
from sourcewise.randomness import Noise
from sourcewise.statistics import averaged_errors

__all__ = ["BASELINE", "FOLDS", "GROUPS", "Cell", "CellScores", "Plan", "Scope", "Shared"]


Scope = Literal["procedure", "these models"]
BASELINE = "separate"  # what differences are taken from
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
class Shared:
    """What the cells of a repetition share.

    Args:
        fold: (n,) of each row.
        rows: all rows, with everything done that needs no fitting.
        shuffled: (n,) permuted labels.
    """

    fold: Tensor
    rows: Rows
    shuffled: Tensor


@dataclass(frozen=True)
class CellScores:
    """Of one strategy in one cell; all float64, so that a file gives back the same bits.

    Args:
        rows: (n,) what each row contributes when it was a test row, NaN if never; or empty.
        test: (K,) sum over the source's test rows, per unit.
        train: (K,) sum over the source's own training rows, per unit, averaged over folds.
        n_train: (K,) training rows, averaged over folds.
        n_valid: (K,) validation rows, averaged over folds.
        n_test: (K,) test rows.
        test_size: (K,) their units.
        examples_seen: (K,) averaged over folds.
        updates: (K,) averaged over folds.
        best: (K,) the update whose weights were kept, averaged over folds; NaN if the last.
        validation: (K,) their validation loss, averaged over folds; NaN without such rows.
        parameters: () of all models together, averaged over folds.
        label: (2,) effect and change of `label_probe.label_effect`, averaged over folds.
        shown: (M, K) metrics that are shown, averaged over folds.
        shared_error: (K, 3) shared by a source's contributions, of their mean over folds.
    """

    rows: Tensor
    test: Tensor
    train: Tensor
    n_train: Tensor
    n_valid: Tensor
    n_test: Tensor
    test_size: Tensor
    examples_seen: Tensor
    updates: Tensor
    best: Tensor
    validation: Tensor
    parameters: Tensor
    label: Tensor
    shown: Tensor
    shared_error: Tensor

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

    def training_noise(self, cell: Cell, part: int) -> Noise:
        """Of all training on one split; each block's draws are keyed further, by its sources.

        Jackknife replicates share that of no deletion: they tell what other rows would change, and
        the jackknife multiplies whatever else differs between them.
        """
        return Noise(self.seed).of("training", cell.repetition, "none", part)

    @property
    def keeps_models(self) -> bool:
        """Whether the tested models are those to keep; otherwise new ones see all rows."""
        return self.scope == "these models" and self.job.family.trained

    def splits(self, cell: Cell, fold: Tensor) -> Iterator[Split]:
        """Training, validation and test rows, for each split of a cell."""
        noise = self.noise(cell.repetition).of("validation")
        tested = torch.isin(self.job.data.y, torch.tensor(self.job.tested))
        kept = torch.ones(len(fold), dtype=torch.bool)
        if cell.deletion is not None:
            kept = self.groups != cell.deletion
        for part in range(FOLDS) if self.scope == "procedure" else [0]:
            train, test = kept & (fold != part), kept & (fold == part) & tested
            train, test = train.nonzero().squeeze(1), test.nonzero().squeeze(1)
            yield Split.of(self.job, train, test, noise.of(part))

    def shared(self, repetition: int) -> Shared:
        """What the cells of a repetition share."""
        noise, fold = self.noise(repetition), self.folds(repetition)
        rows = prepared_rows(self.job, noise)
        return Shared(fold, rows, shuffled_labels(self.job.data.y, fold, noise))

    def run(
        self,
        cell: Cell,
        shared: Shared,
        splits: int | None = None,
        *,
        execution: Execution | None = None,
        folder: Path | None = None,
        progress: Progress | None = None,
        keep: Keep | None = None,
    ) -> dict[str, CellScores]:
        """Train and score every strategy on every split of a cell, or on the first few.

        Args:
            cell: which.
            shared: from `shared`.
            splits: how many of its splits; None: all.
            execution: where and how fast to train.
            folder: where training may leave checkpoints; None: nowhere.
            progress: called with (done, in all).
            keep: called with the name and models of every strategy.
        """
        chosen = list(self.splits(cell, shared.fold))[:splits]
        per_split = []
        for part, split in enumerate(chosen):
            probe = cell.deletion is None
            noise, where = self.training_noise(cell, part), execution or Execution()
            work = Work(noise, where, folder, progress, probe)
            work = work.part(part, len(chosen), str(part))
            per_split.append(evaluate(self.job, shared.rows, split, shared.shuffled, work, keep))
        return {
            strategy.name: self._collected(
                cell, strategy.name, chosen, [scores[strategy.name] for scores in per_split]
            )
            for strategy in self.job.strategies
        }

    def _collected(
        self, cell: Cell, name: str, splits: list[Split], scores: list[Scores]
    ) -> CellScores:
        """The scores of one strategy on all splits of a cell as one."""
        y, K, n = self.job.data.y, self.job.data.K, len(self.job.data)
        by_row = torch.full((n,), torch.nan, dtype=torch.float64)
        for split, score in zip(splits, scores, strict=True):
            by_row[split.test] = score.test
        scored = torch.cat([split.test for split in splits]).sort().values
        _refuse_non_finite(by_row[scored], name)
        sums, sizes = torch.zeros(2, K, dtype=torch.float64)
        sums.index_add_(0, y[scored], by_row[scored])
        sizes.index_add_(0, y[scored], self.job.sizes[scored])

        def mean(quantity: str) -> Tensor:
            return torch.stack([getattr(s, quantity) for s in scores]).mean(0)

        def count(rows: str) -> Tensor:
            counts = [torch.bincount(y[getattr(s, rows)], minlength=K) for s in splits]
            return torch.stack(counts).double().mean(0)

        return CellScores(
            rows=by_row if cell.deletion is None else by_row[:0],
            test=sums / sizes,
            train=torch.stack([s.train for s in scores]).nanmean(0),
            n_train=count("train"),
            n_valid=count("valid"),
            n_test=torch.bincount(y[scored], minlength=K).double(),
            test_size=sizes,
            examples_seen=mean("examples_seen"),
            updates=mean("updates"),
            best=mean("best"),
            validation=mean("validation"),
            shown=torch.stack([s.shown for s in scores]).nanmean(0),
            shared_error=torch.from_numpy(
                averaged_errors(torch.stack([s.shared_error for s in scores]))
            ),
            parameters=torch.tensor([s.parameters for s in scores], dtype=torch.float64).mean(),
            label=mean("label"),
        )


def _refuse_non_finite(scores: Tensor, strategy: str) -> None:
    if not bool(scores.isfinite().all()):
        bad = int((~scores.isfinite()).sum())
        raise FloatingPointError(f"{strategy}: {bad} of {len(scores)} scores are not finite")
