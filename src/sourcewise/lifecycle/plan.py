"""What is settled before a training starts: settings, columns, the strategy, validation rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.comparison.evaluation import Job, Split
from sourcewise.comparison.rehearsal import rehearse
from sourcewise.comparison.scopes import Cell, Plan
from sourcewise.encoders.registry import plan as plan_coding
from sourcewise.errors import InputError, listing
from sourcewise.families.registry import family, suited
from sourcewise.families.screening import screen
from sourcewise.files import default_folder, plain, versions
from sourcewise.screening.base import Screened
from sourcewise.screening.options import Missing, Rules
from sourcewise.settings import Settings
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy, parse_strategies

__all__ = ["PreparedTraining", "TrainSettings", "WholePlan", "prepare"]


class TrainSettings(Settings):
    """All that determines a training, beside the data."""

    model: str = Field(default="auto", description="auto or a family's name")
    set: dict[str, Any] = Field(default_factory=dict, description="the family's settings")
    strategy: str = Field(
        default="pooled", description="pooled, separate, groups:a+b|c, groups:FILE.csv"
    )
    seed: int = Field(default=0, description="of all random choices")
    missing: Missing = Field(default="refuse", description="refuse, drop, impute")
    log: tuple[str, ...] = Field(default=(), description="column names, or all")


@dataclass(frozen=True)
class WholePlan(Plan):
    """The plan of one split: all rows train, apart from those that tell when to stop."""

    def splits(self, cell: Cell, fold: Tensor) -> Iterator[Split]:
        """The only split; its validation rows are those of `evaluation.fit_all`."""
        every = torch.arange(len(self.job.data))
        yield Split.of(self.job, every, every[:0], self.noise(0).of("validation"))

    @property
    def split(self) -> Split:
        """The only split."""
        return next(self.splits(Cell(0, None), torch.empty(0)))


@dataclass(frozen=True)
class PreparedTraining:
    """A training that is checked and ready to run."""

    plan: WholePlan
    screened: Screened
    config: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The default run folder."""
        return default_folder(self.plan.job.data.name, self.config)

    @property
    def strategy(self) -> Strategy:
        """What is trained."""
        return self.plan.job.strategies[0]


def prepare(data: Sources, settings: TrainSettings) -> PreparedTraining:
    """Check everything and choose columns.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    if not isinstance(data, Sources):
        raise InputError(f"train needs Sources, not {type(data).__name__}: use sourcewise.read")
    chosen = suited(data) if settings.model == "auto" else family(settings.model)
    model_settings = chosen.parse(settings.set)
    rules = Rules(missing=settings.missing, log=settings.log)
    screened = screen(chosen, data, model_settings, rules)
    coding = plan_coding(chosen.coding, screened, model_settings.coding_options())
    strategy, names = _strategy(settings.strategy, screened.data), screened.data.names
    with_rows = tuple(screened.data.counts.nonzero().squeeze(1).tolist())
    job = Job(screened.data, coding, chosen, model_settings, (strategy,), with_rows)
    plan = WholePlan(job, "these models", 1, settings.seed)
    blocks = [[names[k] for k in block] for block in strategy.partition]
    resolved = settings.model_dump(mode="json") | {
        "model": chosen.name,
        "set": model_settings.model_dump(mode="json"),
        "strategy": {strategy.name: blocks},
        "data": {"name": data.name, **data.reading},
    }
    config = {
        "kind": "train",
        "settings": resolved,
        "fingerprint": data.fingerprint(),
        "versions": versions(),
    }
    if chosen.trained:
        rehearse(plan)
    return PreparedTraining(plan, screened, plain(config))


def _strategy(text: str, data: Sources) -> Strategy:
    strategies = parse_strategies(text, tuple(data.names))
    if len(strategies) != 1 or strategies[0].shuffled:
        raise InputError(
            f"strategy {text!r}: train takes one of pooled, separate, groups:a+b|c, "
            f"groups:FILE.csv; several ({listing(['pooled,separate'])}) and controls are for "
            "compare"
        )
    return strategies[0]
