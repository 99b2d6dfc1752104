"""Signs that rows belong together though nobody said so: what they are, and what is to be said.

Intervals take units to be independent. Where several rows are of one case (five visits of a
patient) and each is a unit, intervals are many times too narrow, and training rows tell models of
test rows. Only the user knows what a row is, so signs of it make a verdict conditional until
`--group COLUMN` or `--group none` says it.

Identical rows are no such sign: they are one unit anyway, so one of each is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from sourcewise.cells import as_option
from sourcewise.comparison.copies import NearCopies, near_copies
from sourcewise.comparison.near import near_rows
from sourcewise.comparison.neighbours import Alike, Layout, alike, layout_of, run, stretches
from sourcewise.comparison.repeated import groups_by, stays_in_sources
from sourcewise.comparison.scores import FOLDS
from sourcewise.errors import phrases, rounded
from sourcewise.forms import Images, Ragged, Table, Whole, as_table
from sourcewise.randomness import Noise
from sourcewise.results.comparison import Dependence, Resemblance
from sourcewise.sources import Sources

__all__ = ["CONDITION", "dependence", "near_duplicates"]

CONDITION = "if every row stands for itself"
BLOCKS = 1 / 3  # share of neighbours with one value, chance taken off, where values mark cases
SUDDEN = 0.85  # of the correlation of ranks, where values change from case to case alone
RUN = 1.5  # rows with one value in a row, of a column that the file is sorted by and groups it
MOST_ROWS, MOST_CELLS, MOST_COLUMNS = 5000, 200_000, 200  # whose neighbours are looked at
MOST_VALUES = 2_000_000  # cells that are searched for repeated values
_SHOWN = 4


def dependence(
    data: Sources, differences: np.ndarray, tested: Sequence[int]
) -> tuple[Dependence, list[str]]:
    """All signs, and what a reader must know of them, a line each.

    Where `--group` names columns, only near copies in other groups are looked for; where it says
    that every row stands for itself, nothing is.

    Args:
        data: the sample as it was compared.
        differences: (n,) what each row says of the strategies; NaN: nothing.
        tested: the sources that are tested.
    """
    if data.independent:
        return Dependence(declared="none"), []
    near = near_duplicates(data)
    copies = near.rows if near else 0
    if data.group is not None and not _of_pieces(data):
        lines = [f"{near.text}; if they stem from one case, make it one group"] if near else []
        return Dependence(declared="group", near_copies=copies), lines
    columns = _Columns.of(data)
    found = sorted(columns.alike(), key=lambda a: -max(a.rank or 0, a.same))
    repeats = [columns.names[a.column] for a in found if _in_blocks(a)]
    repeats += [name for name in columns.of_cases() if name not in repeats]
    rank = _of_differences(columns, differences)
    ordered = columns.sorted_in_runs() if found or rank is not None else []
    marks = list(dict.fromkeys([*repeats, *ordered]))
    signs = Dependence(
        declared=None,
        neighbours=tuple(Resemblance(columns.names[a.column], a.rank, a.same) for a in found),
        differences=rank,
        repeats=tuple(repeats),
        near_copies=copies,
        suggested=columns.suggested(marks, tested) if data.seen else (),
    )
    lines = [text for text in (_told(signs), near.text if near else "") if text]
    if lines:
        lines[-1] += f"; {_remedy(signs, data)}"
    return signs, lines


def _of_pieces(data: Sources) -> bool:
    """Whether groups are of pieces that texts were cut into, and nothing was said of the texts."""
    return "chunk" in data.reading and "group" not in data.reading


def _in_blocks(found: Alike) -> bool:
    """Whether a column is constant in blocks of rows; a number that changes little is not."""
    return found.repeats and found.same >= max(BLOCKS, SUDDEN * (found.rank or 0))


def _told(signs: Dependence) -> str:
    """What was found of neighbours and values; empty if nothing was."""
    parts = []
    if signs.neighbours or signs.differences is not None:
        most = [f"{_strength(r)} in {r.column!r}" for r in signs.neighbours]
        if signs.differences is not None:
            most.insert(0, f"{rounded(signs.differences)} in the difference of the strategies")
        parts.append(
            "rows resemble their neighbours in the file more than chance makes them (correlation "
            f"within sources {phrases(most, _SHOWN)})"
        )
    if signs.repeats:
        names = phrases([repr(name) for name in signs.repeats], _SHOWN)
        parts.append(f"values of {names} repeat as those of several rows of one case do")
    return "; ".join(parts)


def _strength(found: Resemblance) -> str:
    return rounded(max(found.same, found.rank or 0))


def _remedy(signs: Dependence, data: Sources) -> str:
    """What to type."""
    if signs.suggested:
        how = as_option("--group", *signs.suggested)
    elif data.seen:
        how = "--group and the column that names the case"
    elif isinstance(data.x, Images):  # no file of images has columns
        how = "the argument group of sourcewise.Sources in Python"
    else:
        how = "--group, in a table with a column that names the case"
    return (
        "if several rows are of one case (a patient, a day, a copy), intervals are too narrow: "
        f"keep them together with {how}, or say --group none if every row stands for itself"
    )


def near_duplicates(data: Sources) -> NearCopies | None:
    """The rows with a near copy, not identical, in another unit; None if there are few.

    Nothing is said where they are less than one in a thousand of the rows of every source, too few
    to move a score. Images have ways of their own, texts none.
    """
    return near_copies(data, data.x) if isinstance(data.x, Whole) else near_rows(data)


@dataclass(frozen=True)
class _Columns:
    """One row of each unit, source by source in file order, and the columns that describe them."""

    data: Sources
    rows: np.ndarray  # (n,) which
    table: Table  # of all rows of the data, with given columns

    @classmethod
    def of(cls, data: Sources) -> "_Columns":
        first = np.sort(np.unique(data.units.numpy(), return_index=True)[1])
        rows = first[np.argsort(data.y.numpy()[first], kind="stable")]
        parts = [] if isinstance(data.x, Whole) else [as_table(data.x)]
        parts += [] if data.c is None else [_renamed(as_table(data.c), parts)]
        columns = {name: values for part in parts for name, values in part.columns.items()}
        schema = tuple(column for part in parts for column in part.schema)
        step = -(-len(schema) // MOST_COLUMNS) or 1
        some = schema[::step]
        return cls(data, rows, Table({c.name: columns[c.name] for c in some}, some))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns; of very many, some."""
        return self.table.names

    @cached_property
    def category(self) -> np.ndarray:
        """(d,) which are."""
        return np.array([column.kind == "category" for column in self.table.schema], bool)

    @cached_property
    def near(self) -> np.ndarray:
        """The rows whose neighbours are looked at."""
        most = min(MOST_ROWS, MOST_CELLS // max(len(self.names), 1))
        return self.rows[stretches(len(self.rows), most)]

    def source(self, rows: np.ndarray) -> np.ndarray:
        """Of some rows."""
        return self.data.y.numpy()[rows]

    def values(self, rows: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
        """(rows, d) of some columns, or all: numbers, and codes of categories."""
        table = self.table if names is None else self.table.select(names)
        if not table.schema:
            return np.empty((len(rows), 0))
        return table.take(torch.from_numpy(rows)).matrix().numpy()

    def layout(self, rows: np.ndarray) -> Layout:
        """How some rows may be permuted."""
        return layout_of(self.values(rows), self.category, self.source(rows))

    def alike(self) -> list[Alike]:
        """The columns in which rows resemble their neighbours."""
        noise = Noise(0).of("neighbours")
        return alike(self.values(self.near), self.category, self.layout(self.near), noise)

    def sorted_in_runs(self) -> list[str]:
        """Columns that the file is sorted by, each value in a run of rows."""
        keys = np.flatnonzero(self.layout(self.near).key.any(0)).tolist()
        return [self.names[j] for j in keys if run(self.values(self.near)[:, j]) >= RUN]

    def of_cases(self) -> list[str]:
        """Columns whose values are those of cases, wherever these stand in the file."""
        source, found = self.source(self.rows), []
        for j, name in enumerate(self.names[: MOST_VALUES // max(len(self.rows), 1)]):
            values, noise = self.values(self.rows, [name])[:, 0], Noise(0).of("cases", j)
            if stays_in_sources(values, bool(self.category[j]), source, noise):
                found.append(name)
        return found

    def suggested(self, names: list[str], tested: Sequence[int]) -> tuple[str, ...]:
        """Those of some columns whose equal values make groups."""
        if not names:
            return ()
        values, source = self.values(self.rows, names), self.source(self.rows)
        chosen = groups_by(values, source, tested, FOLDS)
        return () if chosen is None else tuple(names[j] for j in chosen)


def _of_differences(columns: _Columns, differences: np.ndarray) -> float | None:
    """The rank correlation of neighbours' differences, if it is more than chance."""
    scored = columns.rows[~np.isnan(differences[columns.rows])]
    rows = scored[stretches(len(scored), MOST_ROWS)]
    if isinstance(columns.data.x, Ragged) and len(rows):
        rows = rows[~_alphabetical(columns.data.x, rows, columns.source(rows))]
    if len(rows) < 2:
        return None
    layout = columns.layout(rows)
    layout = replace(layout, key=np.zeros((len(rows), 1), bool))
    noise = Noise(0).of("differences")
    found = alike(differences[rows, None], np.zeros(1, bool), layout, noise)
    return found[0].rank if found else None


def _alphabetical(x: Ragged, rows: np.ndarray, source: np.ndarray) -> np.ndarray:
    """(rows,) whether the texts of a source are sorted: of such, neighbours begin alike."""
    texts = [text.casefold() for text in x.take(torch.from_numpy(rows)).texts()]
    place = {text: i for i, text in enumerate(sorted(set(texts)))}
    order = np.array([[float(place[text])] for text in texts])
    return layout_of(order, np.zeros(1, bool), source).key[:, 0]


def _renamed(given: Table, others: Sequence[Table]) -> Table:
    """Given columns with names of their own: arrays of both are called x1, x2, ..."""
    taken = {name for table in others for name in table.names}
    names = {name: f"given {name}" if name in taken else name for name in given.names}
    schema = tuple(replace(column, name=names[column.name]) for column in given.schema)
    return Table({names[name]: values for name, values in given.columns.items()}, schema)
