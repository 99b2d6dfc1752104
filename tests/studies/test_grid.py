"""The cells of a study: computed once, kept, taken up; times, from trials of a few of them."""

import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from sourcewise.errors import InputError
from sourcewise.files import read_json
from sourcewise.studies.grid import Grid, Trials, Work, estimate, pace, within


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
        time=Trials(lambda cell: Work(1, 1), lambda: letters(cells)),
        later=lambda found: [Letter(f"twice/{x}") for x in sorted(found)[len(found) - last :]],
    )


CELLS = [Letter("a", "first"), Letter("b", "first"), Letter("a", "second")]


def test_sweeps_that_cross_share_what_is_found():
    reports, computed = [], []
    found = letters(CELLS, computed).run(lambda done, total: reports.append(done / total))
    assert found == {"a": Value(9.7), "b": Value(9.8)}
    assert computed == ["a", "b"]
    assert reports == [0.5, 1.0]


def test_progress_counts_cells_by_their_weight():
    reports = []
    study = replace(letters(CELLS), weight=lambda cell: {"a": 3.0, "b": 1.0}[cell.name])
    study.run(lambda done, total: reports.append(done / total))
    assert reports == [0.75, 1.0]


def test_what_is_computed_once_is_kept(tmp_path):
    folder, computed = tmp_path / "cells", []
    assert letters(CELLS[:1]).run(folder=folder) == {"a": Value(9.7)}
    assert letters(CELLS, computed).run(folder=folder) == letters(CELLS).run()
    assert computed == ["b"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.json"]
    assert read_json(folder / "a.json") == {"found": [9.7, [1, 2]]}


def test_some_cells_are_chosen_by_what_was_found(tmp_path):
    assert list(letters(CELLS, last=1).run(folder=tmp_path)) == ["a", "b", "twice/b"]
    assert (tmp_path / "twice" / "b.json").exists()


def test_a_damaged_cell_is_computed_again(tmp_path):
    whole = letters(CELLS).run(folder=tmp_path)
    kept, computed = (tmp_path / "a.json").read_text(), []
    (tmp_path / "a.json").write_text(kept.replace("9.7", "9.8"))
    assert letters(CELLS, computed).run(folder=tmp_path) == whole
    assert computed == ["a"]
    assert (tmp_path / "a.json").read_text() == kept


def test_no_cells_are_refused():
    with pytest.raises(InputError, match="no cell to compute"):
        letters([]).run()


def test_progress_of_parts_is_that_of_the_whole():
    reports = []
    for part in range(4):
        report = within(lambda done, total: reports.append(done / total), part / 4, (part + 1) / 4)
        assert report is not None
        report(0, 5)
        report(5, 5)
    assert np.allclose(reports, [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1])
    assert within(None, 0, 1) is None


def test_a_trial_tells_updates_from_the_rest():
    def run(report):
        time.sleep(0.2)  # draws, and the first updates
        for done in (1, 2, 3, 4):
            time.sleep(0.05)
            report(done, 4)

    found = pace(run, units=40)
    assert found.each == pytest.approx(0.005, rel=0.5)
    assert found.rest == pytest.approx(0.2, rel=0.5)


class Sized(NamedTuple):
    name: str
    size: int


def sleeps(cells, tried, units=100) -> Grid[Sized, int, Any]:
    """A unit of a cell takes a hundredth of a second per size, the rest a tenth of a second."""

    def compute(cell, progress, folder):
        tried.append(cell.name)
        time.sleep(0.1)
        assert progress
        for done in range(units + 1):
            progress(done, units)
            time.sleep(0.01 * cell.size * (done < units))
        return 0

    return Grid(
        cells=cells,
        compute=compute,
        found=int,
        fold=dict,
        time=Trials(lambda cell: Work(units, cell.size), lambda: sleeps(cells, tried, units=2)),
    )


def test_an_estimate_lies_between_the_ends():
    cells, tried = [Sized("small", 1), Sized("middle", 2), Sized("large", 3)], []
    found = estimate(sleeps(cells + cells, tried))
    assert found == pytest.approx(3 * 0.1 + 1 + 2 + 3, rel=0.3)
    assert tried == ["small", "large"]
    assert estimate(sleeps(cells[1:2], tried)) == pytest.approx(0.1 + 2, rel=0.3)
