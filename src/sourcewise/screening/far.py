"""Values far from the rest of their column: marks of what is missing, and outliers.

A column's *bulk* is its values without the smallest, the largest, and one that fills more than
half of them; q1, q2 and q3 are its quartiles. A value x is *far* if `|x - q2| > m (q3 - q1)`.

A *spike* is a far value (m = FAR) that repeats. In some source, most of whose rows are not far, it
fills at least REPEATED rows and a share SHARE of them; it fills less than half of all rows, and
more than the nearest value towards the bulk, which lies `q3 - q1` away or further, and than all
far values on its side that repeat less often. At most MOST such values on a side are spikes. So
the zeros of counts or of rain are none, as other values stand beside them; nor is a long tail, nor
a source that lies elsewhere.

*Outliers* are values further out (m = OUTLYING), few of them and no spikes, whose squared
distances from q2 exceed all that the other rows have from the means of their sources.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from sourcewise.cells import as_option
from sourcewise.errors import listing, rounded
from sourcewise.randomness import Noise
from sourcewise.screening.base import Screened
from sourcewise.sources import Sources

__all__ = [
    "Bulk",
    "mended_outliers",
    "outlying_rows",
    "point_out_outliers",
    "point_out_spikes",
    "shown",
    "spikes",
]

FAR, OUTLYING = 3.0, 10.0  # ranges between quartiles
REPEATED, SHARE = 3, 1e-3  # of a source's rows
MOST = 5  # spikes of a column; more are a distribution
FEWEST = 5  # values that quartiles need
FEW = 0.02  # of the rows, and 3
LOOKED_AT = 20_000  # rows that quartiles are of


@dataclass(frozen=True)
class Bulk:
    """Where most of a column lies, and how far the others do.

    Args:
        median: q2.
        width: q3 - q1, above 0.
        reach: the largest distance of a value from q2.
    """

    median: float
    width: float
    reach: float

    @classmethod
    def of(cls, values: np.ndarray) -> Self | None:
        """Of a column (n,); None where it has none: too few values, or hardly any but one.

        >>> Bulk.of(np.array([-999.0, 1, 2, 3, 4, 5, 6, 7]))
        Bulk(median=4.0, width=3.0, reach=1003.0)
        """
        low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
        if len(values) > LOOKED_AT:
            values = values[Noise(0).of("bulk").integers(len(values), LOOKED_AT).numpy()]
        some = _between(np.sort(values), low, high)
        if len(some) >= FEWEST:
            usual = some[len(some) // 2]  # what fills more than half
            first, last = np.searchsorted(some, usual), np.searchsorted(some, usual, "right")
            some = np.r_[some[:first], some[last:]] if 2 * (last - first) > len(some) else some
        if len(some) < FEWEST:
            return None
        first, median, third = (float(some[i * len(some) // 4]) for i in (1, 2, 3))
        return (
            cls(median, third - first, max(median - low, high - median)) if third > first else None
        )

    def beyond(self, values: np.ndarray, ranges: float) -> np.ndarray:
        """(n,) whether values are so many ranges between quartiles away; gaps are not."""
        reach = ranges * self.width
        return (values < self.median - reach) | (values > self.median + reach)


def _between(some: np.ndarray, low: float, high: float) -> np.ndarray:
    """Of values in increasing order, gaps last, those between two."""
    return some[np.searchsorted(some, low, "right") : np.searchsorted(some, high)]


def spikes(values: np.ndarray, data: Sources) -> dict[float, np.ndarray]:
    """The spikes of a column (n,) in a sample, each with its rows (K,) in the sources."""
    bulk = Bulk.of(values)
    if bulk is None or bulk.reach <= FAR * bulk.width:
        return {}
    far = bulk.beyond(values, FAR)
    standing = _standing_out(values, far, bulk)
    if not standing:
        return {}
    y, present = data.y.numpy(), ~np.isnan(values)
    of_source, of_far = (np.bincount(y[rows], minlength=data.K) for rows in (present, far))
    found = {}
    for value in standing:
        rows = np.bincount(y[values == value], minlength=data.K)
        fills = (rows >= REPEATED) & (rows >= SHARE * of_source) & (2 * of_far <= of_source)
        if fills.any() and 2 * rows.sum() < present.sum():
            found[value] = rows
    return found


def _standing_out(values: np.ndarray, far: np.ndarray, bulk: Bulk) -> list[float]:
    """The few far values that repeat, next to nothing.

    Each is further from the values towards the bulk than the quartiles are from each other, and
    fills more rows than the nearest of them, and than all far ones that repeat less.
    """
    beyond, counts = np.unique(values[far], return_counts=True)
    found = []
    for lower in (True, False):
        side = (beyond < bulk.median) == lower
        repeat = side & (counts >= REPEATED)
        if not 0 < repeat.sum() <= MOST:
            continue
        near = values[~far]
        edge = np.fmin.reduce(near) if lower else np.fmax.reduce(near)
        single = side & ~repeat
        others, filled = np.r_[edge, beyond[single]], np.r_[(near == edge).sum(), counts[single]]
        for value, count in zip(beyond[repeat], counts[repeat], strict=True):
            gap = others - value if lower else value - others  # below 0: further out
            nearest = np.where(gap > 0, gap, np.inf).argmin()
            if gap[nearest] >= bulk.width and count > max(filled[nearest], filled[1:].sum()):
                found.append(float(value))
    return found


def shown(value: float) -> str:
    """A number as it can be given to --na.

    >>> shown(-999.0), shown(0.1)
    ('-999', '0.1')
    """
    return repr(float(value)).removesuffix(".0")


def point_out_spikes(screened: Screened) -> None:
    """Warn of spikes, one line for each value, and note them: they are no measurements."""
    found: dict[float, dict[str, np.ndarray]] = {}
    for column in screened.table.schema:
        if column.kind == "number":
            of = spikes(screened.table.columns[column.name].numpy(), screened.data)
            for value, rows in of.items():
                found.setdefault(value, {})[column.name] = rows
                screened.spikes.setdefault(column.name, []).append(value)
    for value, columns in found.items():
        where = listing((_where(screened, name, columns[name]) for name in columns), 3)
        text = shown(value)
        others = listing(map(repr, _others(screened, value, text, columns)), 3)
        if not screened.data.seen:  # no table, which options of reading are for
            remedy = f"write NaN in place of {text}"
        elif others:
            remedy = (
                f"empty these cells, or {as_option('--ignore', *columns)} "
                f"({as_option('--na', text)} would take it from {others} too)"
            )
        else:
            remedy = as_option("--na", text)
        screened.warnings.append(
            f"{text} lies far from all other values of {where}: if it stands for a value that is "
            f"missing, {remedy}"
        )


def _where(screened: Screened, name: str, rows: np.ndarray) -> str:
    """Column and sources where a spike stands: 'bp' (12 of 200 rows of 'south', 6%)."""
    data = screened.data
    present = ~screened.table.missing(name)
    of = np.bincount(data.y[present].numpy(), minlength=data.K)
    share = rows / of.clip(1)
    order = [k for k in np.argsort(-share, kind="stable").tolist() if rows[k]]
    told = (
        f"{rows[k]} of {of[k]} rows of {data.names[k]!r}, {rounded(100 * float(share[k]))}%"
        for k in order
    )
    return f"{name!r} ({listing(told, 3)})"


def _others(
    screened: Screened, value: float, text: str, spiked: Mapping[str, np.ndarray]
) -> Iterator[str]:
    """Columns where the value stands too, and is no spike."""
    for column in screened.table.schema:
        values = screened.table.columns[column.name]
        if column.kind == "category":
            if text in column.categories:
                yield column.name
        elif column.name not in spiked and bool((values == value).any()):
            yield column.name


def outlying_rows(values: np.ndarray, data: Sources) -> np.ndarray:
    """The rows of a column (n,) that are outliers, the farthest first."""
    bulk = Bulk.of(values)
    if bulk is None or bulk.reach <= OUTLYING * bulk.width:
        return np.zeros(0, int)
    far = bulk.beyond(values, OUTLYING)
    if far.sum() > max(3, FEW * len(values)):
        return np.zeros(0, int)
    rest = ~far & ~np.isnan(values)
    y, x = data.y.numpy()[rest], values[rest] - bulk.median
    n, sums, squares = (np.bincount(y, w, data.K) for w in (None, x, x * x))
    spread = (squares - sums**2 / n.clip(1)).sum()
    rows, away = np.flatnonzero(far), abs(values[far] - bulk.median)
    return rows[np.argsort(-away, kind="stable")] if (away**2).sum() > spread else rows[:0]


def point_out_outliers(screened: Screened, told: Collection[str] = ()) -> None:
    """Warn of outliers in columns as they are modelled, but for those `told` of already."""
    cured, left, wrong = {}, {}, set[str]()
    for name in screened.table.names:
        if name in told:
            continue
        values, data = screened.table.columns[name].double().numpy(), screened.data
        if spiked := screened.spikes.get(name):
            values = np.where(np.isin(values, spiked), np.nan, values)
        log = name in screened.log | screened.open_logs
        rows = outlying_rows(np.log(values) if log else values, data)
        if not len(rows) or _fills_most(values):
            continue
        helps = not log and _log_helps(values, data)
        (cured if helps else left)[name] = rows
        screened.misfits[name] = "outliers"
        wrong |= set() if helps else {shown(value) for value in values[rows]}
    na = screened.data.seen and len(wrong) <= MOST
    remedy = f"{as_option('--na', *sorted(wrong))} makes them missing" if na else "leave them out"
    for columns, help_ in (
        (cured, f"{as_option('--log', *cured)} brings them in"),
        (left, f"correct such values; if they are no measurements, {remedy}"),
    ):
        if columns:
            told = [_farthest(screened, name, columns[name]) for name in list(columns)[:4]]
            more = f" and {len(columns) - 4} more" if len(columns) > 4 else ""
            screened.warnings.append(
                "values so far out that a smooth density follows them and not the other rows: "
                f"{', '.join(told)}{more}: {help_}"
            )


def mended_outliers(screened: Screened) -> list[str]:
    """The columns with outliers that are none of their logarithms."""
    found = []
    for name in screened.table.names:
        values, data = screened.table.columns[name].double().numpy(), screened.data
        if name in screened.log or name in screened.spikes or _fills_most(values):
            continue
        if len(outlying_rows(values, data)) and _log_helps(values, data):
            found.append(name)
    return found


def _log_helps(values: np.ndarray, data: Sources) -> bool:
    """Whether logarithms of a column (n,) exist and have no outliers."""
    return not bool((values <= 0).any()) and not len(outlying_rows(np.log(values), data))


def _farthest(screened: Screened, name: str, rows: np.ndarray) -> str:
    """A column with its outlying rows, of which the first is told: it is looked up in the file."""
    data, first = screened.data, int(rows[0])
    value = float(screened.table.columns[name][first])
    where = f"{data.places(first)}, of {data.names[int(data.y[first])]!r}: {value:.9g}"
    where = f"{len(rows)} rows, the farthest is {where}" if len(rows) > 1 else where
    return f"{name!r} ({where})"


def _fills_most(values: np.ndarray) -> bool:
    """Whether one value fills more than half of a column: it is pointed out for that."""
    return float(np.mean(values == np.nanmedian(values))) > 0.5
