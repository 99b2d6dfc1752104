"""What is measured in a cell of a comparison: of every strategy, of rows and of sources."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["FOLDS", "Cell", "CellScores", "Scores"]

FOLDS = 5


@dataclass(frozen=True)
class Cell:
    """One repetition, with one jackknife group left out (or None)."""

    repetition: int
    deletion: int | None

    def __str__(self) -> str:
        return f"{self.repetition}-{'all' if self.deletion is None else self.deletion}"


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
    label: Tensor  # (4,) from `label_effect`; NaN where not asked for
    shared_error: Tensor  # (K, 3) see `metrics.base.Contributions`
    terms: Tensor  # (n_test, T) likewise; T = 0 where the metric tells none


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
    label: Tensor  # (4,) from `label_probe.label_effect`, averaged over folds
    shown: Tensor  # (M, K) metrics that are shown, averaged over folds
    shared_error: Tensor  # (K, 3) shared by a source's contributions, of their mean over folds
    terms: Tensor  # (n, T) what `rows` are sums of, likewise; or (0, T)

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
            label=test.new_full((4,), torch.nan),
            shown=test.new_full((shown, len(test)), torch.nan),
            shared_error=test.new_zeros(len(test), 3),
            terms=test.new_empty(0, 0),
        )

    @classmethod
    def of(cls, tensors: dict[str, Tensor], prefix: str) -> "CellScores":
        """The inverse of `tensors`."""
        return cls(**{field.name: tensors[f"{prefix}/{field.name}"] for field in fields(cls)})
