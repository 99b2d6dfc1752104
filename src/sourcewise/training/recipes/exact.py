"""Models whose parameters are solved for, not approached."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.training.recipes.base import Effort, Member, Progress, Recipe

__all__ = ["RECIPE", "ExactFit"]


class ExactFit(Protocol):
    """What this recipe asks of a model."""

    def fit_exactly(self, rows: Batch, names: tuple[str, ...]) -> None:
        """Set the parameters from all training rows; `names` are for messages."""
        ...


class Exact(Recipe):
    """Takes training and validation rows together, since nothing has to tell it when to stop."""

    def train(
        self,
        members: Sequence[Member],
        settings: Settings | None,
        noise: Noise,
        execution: Execution | None = None,
        progress: Progress | None = None,
        folder: Path | None = None,
    ) -> list[Effort]:
        """See `Recipe.train`; settings and noise are not used."""
        return [_fitted(member) for member in members]


def _fitted(member: Member) -> Effort:
    rows = member.data.merged()
    cast(ExactFit, member.model).fit_exactly(rows, member.names)
    return Effort(len(rows), 0)


RECIPE = Exact()
