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
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from sourcewise.comparison.sums import Sums
from sourcewise.encoders.base import Rows
from sourcewise.fitting.job import Job, Split, prepared_rows, shuffled_labels
from sourcewise.memory import give_back
from sourcewise.randomness import Noise

__all__ = [
    "BASELINE",
    "FOLDS",
    "GROUPS",
    "Cell",
    "CellScores",
    "Plan",
    "Scope",
    "Scores",
    "Shared",
]

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
    """What the cells of a repetition share."""

    fold: Tensor  # (n,) of each row
    rows: Rows  # all rows, with everything done that needs no fitting
    shuffled: Tensor  # (n,) permuted labels
    sums: Sums | None  # of the rows by `part`, if deletions need no more

    @staticmethod
    def part(fold: Tensor, group: Tensor) -> Tensor:
        """The number of a fold and jackknife group, among all pairs."""
        return fold * GROUPS + group


@dataclass(frozen=True)
class Plan:
    """Which rows train and which test, in every cell."""

    job: Job  # what is compared
    scope: Scope  # what the intervals are to cover
    repetitions: int  # R
    seed: int  # of all random choices
    # Of the last repetition: what is shared depends on data, coding and seed, which never change.
    _kept: dict[int, Shared] = field(default_factory=dict, compare=False, repr=False)

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
        """What the cells of a repetition share; the last that was asked for is kept."""
        if repetition not in self._kept:
            self._kept.clear()
            self._kept[repetition] = self._shared(repetition)
            give_back()
        return self._kept[repetition]

    def _shared(self, repetition: int) -> Shared:
        noise, fold, sums = self.noise(repetition), self.folds(repetition), None
        rows = prepared_rows(self.job, noise)
        shuffled = shuffled_labels(self.job.data.y, fold, noise)
        if self.scope == "procedure":
            part = Shared.part(fold, self.groups)
            sums = Sums.of(self.job, rows, shuffled, part, FOLDS * GROUPS)
        return Shared(fold, rows, shuffled, sums)


@dataclass(frozen=True)
class Scores:
    """Of one strategy on one split."""

    test: Tensor  # (n_test,) what each test row contributes to the metric
    train: Tensor  # (K,) the metric on own training rows; NaN if there are none, or no density
    shown: Tensor  # (M, K) metrics that are shown
    examples_seen: Tensor  # (K,) by the model of each source's block
    updates: Tensor  # (K,) likewise
    best: Tensor  # (K,) the update whose weights were kept, likewise; NaN if the last
    validation: Tensor  # (K,) their loss on the validation rows; NaN without such rows
    parameters: int  # free parameters of all models together
    label: Tensor  # (2,) from `label_effect`; NaN where not asked for
    shared_error: Tensor  # (K, 3) see `metrics.base.Contributions`


@dataclass(frozen=True)
class CellScores:
    """Of one strategy in one cell; all float64, so that a file gives back the same bits."""

    rows: Tensor  # (n,) what each row contributes when it was a test row, NaN if never; or empty
    test: Tensor  # (K,) sum over the source's test rows, per unit
    train: Tensor  # (K,) sum over the source's own training rows, per unit, averaged over folds
    n_train: Tensor  # (K,) training rows, averaged over folds
    n_valid: Tensor  # (K,) validation rows, averaged over folds
    n_test: Tensor  # (K,) test rows
    test_size: Tensor  # (K,) their units
    examples_seen: Tensor  # (K,) averaged over folds
    updates: Tensor  # (K,) averaged over folds
    best: Tensor  # (K,) the update whose weights were kept, averaged over folds; NaN if the last
    validation: Tensor  # (K,) their validation loss, averaged over folds; NaN without such rows
    parameters: Tensor  # () of all models together, averaged over folds
    label: Tensor  # (2,) effect and change of `label_probe.label_effect`, averaged over folds
    shown: Tensor  # (M, K) metrics that are shown, averaged over folds
    shared_error: Tensor  # (K, 3) shared by a source's contributions, of their mean over folds

    def ended_at_best(self, k: int) -> bool:
        """Whether the validation loss of source k's model was lowest after its last update."""
        return bool(self.updates[k] > 0 and self.best[k] >= self.updates[k])

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """By name, for a file."""
        return {f"{prefix}/{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_sources(
        cls, test: Tensor, train: Tensor, n_train: Tensor, n_test: Tensor, shown: int
    ) -> "CellScores":
        """Means (K,) of an exact fit whose rows were not scored one by one."""
        unknown = torch.full_like(test, torch.nan)
        return cls(
            rows=test[:0],
            test=test,
            train=train,
            n_train=n_train.clone(),
            n_valid=torch.zeros_like(test),
            n_test=n_test.clone(),
            test_size=n_test.clone(),
            examples_seen=n_train.clone(),
            updates=torch.zeros_like(test),
            best=unknown,
            validation=unknown.clone(),
            parameters=test.new_tensor(torch.nan),
            label=test.new_full((2,), torch.nan),
            shown=test.new_full((shown, len(test)), torch.nan),
            shared_error=test.new_zeros(len(test), 3),
        )

    @classmethod
    def of(cls, tensors: dict[str, Tensor], prefix: str) -> "CellScores":
        """The inverse of `tensors`."""
        return cls(**{field.name: tensors[f"{prefix}/{field.name}"] for field in fields(cls)})
