"""What is fitted, on which rows, and where: all that stays the same while strategies differ."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor

from sourcewise.encoders.base import Coding, Rows
from sourcewise.encoders.given import GivenEncoder
from sourcewise.execution import Execution
from sourcewise.families.family import Family
from sourcewise.families.settings import FamilySettings, TrainedSettings
from sourcewise.metrics.base import Metric
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.splits import held_in_turn
from sourcewise.strategies import Strategy

__all__ = ["Job", "Progress", "Split", "Work", "prepared_rows", "share", "shuffled_labels"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """All that stays the same throughout a comparison.

    Args:
        data: the screened sample.
        coding: how examples become tensors.
        family: the model family.
        settings: its settings, for all strategies that have none of their own.
        metric: what decides.
        shown: metrics that are measured beside it.
        strategies: what is compared.
        tested: the sources that are tested (the others only train with them).
        tuned: settings of strategies that were searched for, by name.
    """

    data: Sources
    coding: Coding
    family: Family
    settings: FamilySettings
    metric: Metric
    shown: tuple[Metric, ...]
    strategies: tuple[Strategy, ...]
    tested: tuple[int, ...]
    tuned: Mapping[str, FamilySettings] = field(default_factory=dict)

    def settings_of(self, strategy: Strategy) -> FamilySettings:
        """The settings that a strategy trains with."""
        return self.tuned.get(strategy.name, self.settings)

    @property
    def names(self) -> tuple[str, ...]:
        """The sources' names."""
        return tuple(self.data.names)

    @cached_property
    def sizes(self) -> Tensor:
        """(n,) units of each example: what its loss in training is divided by."""
        return self.coding.sizes(self.data.x)

    @cached_property
    def weights(self) -> Tensor:
        """(n,) what each example counts in its source's value of the metric."""
        return self.metric.sizes(self.coding, self.data.x)

    @property
    def unit(self) -> str:
        """What values of the metric are in."""
        return self.metric.unit(self.coding)

    @property
    def validation(self) -> float:
        """Share of the training rows that tell when to stop; an exact fit needs none."""
        return self.settings.validation if isinstance(self.settings, TrainedSettings) else 0.0


@dataclass(frozen=True)
class Split:
    """Indices of rows."""

    train: Tensor  # that models are trained on, of all sources
    valid: Tensor  # that tell when to stop, likewise; none for an exact fit
    test: Tensor  # that models are scored on, of tested sources
    part: Tensor  # (n_train,) of training rows: see `families.offers.Choosing`; units are whole
    turn: Tensor  # (n_train,) when further splits hold them out; see `TrainingData`

    @classmethod
    def of(cls, job: Job, train: Tensor, test: Tensor, noise: Noise, fold: Tensor) -> "Split":
        """Set the validation rows apart from the training rows, the same for all strategies.

        Folds (n,) are of all rows: those of the training rows are their parts.
        """
        turn = held_in_turn(job.data.units[train], job.data.y[train], job.validation, noise)
        held = turn == 0
        # Rows may be millions, parts and turns are few: numbers of two bytes.
        part, turn = fold[train[~held]].short(), turn[~held].short()
        return cls(train[~held], train[held], test, part, turn)


def prepared_rows(job: Job, noise: Noise) -> Rows:
    """All rows with everything done that needs no fitting, once per repetition."""
    with job.data.places.named():
        rows = job.coding.prepare(job.data.x, noise.of("encode").each(job.data.y))
        c = job.data.c
        return rows if c is None else job.coding.beside(rows, GivenEncoder.fit(c).encode(c))


def shuffled_labels(y: Tensor, fold: Tensor, noise: Noise) -> Tensor:
    """Labels permuted inside each fold, so that every training set keeps its counts."""
    out = y.clone()
    for part in fold.unique().tolist():
        rows = (fold == part).nonzero().squeeze(1)
        out[rows] = y[rows[noise.of("shuffle", part).permutation(len(rows))]]
    return out


def share(progress: Progress | None, i: int, of: int) -> Progress | None:
    """The progress of part i of equal parts, told as that of the whole."""
    return None if progress is None else lambda done, all_: progress(i * all_ + done, of * all_)


@dataclass(frozen=True)
class Work:
    """How and where one split is worked on."""

    noise: Noise  # of all training on it
    execution: Execution = field(default_factory=Execution)  # where and how fast
    folder: Path | None = None  # where training may leave checkpoints; None: nowhere
    progress: Progress | None = None  # called with (done, in all)
    probe: bool = False  # whether to ask what the labels are worth to each strategy

    def part(self, i: int, of: int, name: str) -> "Work":
        """Of part i of equal parts; its name is that of its folder, not of its noise."""
        folder = None if self.folder is None else self.folder / name
        return replace(self, folder=folder, progress=share(self.progress, i, of))
