"""New rows for the models of a run: read like its own data, and matched by name.

Rows of sources or with values that the models do not know are refused, or left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from sourcewise.cells import as_option
from sourcewise.encoders.base import Coding, each_once
from sourcewise.encoders.given import GivenEncoder
from sourcewise.errors import InputError, counted, listing
from sourcewise.fitting.run import Run
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Column, Table, X, as_table
from sourcewise.readers.registry import ARRAYS, format_of
from sourcewise.readers.saved_arrays import array_names
from sourcewise.results.contract import Json, to_json
from sourcewise.results.evaluation import Skipped, UnknownValue
from sourcewise.screening.base import Screened, handle_missing, refuse_infinite, take_logarithms
from sourcewise.screening.options import Missing
from sourcewise.sources import Sources

__all__ = ["Unknown", "known_part", "matched", "reading_options", "with_given"]

Options = Mapping[str, Any]  # of `read`, by name
Unknown = Literal["refuse", "skip"]

FIRST = 5  # rows that are named


def reading_options(run: Run, data: str, given: Options) -> Json:
    """How to read DATA for a run: as its own data, columns being those of the models.

    Options that the user gave go first; an empty one takes an option away.
    """
    own, coding = to_json(run.settings.data), next(iter(run.models.values())).encoder.coding
    kinds = {column.name: column.kind for column in coding.coded_columns}
    known = next(iter(run.models.values())).given
    told = {} if known is None else {column.name: column.kind for column in known.columns}
    kind = format_of(Path(data))
    applies = kind.options if kind else ()
    by_file = ("separator", "encoding")  # of another file they may be others
    inherited = [name for name in own if name in applies and name not in by_file]
    if kind is ARRAYS and own["source"] not in array_names(data):
        inherited = []
    options = {name: own[name] for name in inherited if own[name]}
    if (kinds or told) and "types" in applies:
        options |= {"types": {**kinds, **told}} | ({"columns": list(kinds)} if kinds else {})
    for name, value in given.items():
        if value is not None:
            options[name] = {**options.get(name, {}), **value} if name == "types" else value
    return {name: value for name, value in options.items() if value}


def with_given(data: Sources, given: GivenEncoder | None) -> Sources:
    """The rows with what models are conditioned on, which may be among their columns.

    Raises:
        InputError: they have none of it.
    """
    if given is None or data.c is not None:
        return data
    x = data.x
    if not isinstance(x, Table) or not set(given.names) <= set(x.names):
        raise InputError(
            f"{data.name}: the models are conditioned on {listing(map(repr, given.names))}, and "
            "these rows were read without given columns"
        )
    return replace(data, c=x.select(given.names))


def known_part(
    data: Sources, fitted: TrainedStrategy, unknown: Unknown
) -> tuple[Sources, Skipped | None]:
    """The rows whose sources and values the models know, and what was left out.

    Raises:
        InputError: there are others, and unknown is "refuse"; or there are only others.
    """
    found = list(_unknown(data, fitted))
    if not found:
        return data, None
    strange = torch.zeros(len(data), dtype=torch.bool)
    for _, rows in found:
        strange[rows] = True
    skipped = Skipped(int(strange.sum()), tuple(value for value, _ in found))
    told = _told(skipped, fitted)
    if skipped.rows == len(data):
        raise InputError(f"{data.name}: the models can score no row: {told}")
    if unknown == "refuse":
        head = f"{data.name}: {skipped.rows} of {counted(len(data), 'row')} cannot be scored"
        raise InputError(f"{head}: {told}; --unknown skip leaves these rows out")
    return data.take(~strange), skipped


def _unknown(
    data: Sources, fitted: TrainedStrategy
) -> Iterator[tuple[UnknownValue, torch.Tensor]]:
    """The sources and values that the models do not know, with their rows."""
    names = set(fitted.model.names)
    number = torch.tensor([name not in names for name in data.names])
    rows = number[data.y].nonzero().squeeze(1)
    for k, at in each_once(data.y[rows], rows):
        yield _value(data, "source", None, data.names[k], at), at
    coding = fitted.encoder.coding
    for item in coding.strange(_columns(data, coding)):
        yield _value(data, item.kind, item.column, item.value, item.rows), item.rows
    if fitted.given is not None and data.c is not None:
        for column, value, rows in fitted.given.strange(data.c):
            yield _value(data, "category", column, value, rows), rows


def _value(
    data: Sources, kind: str, column: str | None, value: str, rows: torch.Tensor
) -> UnknownValue:
    first, place = rows[:FIRST] + 1, data.places(int(rows[0]))
    return UnknownValue(kind, column, value, len(rows), tuple(first.tolist()), place)


def _told(skipped: Skipped, fitted: TrainedStrategy) -> str:
    """What is unknown, and what is known instead."""
    known: dict[tuple[str, str | None], Sequence[str]] = {("source", None): fitted.model.names}
    for column in fitted.encoder.coding.coded_columns:
        known["category", column.name] = column.categories
    for column in () if fitted.given is None else fitted.given.columns:
        known["category", column.name] = column.levels
    return "; ".join(skipped.words(*of, known.get(of, ())) for of in skipped.kinds)


def matched(data: Sources, fitted: TrainedStrategy, missing: Missing) -> Screened:
    """The rows, of known sources, with the columns of the models; sources numbered as theirs.

    Raises:
        InputError: a column that the models do not know, missing or infinite values.
    """
    names = fitted.model.names
    number = torch.tensor([names.index(n) if n in names else -1 for n in data.names])
    coding = fitted.encoder.coding
    x = _known_categories(_columns(data, coding), coding)
    data = replace(data, x=x, y=number[data.y], names=names)
    data, warnings = _all_given(data, fitted, missing)
    screened = Screened(data)
    screened.warnings += warnings
    if isinstance(data.x, Table):
        refuse_infinite(screened)
        _missing(screened, coding, missing)
        take_logarithms(screened, [c.name for c in coding.coded_columns if c.log])
    return screened


def _all_given(
    data: Sources, fitted: TrainedStrategy, missing: Missing
) -> tuple[Sources, list[str]]:
    """The rows with a value in all given columns, as for training; and what was left out."""
    if fitted.given is None or data.c is None:
        return data, []
    given = as_table(data.c).select(fitted.given.names)
    gone = torch.stack([given.missing(name) for name in given.names]).any(0)
    if missing == "refuse" or not bool(gone.any()) or bool(gone.all()):
        return data, []  # the encoder refuses what is left
    told = counted(int(gone.sum()), "row")
    return data.take(~gone), [f"{told} dropped for missing values of given columns"]


def _columns(data: Sources, coding: Coding) -> X:
    """The columns of the models, of the kinds that they have there."""
    # Only what has named columns is matched by name; `prepare` checks text and plain symbols.
    if not coding.coded_columns:
        return data.x
    wanted = [column.name for column in coding.coded_columns]
    table = as_table(data.x) if isinstance(data.x, Table) else _named(data, wanted)
    table = table.select(wanted)
    for column, found in zip(coding.coded_columns, table.schema, strict=True):
        kind = column.kind
        if found.kind != kind and not bool(table.missing(found.name).all()):
            raise InputError(
                f"column {found.name!r} is read as {found.kind}, but the models have it as {kind}:"
                f" read it with {as_option('--types', f'{found.name}={kind}')}"
            )
    return table


def _known_categories(x: X, coding: Coding) -> X:
    """Categories numbered as the models have them: rows are compared with draws by numbers."""
    if not isinstance(x, Table) or not coding.coded_columns:
        return x
    columns, schema = dict(x.columns), []
    for column, found in zip(coding.coded_columns, x.schema, strict=True):
        if column.kind == found.kind == "category":
            codes = {text: i for i, text in enumerate(column.categories)}
            ours = torch.tensor([*(codes.get(text, -1) for text in found.categories), -1])
            columns[found.name] = ours[columns[found.name]]  # -1, a gap, takes the last
            found = Column(found.name, found.kind, column.categories)
        schema.append(found)
    return Table(columns, tuple(schema))


def _named(data: Sources, wanted: list[str]) -> Table:
    """Rows of an array as a table: its columns are x1, x2, ..., or those of the models in order.

    The latter where numbers agree and names do not, as in an array of the models' own samples.
    """
    table = as_table(data.x)
    if len(table.names) < len(wanted):
        raise InputError(
            f"{data.name}: rows of {len(table.names)} numbers, the models have {len(wanted)} "
            "columns"
        )
    if len(table.names) > len(wanted) or set(wanted) <= set(table.names):
        return table
    columns = dict(zip(wanted, table.columns.values(), strict=True))
    return Table(columns, tuple(Column(name) for name in wanted))


def _missing(screened: Screened, coding: Coding, missing: Missing) -> None:
    """As for training: by what the coding makes of gaps; `drop` leaves their rows out."""
    if coding.gaps == "value" and missing != "drop":
        return  # a gap where there was none is refused by the coding
    if coding.gaps == "impute" and missing == "impute":
        gaps = sum(int(screened.table.missing(name).sum()) for name in screened.table.names)
        if gaps:
            screened.imputed = gaps
            screened.warnings.append(
                f"{gaps} missing cells: these rows are scored on their observed columns"
            )
        return
    handle_missing(screened, missing, imputes=coding.gaps == "impute")
