"""A study is a grid of cells: each is computed once, and kept once it is computed.

A study says which cells it has, how one is computed, and how all of them make its result. Running
them, with progress, and taking up what an interrupted run left, is the same for all studies.
"""

import shutil
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from pydantic import TypeAdapter

from sourcewise.errors import InputError
from sourcewise.files import read_json, write_json
from sourcewise.studies.pictures import Picture
from sourcewise.studies.result import Result

__all__ = ["Cell", "Grid", "Progress", "Work", "within"]

Progress = Callable[[int, int], None]  # called with (done, in all)


class Cell(Protocol):
    """What is computed in one piece."""

    @property
    def name(self) -> str:
        """Its file's name. Cells of the same name are the same, and computed once."""
        ...


class Work(NamedTuple):
    """What the time of a cell depends on, for estimates.

    Args:
        units: what is repeated in it: updates, or draws.
        each: how much a unit is, in any measure that puts cells in order.
        kind: cells of different kinds are not compared.
    """

    units: int
    each: float
    kind: Hashable = None


C = TypeVar("C", bound=Cell)
F = TypeVar("F")
R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Grid(Generic[C, F, R]):
    """The cells C of a study, of which each gives an F, and all together the result R.

    Args:
        cells: all of them; sweeps that cross may name one more than once.
        compute: one cell, called with its progress, which it reports twice at least and in
            proportion to its units, and a folder for unfinished work, which is removed afterwards
            (None: nothing is kept).
        found: F, a type that pydantic can read from its plain values.
        fold: the result, from what was found in all cells, by their names.
        work: of a cell.
        short: the same study with few units in each cell, for trials.
        picture: how the result is drawn, if it is.
        later: cells that are chosen by what was found in the others.
    """

    cells: Sequence[C]
    compute: Callable[[C, Progress | None, Path | None], F]
    found: Any
    fold: Callable[[Mapping[str, F]], R]
    work: Callable[[C], Work]
    short: "Callable[[], Grid[C, F, R]]"
    picture: Picture | None = None
    later: Callable[[Mapping[str, F]], Sequence[C]] = lambda found: ()

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
        missing = {cell.name: cell for cell in cells if cell.name not in found}
        total = len(found) + len(missing)
        for name, cell in missing.items():
            found[name] = self._kept(cell, within(progress, len(found), total), folder)

    def _kept(self, cell: C, progress: Progress | None, folder: Path | None) -> F:
        """From the folder if it is there already."""
        if folder is None:
            return self.compute(cell, progress, None)
        path, unfinished = folder / f"{cell.name}.json", folder / cell.name
        kind = TypeAdapter(self.found)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, kind.dump_python(self.compute(cell, progress, unfinished)))
            shutil.rmtree(unfinished, ignore_errors=True)
        return kind.validate_python(read_json(path))


def within(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """Progress of one part as a part of all."""
    if progress is None:
        return None
    return lambda done, total: progress(1000 * number + 1000 * done // total, 1000 * parts)
