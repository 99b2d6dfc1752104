"""What a model of mixed tables can use: nearly every column, but no dates.

Categories and missing values have codes; what is constant within a source, or depends exactly on
other columns, is learned as such and breaks nothing. What is constant everywhere is left out.
"""

from collections.abc import Sequence

import torch

from sourcewise.cells import as_cell, as_option, in_shell
from sourcewise.errors import listing, unknown
from sourcewise.screening.base import (
    Screened,
    handle_missing,
    leave_out_dates,
    per_source,
    point_out_identifiers,
    refuse_infinite,
    refuse_wide,
    take_logarithms,
    tested_sources,
)
from sourcewise.screening.dates import point_out_dates
from sourcewise.screening.far import point_out_spikes
from sourcewise.screening.options import USUAL, MixedOptions, Rules
from sourcewise.screening.recorded import TIED
from sourcewise.sources import Sources

__all__ = ["screen"]

MANY, REPEATED = 30, 10  # categories that are many, and how often each should come on average


def screen(data: Sources, rules: Rules = USUAL, options: MixedOptions | None = None) -> Screened:
    """Choose the columns and rows that a model of mixed tables can use.

    Missing values are a value of their own, unless their rows are dropped, or "impute" asks for
    the density of what is observed alone.

    Raises:
        InputError: non-positive values under `log`, infinite values, no column
            left, an unknown column, more columns than the model takes.
    """
    screened = Screened.columns_of(data)
    log = _numbers(screened, rules.log)
    point_out_dates(screened)
    leave_out_dates(screened)
    refuse_infinite(screened)
    if rules.missing == "drop":
        handle_missing(screened, "drop")
    screened.unscored_gaps = rules.missing == "impute"
    _uninformative(screened)
    refuse_wide(screened, rules)
    take_logarithms(screened, log)
    _constants(screened, rules.min_rows)
    _gaps(screened)
    point_out_identifiers(screened)
    point_out_spikes(screened)
    _texts(screened)
    return screened


def _numbers(screened: Screened, log: Sequence[str]) -> list[str]:
    """The columns to take logarithms of, by name."""
    kinds = {column.name: column.kind for column in screened.table.schema}
    numbers = [name for name, kind in kinds.items() if kind == "number"]
    if tuple(log) == ("all",):
        return numbers
    for name in log:
        if name not in numbers:
            raise unknown("column of numbers", name, map(as_cell, numbers))
    return list(log)


def _uninformative(screened: Screened) -> None:
    """Leave out columns without a value, and constants; a gap that is not scored is no value.

    Numbers that are one value beside gaps go too: a spike has no density.
    """
    reasons = {}
    for column in screened.table.schema:
        gaps = screened.table.missing(column.name)
        distinct = len(screened.table.columns[column.name][~gaps].unique())
        if distinct == 0:
            reasons[column.name] = "no value"
        elif distinct == 1 and (screened.unscored_gaps or not bool(gaps.any())):
            reasons[column.name] = "constant"
        elif distinct == 1 and column.kind == "number":
            reasons[column.name] = "one value only, beside gaps"
    screened.leave_out(reasons)


def _constants(screened: Screened, min_rows: int) -> None:
    """Point out what does not vary within some source; a gap is a value of its own."""
    y, K, table = screened.data.y, screened.data.K, screened.table
    tested, found = tested_sources(screened, min_rows), []
    for names, values in table.blocks(table.names):
        values.masked_fill_(values.isnan(), -torch.inf)
        low, high = (per_source(values, y, K, end)[tested] for end in ("amin", "amax"))
        constant = low == high
        for j in constant.any(0).nonzero().squeeze(1).tolist():
            where = (repr(screened.data.names[tested[i]]) for i in constant[:, j].nonzero())
            found.append(f"{names[j]} ({listing(where, 3)})")
    if found:
        screened.warnings.append(
            f"constant within a source: {listing(found)}; that alone tells sources apart"
        )


def _texts(screened: Screened) -> None:
    """Warn of categories that hardly repeat: no probability of them can be learned."""
    different: list[str] = []
    many: dict[str, str] = {}
    for column in screened.table.schema:
        if column.kind != "category":
            continue
        present = ~screened.table.missing(column.name)
        rows, name = int(present.sum()), column.name
        levels = len(screened.table.columns[name][present].unique())
        if rows > 20 and levels > TIED * rows:
            different.append(name)
        elif levels > MANY and rows < REPEATED * levels:
            many[name] = f"{levels} categories in {rows} rows"
    screened.misfits.update(dict.fromkeys(different, "hardly any value comes twice") | many)
    if different:
        modelled = f", or --text {in_shell(different[0])} to model it"
        screened.warnings.append(
            f"nearly every value of {listing(map(repr, different), 5)} is different: an "
            f"identifier? {as_option('--ignore', *different)}"
            f"{modelled if len(different) == 1 else ''}"
        )
    if many:
        told = listing((f"{name!r} ({how})" for name, how in many.items()), 5)
        screened.warnings.append(
            f"few rows for each category of {told}: models learn little of such names or codes, "
            f"and verdicts may rest on them; {as_option('--ignore', *many)} leaves them out"
        )


def _gaps(screened: Screened) -> None:
    """Tell of gaps, and what they are to scores."""
    table = screened.table
    counts = {name: int(table.missing(name).sum()) for name in table.names}
    told = listing((f"{name} {count}" for name, count in counts.items() if count), 12)
    if told:
        what = (
            "rows are scored on their observed columns, and draws have no gaps"
            if screened.unscored_gaps
            else "a value of their own"
        )
        screened.warnings.append(f"{sum(counts.values())} missing cells ({told}): {what}")
