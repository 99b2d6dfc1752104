"""What a result says of the data that was fitted, and of the fits."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from sourcewise.families.base import ConditionalModel, Diagnosed
from sourcewise.families.settings import TrainedSettings
from sourcewise.fitting.job import Job
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Table, as_table
from sourcewise.results.contract import known
from sourcewise.results.data import (
    Column,
    DataFacts,
    DiagnosticFacts,
    Fitted,
    LeftOut,
    SourceFacts,
)
from sourcewise.screening.base import Screened

__all__ = [
    "data_facts",
    "diagnostics_of",
    "fitted_of",
    "longer",
    "source_facts",
    "validated_by",
]

Source = TypeVar("Source", bound=SourceFacts)


def data_facts(
    job: Job,
    fitted: TrainedStrategy,
    screened: Screened,
    fingerprint: str,
    missing: str,
    sources: Sequence[Source],
    units: int | None = None,
    duplicate_rows: int | None = None,
) -> DataFacts[Source]:
    """What holds of the data whatever is done with it, and what the run says of its sources.

    Columns are as kept models see them (`fitted`): an encoder may choose their logarithms.
    """
    data, coding = job.data, job.coding
    table = data.x if isinstance(data.x, Table) else Table({}, ())  # nothing else has gaps
    return DataFacts(
        name=data.name,
        fingerprint=fingerprint,
        rows=len(data),
        columns=tuple(
            Column(**column.to_json()) for column in fitted.encoder.coding.coded_columns
        ),
        variables=coding.variables,
        symbols=coding.alphabet_size,
        scored_per=coding.unit,
        left_out=tuple(LeftOut(item.column, item.reason) for item in screened.left_out),
        group=tuple(data.group_by) or None,
        dropped_rows=screened.dropped,
        imputed_cells=screened.imputed,
        missing=missing,
        missing_cells=sum(int(table.missing(name).sum()) for name in table.names),
        sources=tuple(sources),
        units=units,
        duplicate_rows=duplicate_rows,
        given=None if data.c is None else as_table(data.c).names,
        seen=data.seen or None,
        image=coding.image,
    )


def source_facts(job: Job, k: int) -> SourceFacts:
    """Name, rows and size of a source."""
    size = float(job.sizes[job.data.y == k].sum())
    return SourceFacts(job.names[k], int(job.data.counts[k]), size)


def fitted_of(diagnosed: Diagnosed) -> Fitted:
    """What fitting found, by name."""
    found = diagnosed.fitted.items()
    return {
        name: tuple(v if isinstance(v, str) else known(v) for v in values)
        for name, values in found
    }


def diagnostics_of(diagnosed: Diagnosed) -> tuple[DiagnosticFacts, ...]:
    """What models say of their fits."""
    return tuple(
        DiagnosticFacts(d.name, d.values, d.unit, d.words, d.setting)
        for d in diagnosed.diagnostics
    )


def validated_by(model: ConditionalModel, unit: str) -> str:
    """What losses of validation rows are, in words."""
    likelihood = f"minus log-likelihood of rows as encoded for training, {unit}"
    return model.validated_by or likelihood


def longer(settings: TrainedSettings, made: Iterable[int]) -> set[str]:
    """Options that double trainings that ended after so many updates.

    A model makes `updates` of them, or `passes` over its rows if that is more: whichever it was
    that ended its training has to grow.

    >>> sorted(longer(TrainedSettings(updates=100, passes=5), [100, 250]))
    ['--set passes=10', '--set updates=200']
    """
    keys = {"updates" if n <= settings.updates else "passes" for n in made}
    return {f"--set {key}={2 * getattr(settings, key):g}" for key in keys}
