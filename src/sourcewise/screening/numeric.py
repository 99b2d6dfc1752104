"""What a density of real numbers can use, columns handled by name before any model sees them.

Such a density breaks, or lies, on columns that are no measurements: descriptors of the source
(constant within it), columns that are exact linear functions of others, text, dates, missing
values. `screen` leaves out, refuses or points out each, and says so.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from sourcewise.cells import as_option
from sourcewise.errors import Unsuited, listing, unknown
from sourcewise.screening.base import (
    Screened,
    handle_missing,
    leave_out_dates,
    per_source,
    point_out_identifiers,
    refuse_infinite,
    take_logarithms,
    tested_sources,
)
from sourcewise.screening.dates import point_out_dates
from sourcewise.screening.far import point_out_outliers, point_out_spikes
from sourcewise.screening.options import USUAL, Rules
from sourcewise.screening.recorded import resolution
from sourcewise.sources import Sources

__all__ = ["point_out_misfits", "screen", "usable"]

DEPENDENT = 1e-8
SKEWED = 2.0  # an exponential density has this skewness, a normal one 0
NEARLY = 0.9  # of the rows with one value: a training fold may hold no other


def screen(data: Sources, rules: Rules = USUAL) -> Screened:
    """Choose the columns and rows that a density of real numbers can use, and what to say of them.

    Args:
        data: the sample.
        rules: what is asked of it; see `usable`.

    Raises:
        InputError: see `usable`.
    """
    screened = usable(data, rules)
    point_out_outliers(screened, point_out_misfits(screened))
    _point_out_skew(screened)
    return screened


def usable(data: Sources, rules: Rules, *, imputes: bool = True) -> Screened:
    """Choose columns and rows.

    Args:
        data: the sample.
        rules: what is asked of it; sources with few rows are not looked at for constant or
            dependent columns.
        imputes: whether the encoder can fill gaps in; if not, missing="impute" refuses them.

    Raises:
        InputError: text columns, missing values (if refused), non-positive values under `log`,
            infinite values, no column left.
    """
    screened = Screened.columns_of(data)
    for name in rules.log if rules.log != ("all",) else ():
        if name not in screened.table.names:
            raise unknown("column", name, screened.table.names)
    point_out_dates(screened)
    leave_out_dates(screened)
    _constants(screened, rules.min_rows)
    _text(screened)
    refuse_infinite(screened)
    handle_missing(screened, rules.missing, imputes)
    if screened.dropped:
        _constants(screened, rules.min_rows)  # dropped rows can leave a column constant
    take_logarithms(screened, rules.log)
    _dependent(screened, rules.min_rows)
    point_out_identifiers(screened)
    point_out_spikes(screened)
    return screened


def _constants(screened: Screened, min_rows: int) -> None:
    """Leave out what does not vary within some source: a code or descriptor of the source."""
    y, names = screened.data.y, screened.data.names
    tested = tested_sources(screened, min_rows)
    for column in screened.table.schema:
        values = screened.table.columns[column.name].double()
        present = ~screened.table.missing(column.name)
        low = per_source(values, y, present, len(names), "amin")
        high = per_source(values, y, present, len(names), "amax")
        empty = [k for k in tested if high[k].isnan()]
        constant = [k for k in tested if high[k] == low[k]]
        nearly = _nearly_constant(values, y, present, tested) if column.kind == "number" else []
        for found, what in (
            (empty, "no value within"),
            (constant, "constant within"),
            (nearly, "hardly any value but one within"),
        ):
            if found:
                where = listing((repr(names[k]) for k in found), 3)
                screened.leave_out(column.name, f"{what} {where}")
                break


def _nearly_constant(values: Tensor, y: Tensor, present: Tensor, tested: list[int]) -> list[int]:
    """Sources where one value fills so many rows that a training fold may hold no other.

    Not of a column on a coarse lattice (counts, yes or no): dequantised, it has spread enough.
    """
    found = [k for k in tested if _one_fills(values[present & (y == k)])]
    if found:
        step, spread = resolution(values[present]), values[present].std()
        if step is not None and step > 1e-2 * float(spread):
            return []
    return found


def _one_fills(values: Tensor) -> bool:
    """Whether one of several values fills more than 90 % of the rows: it is then the median."""
    if len(values) < 2:
        return False
    most = (values == values.median()).double().mean()
    return bool(NEARLY < most) and bool(most < 1)


def _text(screened: Screened) -> None:
    text = [column for column in screened.table.schema if column.kind == "category"]
    if text:
        names = [column.name for column in text]
        example = f" ({names[0]}: {text[0].categories[0]!r}, ...)" if text[0].categories else ""
        raise Unsuited(
            f"text columns {listing(map(repr, names))}{example}: this family models numbers only: "
            f"{as_option('--ignore', *names)} leaves them out"
        )


def _dependent(screened: Screened, min_rows: int) -> None:
    """Leave out columns that are exact linear functions of earlier ones within some source."""
    for k in tested_sources(screened, min_rows):
        while (found := _first_dependent(screened, k)) is not None:
            source = screened.data.names[k]
            screened.leave_out(found, f"an exact linear function of the others within {source!r}")


def _first_dependent(screened: Screened, k: int) -> str | None:
    table = screened.table.take((screened.data.y == k).nonzero().squeeze(1))
    columns = [
        table.columns[name].log() if name in screened.log else table.columns[name]
        for name in table.names
    ]
    rows = torch.stack(columns, 1).numpy() if columns else np.empty((0, 0))
    rows = rows[~np.isnan(rows).any(1)]
    if rows.shape[1] < 2 or len(rows) < rows.shape[1] + 2:
        return None
    centred = rows - rows.mean(0)
    norms = np.linalg.norm(centred, axis=0)
    if not (norms > 0).all():  # constant among the complete rows: says nothing about the others
        return None
    return _first_beyond_rank(centred / norms, table.names)


def _first_beyond_rank(rows: np.ndarray, names: Sequence[str]) -> str | None:
    """The first column that adds no rank to those before it (pivoted QR decides if there is one).

    Args:
        rows: (n, d), columns of unit length.
        names: the d columns' names.
    """
    from scipy.linalg import qr

    pivots = np.abs(np.diag(qr(rows, mode="r", pivoting=True)[0]))
    if pivots[-1] > DEPENDENT * pivots[0]:
        return None
    for j in range(1, len(names)):
        pivots = np.abs(np.diag(qr(rows[:, : j + 1], mode="r", pivoting=True)[0]))
        if pivots[-1] <= DEPENDENT * pivots[0]:
            return names[j]
    return None


def point_out_misfits(screened: Screened, told: Collection[str] = ()) -> list[str]:
    """Warn of columns that a smooth density fits badly: one value, or skew that logarithms cure.

    Args:
        screened: the sample.
        told: columns of which another line says that logarithms help.

    Returns:
        The skewed columns.
    """
    filled, skewed = [], []
    for name in screened.table.names:
        values, y = screened.measured(name)
        share = float((values == values.median()).double().mean())  # of the commonest, if most
        if share > 0.5 and len(values.unique()) > 2:
            filled.append(f"{name} {share:.0%}")
            screened.misfits[name] = "mostly one value"
        elif name in told or name in screened.log or not bool((values > 0).all()):
            continue
        elif _skewness(values, y) > SKEWED > abs(_skewness(values.log(), y)):
            skewed.append(name)
            screened.misfits[name] = "skewed"
    if filled:
        screened.warnings.append(
            f"one value fills most of {listing(filled)}: a smooth density fits such columns badly"
        )
    if skewed:
        screened.warnings.append(
            f"skewed columns of values above 0: consider {as_option('--log', *skewed)}"
        )
    return skewed


def _point_out_skew(screened: Screened) -> None:
    """Warn of skewed columns that no other line tells of: no logarithm mends them."""
    skewed = []
    for name in screened.table.names:
        values, y = screened.measured(name)
        values = values.log() if name in screened.log else values
        if name not in screened.misfits and abs(_skewness(values, y)) > SKEWED:
            skewed.append(name)
            screened.misfits[name] = "skewed"
    if skewed:
        screened.warnings.append(
            f"skewed columns that a logarithm does not mend: {listing(skewed)}: a normal density "
            "fits them badly"
        )


def _skewness(values: Tensor, y: Tensor) -> float:
    """Of values (n,) around the means of their sources y (n,); 0 where nothing varies."""
    values = values.double()
    n = torch.bincount(y).clamp(min=1)
    rest = values - (torch.bincount(y, values) / n)[y]
    z = rest / rest.square().mean().sqrt()
    return float((z**3).mean().nan_to_num())
