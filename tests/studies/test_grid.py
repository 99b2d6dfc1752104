"""The cells of a study: computed once, kept, taken up."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from sourcewise.errors import InputError
from sourcewise.files import read_json
from sourcewise.studies.grid import Grid, Work, within


class Letter(NamedTuple):
    name: str
    where: str = ""


class Value(NamedTuple):
    number: float
    seen: tuple[int, ...] = (1, 2)


def letters(cells, computed=None, last=0) -> Grid[Letter, Value, Any]:
    """Every cell is worth its letter; the greatest are computed again."""

    def compute(cell, progress, folder):
        if folder:
            (folder / "checkpoint").mkdir(parents=True)
        if progress:
            progress(1, 1)
        if computed is not None:
            computed.append(cell.name)
        return Value(ord(cell.name[-1]) / 10)

    return Grid(
        cells=cells,
        compute=compute,
        found=Value,
        fold=dict,
        work=lambda cell: Work(1, 1),
        short=lambda: letters(cells),
        later=lambda found: [Letter(f"twice/{x}") for x in sorted(found)[len(found) - last :]],
    )


CELLS = [Letter("a", "first"), Letter("b", "first"), Letter("a", "second")]


def test_sweeps_that_cross_share_what_is_found():
    reports, computed = [], []
    found = letters(CELLS, computed).run(lambda done, total: reports.append(done / total))
    assert found == {"a": Value(9.7), "b": Value(9.8)}
    assert computed == ["a", "b"]
    assert reports == [0.5, 1.0]


def test_what_is_computed_once_is_kept(tmp_path):
    folder, computed = tmp_path / "cells", []
    assert letters(CELLS[:1]).run(folder=folder) == {"a": Value(9.7)}
    assert letters(CELLS, computed).run(folder=folder) == letters(CELLS).run()
    assert computed == ["b"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.json"]
    assert read_json(folder / "a.json") == [9.7, [1, 2]]


def test_some_cells_are_chosen_by_what_was_found(tmp_path):
    assert list(letters(CELLS, last=1).run(folder=tmp_path)) == ["a", "b", "twice/b"]
    assert (tmp_path / "twice" / "b.json").exists()


def test_a_damaged_cell_is_named(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match="a.json is damaged"):
        letters(CELLS).run(folder=tmp_path)


def test_no_cells_are_refused():
    with pytest.raises(InputError, match="no cell to compute"):
        letters([]).run()


def test_progress_of_parts_is_that_of_the_whole():
    reports = []
    for part in range(4):
        report = within(lambda done, total: reports.append(done / total), part, 4)
        assert report is not None
        report(0, 5)
        report(5, 5)
    assert np.allclose(reports, [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1])
    assert within(None, 0, 1) is None
