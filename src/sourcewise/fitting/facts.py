"""What a result says of the data that was fitted."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sourcewise.encoders.screening import Screened
from sourcewise.families.base import ConditionalModel
from sourcewise.fitting.job import Job
from sourcewise.forms import Table
from sourcewise.results.data import Column, DataFacts, LeftOut, SourceFacts

__all__ = ["data_facts", "source_facts", "validated_by"]

Source = TypeVar("Source", bound=SourceFacts)


def data_facts(
    job: Job,
    screened: Screened,
    fingerprint: str,
    missing: str,
    sources: Sequence[Source],
    units: int | None = None,
    duplicate_rows: int | None = None,
) -> DataFacts[Source]:
    """What holds of the data whatever is done with it, and what the run says of its sources."""
    data, coding = job.data, job.coding
    return DataFacts(
        name=data.name,
        fingerprint=fingerprint,
        rows=len(data),
        columns=tuple(map(_column, coding.columns)),
        variables=coding.variables,
        symbols=getattr(coding, "M", None),
        scored_per=coding.unit,
        left_out=tuple(LeftOut(item.column, item.reason) for item in screened.left_out),
        group=tuple(data.group_by) or None,
        dropped_rows=screened.dropped,
        imputed_cells=screened.imputed,
        missing=missing,
        missing_cells=_missing_cells(data.x),
        sources=tuple(sources),
        units=units,
        duplicate_rows=duplicate_rows,
    )


def source_facts(job: Job, k: int) -> SourceFacts:
    """Name, rows and size of a source."""
    size = float(job.sizes[job.data.y == k].sum())
    return SourceFacts(job.names[k], int(job.data.counts[k]), size)


def validated_by(model: ConditionalModel, unit: str) -> str:
    """What losses of validation rows are, in words."""
    likelihood = f"minus log-likelihood of rows as encoded for training, {unit}"
    return model.validated_by or likelihood


def _column(column: Any) -> Column:
    """What a coding says of a column, in the words that it has for it."""
    keys = [field.name for field in fields(Column)]
    views = (column, getattr(column, "schema", None), getattr(column, "number", None))
    known = {key: getattr(view, key) for view in views for key in keys if hasattr(view, key)}
    return Column(**known)


def _missing_cells(x: Any) -> int:
    """Cells of a table without a value; nothing else has gaps."""
    return sum(int(x.missing(name).sum()) for name in x.names) if isinstance(x, Table) else 0
