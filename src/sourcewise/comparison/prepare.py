"""Everything that is settled before a comparison trains: settings, columns, sources, splits."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.cells import as_option
from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.plan import BASELINE, Plan, Scope
from sourcewise.comparison.scores import FOLDS, Cell
from sourcewise.errors import InputError, counted, listing
from sourcewise.families.family import Family
from sourcewise.fitting.job import Job, Split
from sourcewise.fitting.prepare import FitSettings, chosen_family, configuration, prepare_job
from sourcewise.fitting.rehearsal import Rehearsal
from sourcewise.fitting.strategy import Encoders
from sourcewise.memory import give_back
from sourcewise.randomness import Noise
from sourcewise.results.contract import Json
from sourcewise.screening.base import Screened
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy, parse_strategies

__all__ = ["CompareSettings", "Prepared", "prepare"]

LONG = 1.0  # seconds beside which loading libraries does not count
SOME = 2000  # rows that tell the time of a fit whose work grows with their number


class CompareSettings(FitSettings):
    """All that determines a comparison, beside the data."""

    model: str = Field(default="auto", description="auto, all, or names of families: A,B")
    budget: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="minutes that the families of model=auto may take, None: 2; the first always "
        "runs",
    )
    strategies: str = Field(
        default="pooled,separate",
        description="comma-separated: pooled, separate, partial, fine-tuned, shuffled, "
        "groups:a+b|c, groups:FILE.csv",
    )
    trials: int = Field(
        default=0, ge=0, le=1000, description="settings to try per strategy; 0: none"
    )
    seeds: int = Field(default=3, ge=1, le=1000, description="repetitions, or training seeds")
    scope: Literal["auto", "procedure", "these models"] = Field(
        default="auto", description="auto, procedure, these models"
    )
    region: float | None = Field(
        default=None,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        description="half the width of practical equivalence; None: the metric's",
    )
    min_rows: int = Field(
        default=10,
        ge=FOLDS,
        le=1_000_000_000,
        description="sources with fewer rows are not tested",
    )


@dataclass(frozen=True)
class Prepared:
    """A comparison that is checked and ready to run."""

    plan: Plan  # how rows are split
    screened: Screened  # what happened to the table
    too_few: dict[str, str]  # names of the sources that are not tested, and why
    trials: int  # settings to try per strategy
    config: Json  # all that identifies it: resolved settings, versions, fingerprint

    @property
    def job(self) -> Job:
        """What is compared."""
        return self.plan.job

    @cached_property
    def split(self) -> Split:
        """The first."""
        return next(self.plan.splits(self.plan.cells[0], self.plan.shared(0).fold))

    @cached_property
    def encoders(self) -> Encoders:
        """That of the first split."""
        give_back()
        return Encoders.fit(self.plan.job, self.plan.shared(0).rows, self.split)

    def rehearsal(self) -> Rehearsal:
        """All models on the first split."""
        shared = self.plan.shared(0)
        return Rehearsal(self.plan.job, shared.rows, self.split, shared.shuffled, self.encoders)

    @property
    def notes(self) -> list[str]:
        """What is to be known of the data before it runs, one line each."""
        return self.screened.notes

    def foreseen(self) -> Json:
        """What settings come to, and what the estimate of its seconds rests on."""
        found: Json = {"resolved": self.rehearsal().effective_settings()}
        early = {"seconds_reason": "if no training stops early"}
        return found | (early if self.job.family.trained else {})

    def seconds(self) -> float:
        """That the comparison will take, its search included, if no training stops early."""
        plan = self.plan
        splits = FOLDS if plan.scope == "procedure" else 1  # of a cell
        extra = 0 if plan.keeps_models else 1  # models to keep, of all rows
        if plan.job.family.trained:
            seconds = (splits * len(plan.cells) + extra) * self.rehearsal().seconds()
        elif plan.keeps_models:
            seconds = len(plan.cells) * _of_some_rows(plan)
        else:
            whole = [cell for cell in plan.cells if cell.deletion is None]
            deletions = [cell for cell in plan.cells if cell.deletion is not None]
            kinds = [cells for cells in (whole, deletions) if cells]
            seconds = splits * sum(len(cells) * _one_split(plan, cells[0]) for cells in kinds)
        return seconds * (1 + self.trials / len(plan.cells))


def prepare(data: Sources, settings: CompareSettings) -> Prepared:
    """Check everything, choose columns and sources, and plan the splits.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    chosen = chosen_family("compare", data, settings)
    _check_trials(settings, chosen)
    _check_names(data)
    strategies = parse_strategies(settings.strategies, tuple(data.names))
    job, screened = prepare_job(data, settings, chosen, strategies, settings.min_rows)
    _check_strategies(strategies)
    scope: Scope = chosen.usual_scope if settings.scope == "auto" else settings.scope
    # An exact fit leaves nothing to a training seed.
    repeats = scope == "procedure" or chosen.trained
    plan = Plan(job, scope, settings.seeds if repeats else 1, settings.seed, settings.region)
    too_few = _too_few(plan, settings.min_rows)
    plan = replace(plan, job=replace(job, tested=_tested(plan, too_few, settings.min_rows)))
    config = configuration(data, settings, job, scope=scope)
    prepared = Prepared(plan, screened, too_few, settings.trials, config)
    if chosen.trained:
        prepared.rehearsal().check(Noise(plan.seed).of("rehearsal"))
    elif chosen.usual_scope == "procedure":  # a quick fit is tried on a small split
        evaluate_cell(plan, Cell(0, plan.group_count - 1), plan.shared(0), splits=1)
    return prepared


