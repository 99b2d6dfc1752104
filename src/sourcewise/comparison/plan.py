"""The two scopes of an interval, as plans of splits, and the scores that come of them.

- `procedure`: repeated 5-fold cross-validation of all rows, and of all rows but one of G
  jackknife groups, each in turn: R x (1 + G) x 5 splits.
- `these models`: one split; the models are trained R times on the same rows, each time with other
  initial weights and batches. Validation rows are set apart from the training rows once, the same
  for all strategies and seeds.

A *cell* of the plan is one repetition with one deletion: the unit of work that is saved, so that
an interrupted comparison goes on where it stopped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from sourcewise.comparison.scores import FOLDS, Cell
from sourcewise.comparison.sums import Sums
from sourcewise.encoders.base import Rows
from sourcewise.families.offers import Solvable
from sourcewise.fitting.job import Job, Split, prepared_rows, shuffled_labels
from sourcewise.memory import give_back
from sourcewise.randomness import Noise

__all__ = ["BASELINE", "Plan", "Scope", "Shared"]

Scope = Literal["procedure", "these models"]
GROUPS, MANY_GROUPS = 10, 20
MOST_SOURCES = 500  # for which there are many groups
BASELINE = "separate"  # what differences are taken from


@dataclass(frozen=True)
class Shared:
    """What the cells of a repetition share."""

    fold: Tensor  # (n,) of each row
    rows: Rows  # all rows, with everything done that needs no fitting
    shuffled: Tensor  # (n,) permuted labels, if a strategy trains on them
    sums: Sums | None  # of the rows by `part`, if deletions need no more


@dataclass(frozen=True)
class Plan:
    """Which rows train and which test, in every cell."""

    job: Job  # what is compared
    scope: Scope  # what the intervals are to cover
    repetitions: int  # R
    seed: int  # of all random choices
    region: float | None = None  # half the width of practical equivalence; None: the metric's
    jackknife: int | None = None  # its groups; None: as many as suit the family
    # Of the last repetition: what is shared depends on data, coding and seed, which never change.
    _kept: dict[int, Shared] = field(default_factory=dict, compare=False, repr=False)

    def equivalence(self, level: float) -> float:
        """Half the width of practical equivalence, by the baseline's value of the metric."""
        job = self.job
        return job.metric.region(job.coding, level) if self.region is None else self.region

    @property
    def cells(self) -> list[Cell]:
        """All cells, in the order of work."""
        deletions = [None, *range(self.group_count)] if self.scope == "procedure" else [None]
        return [Cell(r, g) for r in range(self.repetitions) for g in deletions]

    @property
    def group_count(self) -> int:
        """G, of the jackknife: more where deletions cost no pass over the rows and few fits."""
        if self.jackknife is not None:
            return self.jackknife
        return MANY_GROUPS if self._summable and self.job.data.K <= MOST_SOURCES else GROUPS

    @property
    def _summable(self) -> bool:
        """Whether fits and scores ask no more of rows than sums."""
        job = self.job
        exact = isinstance(job.family.model_class, Solvable) and job.metric.of_log_densities
        return exact and self.scope == "procedure" and job.data.c is None

    @cached_property
    def groups(self) -> Tensor:
        """(n,) jackknife group of each row."""
        return self.job.data.folds(self.group_count, Noise(self.seed).of("jackknife"))

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
        return self.scope == "these models"

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
            yield Split.of(self.job, train, test, noise.of(part), fold)

    def shared(self, repetition: int) -> Shared:
        """What the cells of a repetition share; the last that was asked for is kept."""
        if repetition not in self._kept:
            self._kept.clear()
            self._kept[repetition] = self._shared(repetition)
            give_back()
        return self._kept[repetition]

    def _shared(self, repetition: int) -> Shared:
        job, noise, fold = self.job, self.noise(repetition), self.folds(repetition)
        rows, shuffled = prepared_rows(job, noise), job.data.y
        if any(strategy.shuffled for strategy in job.strategies):
            shuffled = shuffled_labels(job.data.y, fold, noise)
        # Rows may be millions, folds are few: numbers of two bytes.
        shared = Shared(fold.short(), rows, shuffled, None)
        if not self._summable:
            return shared
        labels = [job.data.y, *([] if shuffled is job.data.y else [shuffled])]
        G = self.group_count
        sums = Sums.of(job.coding, rows, labels, fold, self.groups, G, job.data.K)
        return replace(shared, sums=sums)
