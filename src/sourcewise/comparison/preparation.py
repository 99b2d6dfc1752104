"""Everything that is settled before a comparison trains: settings, columns, sources, splits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sourcewise.comparison.evaluation import Job
from sourcewise.comparison.rehearsal import rehearse
from sourcewise.comparison.scopes import FOLDS, Plan, Scope
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

__all__ = ["BASELINE", "CompareSettings", "Prepared", "prepare"]

BASELINE = "separate"


class CompareSettings(Settings):
    """All that determines a comparison, beside the data."""

    model: str = Field(default="auto", description="auto or a family's name")
    set: dict[str, Any] = Field(default_factory=dict, description="the family's settings")
    strategies: str = Field(
        default="pooled,separate",
        description="comma-separated: pooled, separate, shuffled, groups:a+b|c, groups:FILE.csv",
    )
    trials: int = Field(
        default=0, ge=0, le=1000, description="settings to try per strategy; 0: none"
    )
    seeds: int = Field(default=3, ge=1, le=1000, description="repetitions, or training seeds")
    scope: Literal["auto", "procedure", "these models"] = Field(
        default="auto", description="auto, procedure, these models"
    )
    seed: int = Field(default=0, description="of all random choices")
    min_rows: int = Field(
        default=10, ge=FOLDS, description="sources with fewer rows are not tested"
    )
    missing: Missing = Field(default="refuse", description="refuse, drop, impute")
    log: tuple[str, ...] = Field(default=(), description="column names, or all")


@dataclass(frozen=True)
class Prepared:
    """A comparison that is checked and ready to run."""

    plan: Plan
    screened: Screened
    too_few: dict[str, str]
    config: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The default run folder."""
        return default_folder(self.plan.job.data.name, self.config)


def prepare(data: Sources, settings: CompareSettings) -> Prepared:
    """Check everything, choose columns and sources, and plan the splits.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    if not isinstance(data, Sources):
        raise InputError(f"compare needs Sources, not {type(data).__name__}: use sourcewise.read")
    chosen = suited(data) if settings.model == "auto" else family(settings.model)
    model_settings = chosen.parse(settings.set)
    if settings.trials and not chosen.trained:
        raise InputError(f"--trials: {chosen.name} is fitted exactly, there is nothing to try")
    if settings.trials and settings.scope == "procedure":
        raise InputError(
            "--trials needs --scope 'these models': settings found on the rows of one split would "
            "have seen the test rows of the others"
        )
    _check_names(data)
    rules = Rules(settings.min_rows, settings.missing, settings.log)
    screened = screen(chosen, data, model_settings, rules)
    coding = plan_coding(chosen.coding, screened, model_settings.coding_options())
    strategies = parse_strategies(settings.strategies, tuple(data.names))
    _check_strategies(strategies)
    usual: Scope = "these models" if chosen.trained else "procedure"
    scope: Scope = usual if settings.scope == "auto" else settings.scope
    job = Job(screened.data, coding, chosen, model_settings, strategies, ())
    # An exact fit leaves nothing to a training seed.
    repeats = scope == "procedure" or chosen.trained
    plan = Plan(job, scope, settings.seeds if repeats else 1, settings.seed)
    too_few = _too_few(plan, settings.min_rows)
    plan = replace(plan, job=replace(job, tested=_tested(plan, too_few, settings.min_rows)))
    resolved = settings.model_dump(mode="json") | {
        "model": chosen.name,
        "set": model_settings.model_dump(mode="json"),
        "strategies": {s.name: _blocks(s, job.names) for s in strategies},
        "scope": scope,
        "data": {"name": data.name, **data.reading},
    }
    config = {"settings": resolved, "fingerprint": data.fingerprint(), "versions": versions()}
    prepared = Prepared(plan, screened, too_few, plain(config))
    rehearse(prepared.plan)
    return prepared


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


def _blocks(strategy: Strategy, names: tuple[str, ...]) -> list[list[str]]:
    return [[names[k] for k in block] for block in strategy.partition]


def _too_few(plan: Plan, min_rows: int) -> dict[str, str]:
    """Sources that are not tested, and why: too few rows, or too few units to split."""
    data, out = plan.job.data, {}
    held_out = plan.folds(0) == 0
    for k, name in enumerate(data.names):
        mine = data.y == k
        units = len(data.units[mine].unique())
        tested = len(data.units[mine & held_out].unique())
        rows = int(mine.sum())
        if rows < min_rows:
            out[name] = f"too few rows ({rows}, fewer than {min_rows})"
        elif units < FOLDS:
            out[name] = f"too few rows ({rows}, but only {units} different units to split)"
        elif plan.scope == "these models" and tested < 2:
            out[name] = f"too few rows ({rows}, but only {tested} units to test on)"
    return out


def _tested(plan: Plan, too_few: Mapping[str, str], min_rows: int) -> tuple[int, ...]:
    names = plan.job.names
    tested = tuple(k for k, name in enumerate(names) if name not in too_few)
    if len(tested) < 2:
        told = listing((f"{name}: {reason}" for name, reason in too_few.items()), 3)
        raise InputError(
            f"{plan.job.data.name}: fewer than two sources can be tested ({told}); --min-rows "
            f"{min_rows} asks for that many rows of each, and {FOLDS} units to split"
        )
    return tested