def _check_trials(settings: CompareSettings, chosen: Family) -> None:
    if settings.trials and not chosen.trained:
        raise InputError(f"--trials: {chosen.name} is fitted exactly, there is nothing to try")
    if settings.trials and settings.scope == "procedure":
        raise InputError(
            "--trials needs --scope 'these models': settings found on the rows of one split would "
            "have seen the test rows of the others"
        )


def _of_some_rows(plan: Plan) -> float:
    """Seconds of the first split, by what a share of every source's rows takes."""
    data = plan.job.data
    if len(data) <= SOME:
        return _one_split(plan, plan.cells[0])
    parts = len(data) // SOME
    small = (data.counts < parts * 2 * FOLDS)[data.y]
    kept = small | (data.folds(parts, Noise(0).of("some")) == 0)
    some = data.take(kept.nonzero().squeeze(1))
    thin = replace(plan, job=replace(plan.job, data=some), _kept={})
    return _one_split(thin, thin.cells[0]) * len(data) / len(some)


def _one_split(plan: Plan, cell: Cell) -> float:
    """Seconds that fitting and scoring all strategies on one split of a cell takes."""
    shared = plan.shared(0)

    def once() -> float:
        start = time.process_time()
        evaluate_cell(plan, cell, shared, splits=1)
        return time.process_time() - start

    took = once()
    # The first of a process loads what later ones find there.
    return took if took > LONG else once()


def _check_names(data: Sources) -> None:
    if data.K < 2:
        raise InputError(
            f"{data.name} has one source only ({data.names[0]!r}): a comparison needs two"
        )
    if "macro" in data.names:
        raise InputError("a source is called 'macro', the name of the average: rename it")


def _check_strategies(strategies: tuple[Strategy, ...]) -> None:
    names = [strategy.name for strategy in strategies]
    if BASELINE not in names or all(s.shuffled or s.name == BASELINE for s in strategies):
        raise InputError(
            f"strategies {listing(names)}: need {BASELINE}, the baseline, and one to compare it "
            "with (pooled, groups:a+b|c)"
        )


def _too_few(plan: Plan, min_rows: int) -> dict[str, str]:
    """Sources that are not tested, and why: too few rows, or too few units to split."""
    data, out = plan.job.data, {}
    held_out = plan.folds(0) == 0
    every = torch.ones_like(held_out)
    facts = (data.counts, *(_units(data, rows) for rows in (every, held_out)))
    for name, rows, units, tested in zip(data.names, *map(Tensor.tolist, facts), strict=True):
        if rows < min_rows:
            out[name] = f"too few rows ({rows}, fewer than {min_rows})"
        elif units < FOLDS:
            grouped = data.group is not None
            split = counted(units, "group") if grouped else f"{units} different units"
            out[name] = f"too few rows ({rows}, but only {split} to split)"
        elif plan.scope == "these models" and tested < 2:
            out[name] = f"too few rows ({rows}, but only {tested} units to test on)"
    return out


def _units(data: Sources, rows: Tensor) -> Tensor:
    """(K,) different units of each source among some rows (n,)."""
    pairs = (data.units * data.K + data.y)[rows].unique()
    return torch.bincount(pairs % data.K, minlength=data.K)


def _tested(plan: Plan, too_few: Mapping[str, str], min_rows: int) -> tuple[int, ...]:
    names = plan.job.names
    tested = tuple(k for k, name in enumerate(names) if name not in too_few)
    if len(tested) < 2:
        told = listing((f"{name}: {reason}" for name, reason in too_few.items()), 3)
        by = plan.job.data.group_by
        kept = f"; {as_option('--group', *by)} keeps rows of one value in one unit" if by else ""
        raise InputError(
            f"{plan.job.data.name}: fewer than two sources can be tested ({told}); --min-rows "
            f"{min_rows} asks for that many rows of each, and {FOLDS} units to split{kept}"
        )
    return tested
