"""What a strategy scored: on one split, and on all splits of a cell."""

from dataclasses import dataclass, fields

from torch import Tensor

__all__ = ["CellScores", "Scores"]


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
    def of(cls, tensors: dict[str, Tensor], prefix: str) -> "CellScores":
        """The inverse of `tensors`."""
        return cls(**{field.name: tensors[f"{prefix}/{field.name}"] for field in fields(cls)})
