"""What a strategy scored: on one split, and on all splits of a cell."""

from dataclasses import dataclass, fields

from torch import Tensor

__all__ = ["CellScores", "Scores"]


@dataclass(frozen=True)
class Scores:
    """Of one strategy on one split.

    Args:
        test: (n_test,) what each test row contributes to the metric.
        train: (K,) the metric on each source's own training rows; NaN if it has none, or if the
            metric is not of densities.
        shown: (M, K) metrics that are shown.
        examples_seen: (K,) by the model of each source's block.
        updates: (K,) likewise.
        best: (K,) the update whose weights were kept, likewise; NaN if the last.
        validation: (K,) their loss on the validation rows; NaN without such rows.
        parameters: free parameters of all models together.
        label: (2,) from `label_effect`; NaN where not asked for.
        shared_error: (K, 3) see `metrics.base.Contributions`.
    """

    test: Tensor
    train: Tensor
    shown: Tensor
    examples_seen: Tensor
    updates: Tensor
    best: Tensor
    validation: Tensor
    parameters: int
    label: Tensor
    shared_error: Tensor


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
