"""What a density of real numbers can use, columns handled by name before any model sees them.

Such a density breaks, or lies, on columns that are no measurements: descriptors of the source
(constant within it), columns that are exact linear functions of others, text, dates, missing
values. `screen` leaves out, refuses or points out each, and says so.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from sourcewise.cells import as_cell, as_option
from sourcewise.errors import InputError, Unsuited, listing, unknown
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
from sourcewise.screening.far import mended_outliers, point_out_outliers, point_out_spikes, shown
from sourcewise.screening.options import USUAL, NumericOptions, Rules
from sourcewise.screening.recorded import resolution
from sourcewise.sources import Sources

__all__ = ["point_out_misfits", "screen", "screen_margins", "usable"]

DEPENDENT = 1e-8
SKEWED = 2.0  # an exponential density has this skewness, a normal one 0
NEARLY = 0.9  # of the rows with one value: a training fold may hold no other


def screen(data: Sources, rules: Rules = USUAL, options: NumericOptions | None = None) -> Screened:
    """Choose the columns and rows that a density of real numbers can use, and what to say of them.

    Args:
        data: the sample.
        rules: what is asked of it; see `usable`.
        options: of images.

    Raises:
        InputError: see `usable`; options, which tables have none of.
    """
    if options is not None and options.components != "auto":
        raise InputError("setting components: of images, and these examples have columns")
    screened = usable(data, rules)
    if rules.open_logs:
        _leave_logs_open(screened)
    point_out_outliers(screened, point_out_misfits(screened))
    _point_out_skew(screened)
    for name, values in screened.spikes.items():
        screened.misfits.setdefault(name, f"{shown(values[0])} far from the rest")
    return screened


def screen_margins(data: Sources, rules: Rules = USUAL) -> Screened:
    """Likewise for a density that fits every column's margin apart, whatever its shape: skew and
    values far out are no misfits. Rows with gaps have no density: they are refused or dropped.

    Raises:
        InputError: see `usable`.
    """
    return usable(data, rules, imputes=False)


def usable(data: Sources, rules: Rules, *, imputes: bool = True) -> Screened:
    """Choose columns and rows.

    Args:
        data: the sample.
        rules: what is asked of it; sources with few rows are not looked at for constant or
            dependent columns.
        imputes: whether the encoder can fill gaps in; if not, missing="impute" refuses them.

    Raises:
        InputError: text columns, missing values (if refused), non-positive values under `log`,
            infinite values, no column left, more columns than the model takes.
    """
    screened = Screened.columns_of(data)
    for name in rules.log if rules.log != ("all",) else ():
        if name not in screened.table.names:
            raise unknown("column", name, map(as_cell, screened.table.names))
    point_out_dates(screened)
    leave_out_dates(screened)
    _constants(screened, rules.min_rows)
    _text(screened)
    refuse_infinite(screened)
    handle_missing(screened, rules.missing, imputes)
    if screened.dropped:
        _constants(screened, rules.min_rows)  # dropped rows can leave a column constant
    refuse_wide(screened, rules)  # before what takes the cube of their number
    take_logarithms(screened, rules.log)
    _dependent(screened, rules.min_rows)
    point_out_identifiers(screened)
    point_out_spikes(screened)
    return screened


def _constants(screened: Screened, min_rows: int) -> None:
    """Leave out what does not vary within some source: a code or descriptor of the source."""
    data, table = screened.data, screened.table
    tested, reasons = tested_sources(screened, min_rows), {}
    rows = [(data.y == k).nonzero().squeeze(1) for k in tested]
    for names, values in table.blocks(table.names):
        low, high = (per_source(values, data.y, data.K, end)[tested] for end in ("amin", "amax"))
        number = [table.columns[name].is_floating_point() for name in names]
        nearly = _nearly_constant(values, rows) & torch.tensor(number)
        empty, constant = high.isnan(), high == low
        for j in (empty | constant | nearly).any(0).nonzero().squeeze(1).tolist():
            found, what = next(
                (found[:, j], what)
                for found, what in (
                    (empty, "no value within"),
                    (constant, "constant within"),
                    (nearly, "hardly any value but one within"),
                )
                if bool(found[:, j].any())
            )
            where = listing((repr(data.names[tested[i]]) for i in found.nonzero()), 3)
            reasons[names[j]] = f"{what} {where}"
    screened.leave_out(reasons)


def _nearly_constant(values: Tensor, rows: Sequence[Tensor]) -> Tensor:
    """(S, d) where one value fills so many rows that a training fold may hold no other.

    Not of a column on a coarse lattice (counts, yes or no): dequantised, it has spread enough.

    Args:
        values: (n, d), NaN where missing.
        rows: the rows of each of S sources.
    """
    found = torch.zeros(len(rows), values.shape[1], dtype=torch.bool)
    for i, mine in enumerate(rows):
        found[i] = _one_fills(values[mine])
    for j in found.any(0).nonzero().squeeze(1).tolist():
        step, present = resolution(values[:, j]), values[:, j][~values[:, j].isnan()]
        if step is not None and step > 1e-2 * float(present.std()):
            found[:, j] = False
    return found


def _one_fills(values: Tensor) -> Tensor:
    """(d,) whether one of several values fills more than 90 % of the rows: it is the median."""
    count = (~values.isnan()).sum(0)
    most = (values == values.nanmedian(0).values).sum(0).double() / count
    return (count > 1) & (most > NEARLY) & (most < 1)


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
            reason = f"an exact linear function of the others within {source!r}"
            screened.leave_out({found: reason})


def _first_dependent(screened: Screened, k: int) -> str | None:
    mine = (screened.data.y == k).nonzero().squeeze(1)
    if len(mine) < len(screened.table.names) + 2:
        return None
    table = screened.table.take(mine)
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


def _leave_logs_open(screened: Screened) -> None:
    """Columns of which skew or outliers ask for the logarithm: training rows will say whether."""
    found = mended_outliers(screened)
    for names, block in screened.table.blocks(screened.table.names):
        mends = _mended(screened.without_spikes(names, block), screened.data.y)
        found += [names[j] for j in mends.nonzero().squeeze(1).tolist()]
    asked = [name for name in screened.table.names if name in found and name not in screened.log]
    screened.open_logs = frozenset(asked)
    if asked:
        screened.warnings.append(
            f"logarithms of {listing(asked, 12)} (above 0, and skewed or with outliers) are taken "
            "where they make the training rows likelier, the same for all strategies; --log none "
            "takes none"
        )


def _mended(values: Tensor, y: Tensor) -> Tensor:
    """(d,) whether columns (n, d) of values above 0 are skewed, and their logarithms are not."""
    gaps = values.isnan()
    mends = ((values > 0) | gaps).all(0) & (_skewness(values, y) > SKEWED)
    return mends & (_skewness(values.log(), y).abs() < SKEWED)


def point_out_misfits(screened: Screened, told: Collection[str] = ()) -> list[str]:
    """Warn of columns that a smooth density fits badly: one value, or skew that logarithms cure.

    Args:
        screened: the sample.
        told: columns of which another line says that logarithms help.

    Returns:
        The skewed columns.
    """
    filled, skewed = [], []
    for names, block in screened.table.blocks(screened.table.names):
        values = screened.without_spikes(names, block)
        gaps = values.isnan()
        share = (values == values.nanmedian(0).values).sum(0).double() / (~gaps).sum(0)
        mends = _mended(values, screened.data.y)
        for j in ((share > 0.5) | mends).nonzero().squeeze(1).tolist():  # of the commonest
            name = names[j]
            if share[j] > 0.5 and len(values[:, j][~gaps[:, j]].unique()) > 2:
                filled.append(f"{name} {float(share[j]):.0%}")
                screened.misfits[name] = "mostly one value"
            elif bool(mends[j]) and name not in {*told, *screened.log, *screened.open_logs}:
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
    for names, block in screened.table.blocks(screened.table.names):
        values = screened.without_spikes(names, block)
        logged = screened.log | screened.open_logs
        logs = [j for j, name in enumerate(names) if name in logged]
        values[:, logs] = values[:, logs].log()
        for j in (_skewness(values, screened.data.y).abs() > SKEWED).nonzero().squeeze(1).tolist():
            if names[j] not in screened.misfits:
                skewed.append(names[j])
                screened.misfits[names[j]] = "skewed"
    if skewed:
        screened.warnings.append(
            f"skewed columns that a logarithm does not mend: {listing(skewed)}: a normal density "
            "fits them badly"
        )


def _skewness(values: Tensor, y: Tensor) -> Tensor:
    """(d,) of columns (n, d) around the means of their sources y (n,); 0 where nothing varies.

    Gaps are left out.
    """
    seen, values = ~values.isnan(), values.double()
    sums, counts = values.new_zeros(2, int(y.max()) + 1, values.shape[1])
    sums.index_add_(0, y, values.nan_to_num(0.0))
    counts.index_add_(0, y, seen.double())
    rest = values - (sums / counts.clamp(min=1))[y]
    z = rest / rest.square().nanmean(0).sqrt()
    return z.pow(3).nanmean(0).nan_to_num(0.0)
