"""New rows for saved models: read like the training data, columns and sources matched by name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sourcewise.encoders.base import Coding, Rows
from sourcewise.errors import InputError, listing
from sourcewise.files import read_tensors
from sourcewise.fitting.run import Run
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms.ragged import Ragged
from sourcewise.forms.table import Column, Table, as_table
from sourcewise.metrics.base import Metric
from sourcewise.readers.arrays import array_names
from sourcewise.readers.read import read
from sourcewise.readers.registry import ARRAYS, format_of
from sourcewise.results.contract import Json, to_json
from sourcewise.screening.base import Screened
from sourcewise.screening.checks import handle_missing, refuse_infinite, take_logarithms
from sourcewise.screening.options import Missing
from sourcewise.sources import Sources

__all__ = [
    "known_rows",
    "matched",
    "new_characters",
    "read_rows",
    "reading_options",
    "rough",
]

Options = Mapping[str, Any]  # of `read`, by name

FEW = 10


def reading_options(run: Run, data: str, given: Options) -> Json:
    """How to read DATA for a run: as its own data, columns being those of the models.

    Args:
        run: the run.
        data: path or built-in name.
        given: options that the user gave; they go first, an empty one takes an option away.
    """
    own, kinds = to_json(run.settings.data), _kinds(run)
    kind = format_of(Path(data))
    applies = kind.options if kind else ()
    inherited = [name for name in ("source", "group", "text", "chunk") if name in applies]
    if kind is ARRAYS and own["source"] not in array_names(data):
        inherited = []
    options = {name: own[name] for name in inherited if own[name]}
    if kinds and "types" in applies:
        options |= {"columns": list(kinds), "types": kinds}
    for name, value in given.items():
        if value is not None:
            options[name] = {**options.get(name, {}), **value} if name == "types" else value
    return {name: value for name, value in options.items() if value}


def _kinds(run: Run) -> dict[str, str]:
    """The kinds of the columns, as the models have them."""
    encoder = next(iter(run.models.values())).encoder
    return {column.name: column.kind for column in encoder.coding.coded_columns}


def read_rows(run: Run, data: str, given: Options) -> Sources:
    """See `reading_options`."""
    return read(data, **reading_options(run, data, given))


def matched(data: Sources, fitted: TrainedStrategy, missing: Missing) -> Screened:
    """The rows with the columns of the models, sources numbered as theirs.

    Args:
        data: new rows.
        fitted: the models.
        missing: refuse, drop or impute (score the observed columns).

    Raises:
        InputError: a source or column that the models do not know, missing or infinite values.
    """
    names = fitted.model.names
    present = [data.names[k] for k in data.counts.nonzero().squeeze(1).tolist()]
    strange = [name for name in present if name not in names]
    if strange:
        raise InputError(
            f"{data.name}: no model knows the sources {listing(map(repr, strange), 5)} (known: "
            f"{listing(names, 12)})"
        )
    number = torch.tensor([names.index(n) if n in names else -1 for n in data.names])
    coding = fitted.encoder.coding
    x = data.x
    # Only what has named columns is matched by name; `prepare` checks text and plain symbols.
    if coding.coded_columns:
        x = _columns(data, coding)
    data = replace(data, x=x, y=number[data.y], names=names)
    screened = Screened(data)
    if isinstance(x, Table):
        refuse_infinite(screened)
        _missing(screened, coding, missing)
        take_logarithms(screened, [c.name for c in coding.coded_columns if c.log])
    return screened


def _columns(data: Sources, coding: Coding) -> Table:
    """The columns of the models, of the kinds that they have there."""
    wanted = [column.name for column in coding.coded_columns]
    table = as_table(data.x) if isinstance(data.x, Table) else _named(data, wanted)
    table = table.select(wanted)
    for column, found in zip(coding.coded_columns, table.schema, strict=True):
        kind = column.kind
        if found.kind != kind and not bool(table.missing(found.name).all()):
            raise InputError(
                f"column {found.name!r} is read as {found.kind}, but the models have it as {kind}:"
                f" read it with --types {found.name}={kind}"
            )
    return table


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


def rough(data: Sources) -> str | None:
    """A warning about sources with so few rows that their intervals mean little."""
    few = [data.names[k] for k in range(data.K) if 0 < int(data.counts[k]) < FEW]
    names = listing(map(repr, few), 5)
    return f"fewer than {FEW} rows of {names}: a rough interval, if any" if few else None


def new_characters(rows: Rows, fitted: TrainedStrategy) -> str | None:
    """A warning that counts the characters which the models have no symbol for."""
    unknown = fitted.encoder.unknown(rows)
    if unknown is None:
        return None
    found = listing(map(repr, unknown.symbols), 6)
    return (
        f"{unknown.count} of {unknown.among} characters are unknown to the models ({found}): each "
        "scored as any character outside the vocabulary, alike under all strategies"
    )


def known_rows(run: Run, data: Sources, fingerprint: str, metric: Metric) -> str | None:
    """A warning if rows of the data were among those that the models come from."""
    better = "high" if metric.higher_is_better else "low"
    same = (
        f"these are the very rows that the models come from: their {metric.name} is too {better} "
        "for new rows"
    )
    if run.result.data.fingerprint == fingerprint:
        return same
    place = run.result.run and Path(run.result.run) / "rows.safetensors"
    if not place or not place.exists():
        return None
    mine, theirs = data.marks, read_tensors(place)["mark"]
    # The fingerprint is of all columns; the marks are of those that the models use.
    if torch.equal(mine.sort().values, theirs.sort().values):
        return same
    known = torch.isin(mine, theirs)
    share = float(known.double().mean())
    if not share:
        return None
    what = "texts" if isinstance(data.x, Ragged) else "rows"
    return (
        f"{int(known.sum())} of {len(data)} {what} ({share:.0%}) equal one of the same source "
        "that the models come from: copies, or chance where few values are possible"
    )
