"""Times of studies, from trials of a few cells."""

import time
from typing import Any, NamedTuple

import pytest

from sourcewise.studies.grid import Grid, Work
from sourcewise.studies.timing import estimate, pace


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
        work=lambda cell: Work(units, cell.size),
        short=lambda: sleeps(cells, tried, units=2),
    )


def test_an_estimate_lies_between_the_ends():
    cells, tried = [Sized("small", 1), Sized("middle", 2), Sized("large", 3)], []
    found = estimate(sleeps(cells + cells, tried))
    assert found == pytest.approx(3 * 0.1 + 1 + 2 + 3, rel=0.3)
    assert tried == ["small", "large"]
    assert estimate(sleeps(cells[1:2], tried)) == pytest.approx(0.1 + 2, rel=0.3)
