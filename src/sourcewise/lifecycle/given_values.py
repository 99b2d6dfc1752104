"""What draws are given: a value of each given column, or rows of them.

They are read as new rows are: with the kinds that the models have, and by the options that the
data of the run were read by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from sourcewise.encoders.given import GivenEncoder
from sourcewise.errors import InputError, listing, unknown
from sourcewise.forms import Kind, Table, as_table
from sourcewise.readers.columns import typed_columns
from sourcewise.readers.read import read_given
from sourcewise.readers.registry import ReadOptions
from sourcewise.results.data import Reading
from sourcewise.sources import Sources

__all__ = ["Asked", "Given", "asked"]

Given = Mapping[str, object] | str | Path | Any  # values by name, or rows: a path, a DataFrame


@dataclass(frozen=True)
class Asked:
    """Given columns to draw at.

    Args:
        table: m rows, as they were asked for.
        c: (m, C) encoded.
        fixed: values by name, where they are one row for all draws.
        y: (m,) the source of each row; None: they are for every source.
        notes: what was made of the rows.
    """

    table: Table
    c: Tensor
    fixed: dict[str, str] | None = None
    y: Tensor | None = None
    notes: tuple[str, ...] = ()


def asked(
    given: Given, encoder: GivenEncoder | None, own: Reading, sources: Mapping[str, int]
) -> Asked:
    """What is asked for, as models take it.

    Args:
        given: values by name, or rows: a path or a DataFrame.
        encoder: of the models, if they are conditioned on given columns.
        own: how the data of the run were read.
        sources: the numbers of those that can be drawn, by name.

    Raises:
        InputError: models without given columns; columns, categories or sources that they do not
            know, or not all of the columns; a row without a value; no rows.
    """
    if encoder is None:
        raise InputError("--given: these models are conditioned on the source alone")
    if isinstance(given, Mapping):
        return _values(encoder, given)
    return _rows(encoder, own, sources, given)


def _values(encoder: GivenEncoder, values: Mapping[str, object]) -> Asked:
    """One row; values are written as they are in files."""
    for name in values:
        if name not in encoder.names:
            raise unknown("given column", name, encoder.names)
    if left := [repr(name) for name in encoder.names if name not in values]:
        raise InputError(f"--given needs a value of each given column: {listing(left)} lacks one")
    parts = [_value(name, kind, str(values[name])) for name, kind in encoder.kinds.items()]
    columns = {name: part.columns[name] for part in parts for name in part.names}
    table = Table(columns, tuple(column for part in parts for column in part.schema))
    told = {name: str(value) for name, value in values.items()}
    return Asked(table, encoder.encode(table), told)


def _value(name: str, kind: Kind, value: str) -> Table:
    """One value, which is a gap where it says so."""
    array = {name: pa.chunked_array([[value]])}
    try:
        return typed_columns(array, ReadOptions(types={name: kind}), lambda row: "--given").table
    except InputError:
        like = " such as 2024-05-31" if kind == "date" else ""
        raise InputError(f"--given {name}={value:.40}: that is no {kind}{like}") from None


def _rows(encoder: GivenEncoder, own: Reading, sources: Mapping[str, int], given: Any) -> Asked:
    """Rows of a file or DataFrame."""
    options = {"decimal": own.decimal, "na": own.na, "dates": own.dates}
    try:
        data = read_given(given, encoder.names, encoder.kinds, own.source or "source", **options)
    except InputError as error:  # of the file, not of the data of the run
        named = not isinstance(given, str | Path) or str(given) in str(error)
        raise error if named else InputError(f"--given {given}: {error}") from None
    with data.places.named():
        c = encoder.encode(data.x)
    return Asked(as_table(data.x), c, None, _labels(data, sources), data.notes)


def _labels(data: Sources, sources: Mapping[str, int]) -> Tensor | None:
    """(m,) the sources of the rows in the numbering of the models; None if they name none."""
    if data.names == ("",):
        return None
    y = torch.tensor([sources.get(name, -1) for name in data.names])[data.y]
    if bool((y < 0).any()):
        row = int((y < 0).int().argmax())
        wrong = unknown("source", data.names[int(data.y[row])], sources)
        raise InputError(f"{data.places(row)}: {wrong}")
    return y
