"""The cells of a study: computed once, kept, taken up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest

from sourcewise.errors import InputError
from sourcewise.files import read_json
from sourcewise.settings import Settings
from sourcewise.studies.grid import Grid, within


class Letter(NamedTuple):
    name: str
    where: str = ""


@dataclass(frozen=True)
class Value:
    number: float
    seen: tuple[int, ...]


@dataclass(frozen=True)
class Letters(Grid[Letter, Value, Any]):
    """Every cell is worth its letter; those that come later double the greatest."""

    found = Value

    settings: Settings = field(default_factory=Settings)
    all: Sequence[Letter] = ()
    last: int = 0
    computed: list[str] = field(default_factory=list)

    def cells(self):
        return self.all

    def later(self, found):
        greatest = sorted(found)[len(found) - self.last :]
        return [Letter(f"twice/{name}") for name in greatest]

    def compute(self, cell, progress, folder):
        if folder:
            (folder / "checkpoint").mkdir(parents=True)
        if progress:
            progress(1, 1)
        self.computed.append(cell.name)
        return Value(ord(cell.name[-1]) / 10, (1, 2))

    def fold(self, found):
        return dict(found)

    def units(self, cell):
        return 1

    def work(self, cell):
        return 1


CELLS = [Letter("a", "first"), Letter("b", "first"), Letter("a", "second")]


def test_sweeps_that_cross_share_what_is_found():
    reports = []
    grid = Letters(all=CELLS)
    assert grid.run(lambda done, total: reports.append(done / total)) == {
        "a": Value(9.7, (1, 2)),
        "b": Value(9.8, (1, 2)),
    }
    assert grid.computed == ["a", "b"]
    assert reports == [0.5, 1.0]


def test_what_is_computed_once_is_kept(tmp_path):
    first, second = Letters(all=CELLS[:1]), Letters(all=CELLS)
    folder = tmp_path / "cells"
    assert first.run(folder=folder) == {"a": Value(9.7, (1, 2))}
    assert second.run(folder=folder) == Letters(all=CELLS).run()
    assert second.computed == ["b"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.json"]
    assert read_json(folder / "a.json") == {"number": 9.7, "seen": [1, 2]}


def test_some_cells_are_chosen_by_what_was_found(tmp_path):
    grid = Letters(all=CELLS, last=1)
    assert list(grid.run(folder=tmp_path)) == ["a", "b", "twice/b"]
    assert (tmp_path / "twice" / "b.json").exists()


def test_a_damaged_cell_is_named(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match="a.json is damaged"):
        Letters(all=CELLS).run(folder=tmp_path)


def test_no_cells_are_refused():
    with pytest.raises(InputError, match="no cell to compute"):
        Letters().run()


def test_progress_of_parts_is_that_of_the_whole():
    reports = []
    for part in range(4):
        report = within(lambda done, total: reports.append(done / total), part, 4)
        assert report is not None
        report(0, 5)
        report(5, 5)
    assert np.allclose(reports, [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1])
    assert within(None, 0, 1) is None
