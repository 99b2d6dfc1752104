"""What all recipes have in common: members to train, and what it cost."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.base import BatchNoise, Carried, ConditionalModel
from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.training.data import TrainingData

__all__ = ["Effort", "Member", "Progress", "Recipe"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Effort:
    """What training cost: the fair-budget columns of every table.

    Args:
        examples_seen: training examples processed, repeats counted.
        updates: gradient steps; 0 for an exact solution.
        best: the update whose weights were kept, None if they are the last.
        validation: their loss on the validation rows, nats per unit; None without such rows.
        how: what it was trained with, in words.
        refused: looks with a lower loss that could not be relied on: see `recipes.phased`.
    """

    examples_seen: int
    updates: int
    best: int | None = None
    validation: float | None = None
    how: str = "exact"
    refused: int = 0

    def after(self, before: "Effort") -> "Effort":
        """Counted from the beginning of the training that this one goes on from."""
        return replace(
            self,
            examples_seen=before.examples_seen + self.examples_seen,
            updates=before.updates + self.updates,
            best=None if self.best is None else before.updates + self.best,
            how=f"{self.how}, from weights after {before.updates} updates",
        )


@dataclass(frozen=True)
class Member:
    """One model to train.

    Args:
        names: its sources.
        model: trained in place.
        data: its rows, sources numbered within it.
        begun: whether training goes on from the weights that the model has, and draws towards
            them; otherwise weights are drawn anew.
    """

    names: tuple[str, ...]
    model: ConditionalModel
    data: TrainingData
    begun: bool = False

    @property
    def key(self) -> str:
        """Names the block in noise and files."""
        return "+".join(name.replace("+", "++") for name in self.names)


class Recipe(ABC):
    """One way to train.

    Beside `train`, the pieces that a rehearsal takes one by one: what training begins with, the
    step before an update, a loss, the end. Most recipes have a loss only.
    """

    @abstractmethod
    def train(
        self,
        members: Sequence[Member],
        settings: Settings | None,
        noise: Noise,
        execution: Execution | None = None,
        progress: Progress | None = None,
        folder: Path | None = None,
    ) -> list[Effort]:
        """Train the models of all members in place; see `training.fit`."""

    def begin(self, model: ConditionalModel, rows: Batch, noise: Noise) -> Carried:
        """What training starts with beside the parameters."""
        return {}

    def advance(self, model: ConditionalModel, carried: Carried, noise: BatchNoise) -> Carried:
        """The step before an update."""
        return carried

    def loss(
        self, model: ConditionalModel, batch: Batch, carried: Carried, noise: BatchNoise
    ) -> Tensor:
        """(B,) of some rows."""
        return model.loss(batch, noise)

    def finish(self, model: ConditionalModel, rows: Batch, carried: Carried, noise: Noise) -> None:
        """What comes after the updates."""
        return
