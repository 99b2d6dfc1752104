"""How long a study takes, from short trials of a few of its cells."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from sourcewise.studies.grid import Cell, Grid, Progress

__all__ = ["SHORT", "Pace", "estimate", "pace"]

TRIAL = 60  # updates of a trial
SHORT = {"updates": TRIAL, "passes": 1e-9, "check": TRIAL // 3}  # settings of short training

C = TypeVar("C", bound=Cell)


class Pace(NamedTuple):
    """How long a cell takes: `rest + units * each` seconds."""

    rest: float
    each: float


def pace(run: Callable[[Progress], object], units: int) -> Pace:
    """Of a short trial; its units before the first report, which are slow, are not counted.

    Args:
        run: the trial; it reports its progress more than once.
        units: that it goes through.
    """
    reports: list[tuple[float, float]] = []
    start = time.perf_counter()
    run(lambda done, total: reports.append((time.perf_counter(), units * done / total)))
    took = time.perf_counter() - start
    (first, before), (last, after) = reports[0], reports[-1]
    each = (last - first) / max(after - before, 1e-9)
    return Pace(max(took - units * each, 0.0), each)


def estimate(grid: Grid[Any, Any, Any]) -> float:
    """Seconds that a study will take: trials of the cells of least and of most work of a kind.

    Between them paces are taken to grow in proportion to the work of a unit.
    """
    cells = {cell.name: cell for cell in (*grid.cells, *grid.later({}))}
    kinds = defaultdict(list)
    for cell in sorted(cells.values(), key=lambda cell: grid.work(cell).each):
        kinds[grid.work(cell).kind].append(cell)
    return sum(_of_kind(grid, kind) for kind in kinds.values())


def _of_kind(grid: Grid[C, Any, Any], cells: Sequence[C]) -> float:
    """Of cells in the order of their work."""
    work, short = [grid.work(cell) for cell in cells], grid.short()
    ends = [0, -1] if work[0].each < work[-1].each else [0]
    each = [work[i].each for i in ends]
    paces = [_trial(short, cells[i]) for i in ends]
    rests, units = zip(*paces, strict=True)
    return sum(
        float(np.interp(w.each, each, rests) + w.units * np.interp(w.each, each, units))
        for w in work
    )


def _trial(short: Grid[C, Any, Any], cell: C) -> Pace:
    """The pace of a cell."""
    return pace(lambda report: short.compute(cell, report, None), short.work(cell).units)
