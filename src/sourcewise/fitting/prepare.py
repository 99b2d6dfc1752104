"""What is settled before anything is fitted: settings, family, columns."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Self

from pydantic import Field

from sourcewise.cells import as_option
from sourcewise.encoders.registry import plan
from sourcewise.errors import InputError, listing
from sourcewise.execution import Execution
from sourcewise.families.family import Family
from sourcewise.families.registry import families, family, of_numbers, screen, suited
from sourcewise.families.settings import FamilySettings, TrainedSettings
from sourcewise.files import plain, versions
from sourcewise.fitting.job import Job
from sourcewise.forms import Table, form
from sourcewise.metrics.features import registry as features
from sourcewise.metrics.registry import metrics_of
from sourcewise.screening.base import Screened
from sourcewise.screening.given import screen_given
from sourcewise.screening.options import Missing, Rules
from sourcewise.settings import Seed, Settings
from sourcewise.sources import Sources
from sourcewise.strategies import FINE_TUNED, Strategy

FEW = 1000  # rows of a source, of which a trained model learns little

__all__ = ["FitSettings", "chosen_family", "configuration", "prepare_job", "refuse_other_data"]


class FitSettings(Settings):
    """What is fitted to the data, whatever for."""

    model: str = Field(default="auto", description="auto, or the name of a family")
    set: dict[str, Any] = Field(default_factory=dict, description="the family's settings")
    seed: Seed = Field(default=0, description="of all random choices")
    metric: str = Field(
        default="auto", description="auto (the family's for such data) or another that it offers"
    )
    missing: Missing = Field(default="refuse", description="refuse, drop, impute")
    log: tuple[str, ...] = Field(
        default=("auto",),
        description="column names, all, none, or auto: skewed columns, where training rows are "
        "likelier so",
    )

    @classmethod
    def changed(cls, settings: Self | None, changes: Mapping[str, object]) -> Self:
        """Settings, the usual ones if None, with some fields given by name."""
        given = {**(settings.model_dump() if settings else {}), **changes}
        if isinstance(given.get("log"), str):
            given["log"] = (given["log"],)
        return cls.parse(given)


def chosen_family(verb: str, data: object, settings: FitSettings) -> Family:
    """The family that is named, or the one that suits the data; these must have been read."""
    data = refuse_other_data(verb, data)
    return family(settings.model) if settings.model != "auto" else suited(data)


def refuse_other_data(verb: str, data: object) -> Sources:
    """The data, if they have been read."""
    if not isinstance(data, Sources):
        raise InputError(f"{verb} needs Sources, not {type(data).__name__}: use sourcewise.read")
    return data


def prepare_job(
    data: Sources,
    settings: FitSettings,
    family: Family,
    strategies: tuple[Strategy, ...],
    min_rows: int = Rules.min_rows,
) -> tuple[Job, Screened]:
    """The job, of which all sources with rows are tested, and what happened to the columns.

    Sources with fewer rows than `min_rows` are not looked at in screening.
    """
    Execution.refuse(settings.set)
    own = family.parse(settings.set).suited(form(data.x))
    if data.c is not None and not family.takes_given:
        takers = listing(item.name for item in families().values() if item.takes_given)
        raise InputError(
            f"--given: {family.name} takes no given columns (those that do: {takers})"
        )
    _check_strategies(family, strategies)
    _check_tuning(own, settings.set, strategies)
    auto, none = (settings.log == (word,) for word in ("auto", "none"))
    log = () if auto or none else settings.log
    rules = Rules(min_rows, settings.missing, log, auto, family.widest)
    data = screen_given(data, rules)
    screened = screen(family, data, own, rules)
    if settings.model == "auto":
        _point_out_numbers(screened, family)
    coding = plan(family.coding, screened, own.coding_options())
    with_rows = tuple(screened.data.counts.nonzero().squeeze(1).tolist())
    deciding, shown = metrics_of(family, settings.metric, own, form(screened.data.x))
    if deciding.features:
        features.fit(screened.data.x, coding)  # refuses what is no point
    job = Job(screened.data, coding, family, own, deciding, shown, strategies, with_rows)
    return job, screened


def _check_strategies(family: Family, strategies: tuple[Strategy, ...]) -> None:
    """Raise if there are some that the family does not have."""
    allowed = listing(["pooled", "separate", *family.offers, "shuffled", "groups:a+b|c"], 9)
    if any(strategy.partial for strategy in strategies) and not family.partial:
        able = listing(item.name for item in families().values() if item.partial)
        raise InputError(
            f"strategy partial: {family.name} has no partial pooling (those that do: {able}); "
            f"allowed are {allowed}"
        )
    if any(strategy.parent for strategy in strategies) and not family.trained:
        able = listing(item.name for item in families().values() if item.trained)
        raise InputError(
            f"strategy {FINE_TUNED}: {family.name} is fitted exactly, from no weights"
            f"{', and has partial instead' if family.partial else ''} (families that are trained: "
            f"{able}); allowed are {allowed}"
        )


def _check_tuning(
    own: FamilySettings, given: Collection[str], strategies: tuple[Strategy, ...]
) -> None:
    """Raise if settings are given that no strategy uses."""
    names = own.TUNING if isinstance(own, TrainedSettings) else ()
    unused = [name for name in names if name in given]
    if unused and not any(strategy.parent for strategy in strategies):
        raise InputError(f"--set {unused[0]}: only the strategy {FINE_TUNED} uses it")


def _point_out_numbers(screened: Screened, chosen: Family) -> None:
    """Of small tables say that an exact fit of the numbers alone may find more."""
    if not isinstance(screened.data.x, Table):
        return
    names = [column.name for column in screened.table.schema if column.kind == "number"]
    exact = of_numbers(replace(screened.data, x=screened.table))
    counts = screened.data.counts
    if exact and not exact.trained and chosen.trained and int(counts[counts > 0].min()) < FEW:
        screened.warnings.append(
            f"the family {chosen.name} takes all kinds of columns and learns much from many rows; "
            f"of few rows an exact fit ({exact.name}) of the numbers alone may find more: "
            f"{as_option('--columns', *names)}"
        )


def configuration(
    data: Sources, settings: FitSettings, job: Job, **more: object
) -> dict[str, Any]:
    """What identifies a run: settings with all that they came to, fingerprint, versions.

    `data` is the sample as it was read; `more` are settings that something else came to.
    """
    blocks = {
        s.name: [[job.names[k] for k in block] for block in s.partition] for s in job.strategies
    }
    known = {"strategies", "strategy"} & type(settings).model_fields.keys()
    resolved = settings.model_dump(mode="json") | {
        "model": job.family.name,
        "metric": job.metric.name,
        "set": job.settings.model_dump(mode="json"),
        **dict.fromkeys(known, blocks),
        **more,
        "data": {"name": data.name, **data.reading},
    }
    config = {"settings": resolved, "fingerprint": data.fingerprint(), "versions": versions()}
    return plain(config)
