"""Times of studies, from trials of a few cells."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import pytest

from sourcewise.settings import Settings
from sourcewise.studies.grid import Grid
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


class Lengths(Settings):
    units: int = 100


@dataclass(frozen=True)
class Sleeps(Grid[Sized, int, Any]):
    """A unit of a cell takes a hundredth of a second per size, the rest a tenth of a second."""

    found = int
    short: ClassVar = {"units": 2}

    settings: Lengths = field(default_factory=Lengths)
    all: Sequence[Sized] = ()
    tried: list[str] = field(default_factory=list)

    def cells(self):
        return self.all

    def compute(self, cell, progress, folder):
        self.tried.append(cell.name)
        time.sleep(0.1)
        assert progress
        for done in range(self.settings.units + 1):
            progress(done, self.settings.units)
            time.sleep(0.01 * cell.size * (done < self.settings.units))
        return 0

    def fold(self, found):
        return dict(found)

    def units(self, cell):
        return self.settings.units

    def work(self, cell):
        return cell.size


def test_an_estimate_lies_between_the_ends():
    cells = [Sized("small", 1), Sized("middle", 2), Sized("large", 3)]
    grid = Sleeps(all=cells + cells)
    assert estimate(grid) == pytest.approx(3 * 0.1 + 1 + 2 + 3, rel=0.3)
    assert grid.tried == ["small", "large"]
    assert estimate(Sleeps(all=cells[1:2])) == pytest.approx(0.1 + 2, rel=0.3)
