"""Which given columns models can be conditioned on, and why not."""

from dataclasses import replace

import torch

from sourcewise.cells import as_option
from sourcewise.errors import InputError, counted, listing
from sourcewise.forms import as_table
from sourcewise.screening.base import HUGE
from sourcewise.screening.options import Rules
from sourcewise.sources import Sources

__all__ = ["MOST_LEVELS", "screen_given"]

MOST_LEVELS = 100  # of a category: each is a column of its own


def screen_given(data: Sources, rules: Rules) -> Sources:
    """The sample with given columns that vary and have no gaps, notes of what was left out.

    Nothing fills in what models are conditioned on: under `impute` too, rows with a gap there are
    dropped, and those alone.

    Raises:
        InputError: a gap under `refuse`, or in every row, numbers that overflow, too many
            categories, a logarithm of one of them, or no column left.
    """
    if data.c is None:
        return data
    table, notes = as_table(data.c), []
    for name in rules.log:
        if name in table.names:
            raise InputError(
                f"{as_option('--log', name)}: it is a given column, which has no density: "
                "logarithms are taken of columns that are modelled"
            )
    gaps = {name: table.missing(name) for name in table.names}
    if told := listing((f"{name} {int(m.sum())}" for name, m in gaps.items() if m.any()), 12):
        gone = torch.stack(list(gaps.values())).any(0)
        if rules.missing == "refuse" or bool(gone.all()):
            raise InputError(
                f"given columns have missing values ({told}; {len(table)} rows), and models take "
                "none: --missing drop or impute leaves these rows out"
            )
        rows = counted(int(gone.sum()), "row")
        notes.append(f"{rows} dropped for missing values of given columns ({told})")
        data = data.take(~gone)
        table = table.take(~gone)
    for column in table.schema:
        values = table.columns[column.name]
        if column.kind == "category" and len(column.categories) > MOST_LEVELS:
            raise InputError(
                f"given column {column.name!r} has {len(column.categories)} categories (at most "
                f"{MOST_LEVELS}): {as_option('--types', column.name + '=number')}, or leave it out"
            )
        if values.is_floating_point() and bool((values.abs() > HUGE).any()):
            raise InputError(f"given column {column.name!r} holds values above {HUGE:g}")
        if bool((values == values[0]).all()):
            notes.append(f"given column {column.name!r} left out: it is the same in every row")
            if len(table.names) == 1:
                raise InputError(f"no given column left: {column.name!r} is the same in every row")
            table = table.drop([column.name])
    return replace(data, c=table, notes=(*data.notes, *notes))
