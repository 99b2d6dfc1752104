"""What the models of a contest truly achieve: scored on many fresh rows of the truth.

Beside each other families are scored on the test rows of the first split, by models that were
trained on its other rows. The interval of a lead is of these very models and new test rows. So
they are kept here while the cells of a comparison run, by the steps of `compare`, which keeps
models of all rows; the contest is the same (a test holds both against each other).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch

from sourcewise.comparison.beside.best import Contest, Pair
from sourcewise.comparison.beside.prepare import PreparedFamilies
from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.plan import BASELINE
from sourcewise.comparison.prepare import Prepared
from sourcewise.comparison.summary import Summary
from sourcewise.comparison.verdict import differences, verdict_of
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.randomness import Noise
from sourcewise.results.families import Best
from sourcewise.sources import Sources

__all__ = ["Entrant", "Truth", "best_of"]


@dataclass(frozen=True)
class Entrant:
    """A family that was compared.

    Args:
        prepared: how.
        summary: the scores of all cells.
        models: of each strategy, those that scored the test rows of the first split.
    """

    prepared: Prepared
    summary: Summary
    models: dict[str, TrainedStrategy] = field(default_factory=dict)

    @classmethod
    def of(cls, prepared: Prepared) -> Self:
        """All its cells."""
        plan, models = prepared.plan, {}

        def keep(name: str, fitted: TrainedStrategy) -> None:
            models.setdefault(name, fitted)  # splits come in turn

        first, *others = plan.cells
        found = {str(first): evaluate_cell(plan, first, plan.shared(0), keep=keep)}
        found |= {str(c): evaluate_cell(plan, c, plan.shared(c.repetition)) for c in others}
        return cls(prepared, Summary(plan, found), models)

    @property
    def recommended(self) -> str:
        """The strategy that the family alone would recommend."""
        compared = differences(self.summary, BASELINE)
        return verdict_of(self.summary, BASELINE, self.prepared.too_few, compared).recommended


def best_of(prepared: PreparedFamilies) -> tuple[dict[str, Entrant], Contest, Best]:
    """Families beside each other: each one compared, and which pair is best."""
    entrants = {name: Entrant.of(own) for name, own in prepared.by_name.items()}
    recommended = {name: entrant.recommended for name, entrant in entrants.items()}
    contest = Contest({name: one.summary for name, one in entrants.items()}, recommended)
    return entrants, contest, contest.best(next(iter(recommended.items())))


@dataclass(frozen=True)
class Truth:
    """Fresh rows under the models of every pair.

    Args:
        rows: (n,) of each pair, what a row contributes; more is better.
        y: (n,) their sources.
    """

    rows: Mapping[Pair, np.ndarray]
    y: np.ndarray

    @classmethod
    def of(cls, entrants: Mapping[str, Entrant], new: Sources) -> "Truth":
        """Of all families of a contest, by name, on new rows."""
        rows = {
            (family, name): _scored(entrant, fitted, new)
            for family, entrant in entrants.items()
            for name, fitted in entrant.models.items()
        }
        return cls(rows, new.y.numpy())

    def apart(self, one: Pair, other: Pair) -> float:
        """What a pair truly is ahead of another, on average over the sources."""
        return float(self._means(self.rows[one] - self.rows[other]).mean())

    def error(self, one: Pair, other: Pair) -> float:
        """The standard error of `apart`, for there are not endless rows."""
        d = self.rows[one] - self.rows[other]
        spread = self._means((d - self._means(d)[self.y]) ** 2) / np.bincount(self.y)
        return float(np.sqrt(spread.sum()) / len(spread))

    def _means(self, rows: np.ndarray) -> np.ndarray:
        """(K,) of rows (n,)."""
        return np.bincount(self.y, rows) / np.bincount(self.y)


def _scored(entrant: Entrant, fitted: TrainedStrategy, new: Sources) -> np.ndarray:
    """(n,) by the metric that decides."""
    job, noise = entrant.prepared.job, Noise(0)
    rows = job.coding.prepare(new.x, noise.each(new.y))
    held_out = fitted.held_out(new, rows, job.coding.sizes(new.x))
    with torch.no_grad():
        return job.metric.sign * job.metric.measure(fitted, held_out, noise).rows.numpy()
