"""A study is a grid of cells: each is computed once, and kept once it is computed.

A study says which cells it has, how one is computed, and how all of them make its result. Running
them, with progress, taking up what an interrupted run left, and telling the time from short trials
of a few cells, is the same for all studies.
"""

import contextlib
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from sourcewise.errors import InputError
from sourcewise.files import read_json, write_json
from sourcewise.studies.pictures import Picture
from sourcewise.studies.result import Result
from sourcewise.training.processes import Processes

__all__ = ["SHORT", "Cell", "Grid", "Progress", "Trials", "Work", "estimate", "pace", "within"]

Progress = Callable[[int, int], None]  # called with (done, in all)
FINE = 100_000  # steps of progress
TRIAL = 60  # updates of a trial
SHORT = {"updates": TRIAL, "passes": 1e-9, "check": TRIAL // 3}  # settings of short training


class Cell(Protocol):
    """What is computed in one piece."""

    @property
    def name(self) -> str:
        """Its file's name. Cells of the same name are the same, and computed once."""
        ...


class Work(NamedTuple):
    """What the time of a cell depends on, for estimates."""

    units: int  # what is repeated in it: updates, or draws
    each: float  # how much a unit is, in any measure that puts cells in order
    kind: Hashable = None  # cells of different kinds are not compared


C = TypeVar("C", bound=Cell)
F = TypeVar("F")
R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Trials(Generic[C]):
    """How trials tell the time of a study."""

    work: Callable[[C], Work]  # of a cell
    short: "Callable[[], Grid[C, Any, Any]]"  # the same study with few units in each cell


@dataclass(frozen=True)
class Grid(Generic[C, F, R]):
    """The cells C of a study, of which each gives an F, and all together the result R."""

    cells: Sequence[C]  # all of them; sweeps that cross may name one more than once
    # one cell, called with its progress, which it reports twice at least and in proportion to its
    # units, and a folder for unfinished work, which is removed afterwards (None: nothing is kept)
    compute: Callable[[C, Progress | None, Path | None], F]
    found: Any  # F, a type that pydantic can read from its plain values
    # the result, from what was found in all cells, by their names
    fold: Callable[[Mapping[str, F]], R]
    # how long all of it takes is found by trials, or told by the study itself
    time: "Trials[C] | Callable[[], float]"
    picture: Picture | None = None  # how the result is drawn, if it is
    # cells that are chosen by what was found in the others
    later: Callable[[Mapping[str, F]], Sequence[C]] = lambda found: ()
    # how long a cell takes beside the others, about: for the progress
    weight: Callable[[C], float] = lambda cell: 1.0

    def run(self, progress: Progress | None = None, folder: Path | None = None) -> R:
        """The result.

        Args:
            progress: called with (done, in all).
            folder: keeps the cells that are finished, so that an interrupted run is taken up.
        """
        if not self.cells:
            raise InputError("no cell to compute: nothing is varied")
        found: dict[str, F] = {}
        self._fill(found, self.cells, progress, folder)
        self._fill(found, self.later(found), progress, folder)
        return self.fold(found)

    def _fill(
        self,
        found: dict[str, F],
        cells: Sequence[C],
        progress: Progress | None,
        folder: Path | None,
    ) -> None:
        """Compute the cells that are not among those found."""
        every = {cell.name: cell for cell in (*self.cells, *cells)}
        whole = sum(self.weight(cell) for cell in every.values())
        done = sum(self.weight(every[name]) for name in found)
        for name, cell in every.items():
            if name not in found:
                share = self.weight(cell)
                part = within(progress, done / whole, (done + share) / whole)
                found[name] = self._kept(cell, part, folder)
                done += share

    def _kept(self, cell: C, progress: Progress | None, folder: Path | None) -> F:
        """From the folder if it is there already."""
        if folder is None:
            return self.compute(cell, progress, None)
        path, unfinished = folder / f"{cell.name}.json", folder / cell.name
        kind, processes = TypeAdapter(self.found), Processes.found()
        found = None
        with contextlib.suppress(InputError, KeyError, ValidationError):  # or it is made again
            found = kind.validate_python(read_json(path)["found"]) if processes.first else None
        if not processes.agreed(found is not None):
            path.parent.mkdir(parents=True, exist_ok=True)
            made = self.compute(cell, progress, unfinished)
            processes.meet()  # none reads what is unfinished any more
            if processes.first:
                write_json(path, {"found": kind.dump_python(made)})
                shutil.rmtree(unfinished, ignore_errors=True)
            processes.meet()
        return kind.validate_python(read_json(path)["found"])


def within(progress: Progress | None, start: float, end: float) -> Progress | None:
    """Progress of one part as a part of all, from one share of it to another."""
    if progress is None:
        return None
    return lambda done, total: progress(round(FINE * (start + (end - start) * done / total)), FINE)


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
    if not isinstance(grid.time, Trials):
        return grid.time()
    cells, work = {cell.name: cell for cell in (*grid.cells, *grid.later({}))}, grid.time.work
    kinds = defaultdict(list)
    for cell in sorted(cells.values(), key=lambda cell: work(cell).each):
        kinds[work(cell).kind].append(cell)
    return sum(_of_kind(grid.time, kind) for kind in kinds.values())


def _of_kind(trials: Trials[C], cells: Sequence[C]) -> float:
    """Of cells in the order of their work."""
    work, short = [trials.work(cell) for cell in cells], trials.short()
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
    assert isinstance(short.time, Trials)
    return pace(lambda report: short.compute(cell, report, None), short.time.work(cell).units)
