"""How long a study takes, from short trials of a few of its cells."""

import time
from collections.abc import Callable, Hashable, Sequence
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

    Between them paces are taken to grow in proportion to the work.
    """
    kinds: dict[Hashable, dict[str, Any]] = {}
    for cell in (*grid.cells(), *grid.later({})):
        kinds.setdefault(grid.kind(cell), {})[cell.name] = cell
    return sum(_of_kind(grid, list(cells.values())) for cells in kinds.values())


def _of_kind(grid: Grid[C, Any, Any], cells: Sequence[C]) -> float:
    short = grid.shortened()
    ordered = sorted(cells, key=grid.work)
    least, most = grid.work(ordered[0]), grid.work(ordered[-1])
    ends = [ordered[0], ordered[-1]] if least < most else ordered[:1]
    work = [grid.work(cell) for cell in ends]
    paces = [
        pace(lambda report, cell=cell: short.compute(cell, report, None), short.units(cell))
        for cell in ends
    ]

    def between(cell: C) -> Pace:
        at = grid.work(cell)
        return Pace(*(float(np.interp(at, work, values)) for values in zip(*paces, strict=True)))

    return sum(p.rest + grid.units(cell) * p.each for cell in ordered for p in [between(cell)])
