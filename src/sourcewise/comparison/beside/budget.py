"""The time that families beside each other may take together.

A family is begun while the least that it may take fits into the budget; a further repetition is
made while it fits as long as the family's first took. What is not over when twice the budget has
passed is stopped and left out. The first family takes all its time. The clock counts what this
process computes, so that other work on the machine leaves out no family.

What each took is written into the run folder: an interrupted run goes on with the same families,
and its clock with what had been spent.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from sourcewise.documents import reading
from sourcewise.errors import TrainingFailed, counted
from sourcewise.files import read_json, write_json
from sourcewise.fitting.job import Progress
from sourcewise.training.processes import Processes

__all__ = ["TIME", "Budget"]

TIME = "budget.json"


class Timed(Protocol):
    """Families and their times: `comparison.beside.prepare.PreparedFamilies`."""

    @property
    def minutes(self) -> float | None:
        """That they may take together."""
        ...

    @property
    def order(self) -> Sequence[str]:
        """Their names; the first always runs."""
        ...

    @property
    def planned(self) -> Mapping[str, float]:
        """Seconds of one repetition, if no training stops early."""
        ...

    def least(self, name: str) -> float:
        """Seconds of one repetition, if all trainings stop early."""
        ...

    def rounds(self, name: str) -> int:
        """How often a family is fitted, one time after another."""
        ...


class _OutOfTime(Exception):
    """Twice the budget has passed."""


class _Spent(NamedTuple):
    """What one family's repetition took."""

    family: str
    repetition: int
    seconds: float
    why: str | None  # it was left out


class Budget:
    """The time that is left, and what it was spent on.

    Args:
        prepared: the families.
        path: the file where that is kept; None: nowhere.
    """

    def __init__(self, prepared: Timed, path: Path | None):
        assert prepared.minutes is not None
        self.prepared, self.path = prepared, path
        self.seconds = 60 * prepared.minutes
        self.spent: list[_Spent] = []
        self.processes = Processes.found()
        if path is not None and path.exists():
            with reading(path):
                self.spent = [_Spent(*each) for each in read_json(path)["spent"]]

    def turns(self) -> Iterator[tuple[str, int]]:
        """The repetitions that there is time for: the first of each family, then the others."""
        names = self.prepared.order
        for r in range(max(map(self.prepared.rounds, names))):
            for name in names:
                if self.processes.agreed(self._begins(name, r)):
                    yield name, r

    def _begins(self, name: str, r: int) -> bool:
        if known := self._known(name, r):
            return known.why is None
        if r == 0:
            first = name == self.prepared.order[0]
            return first or self._total + self.prepared.least(name) <= self.seconds
        before = self._known(name, r - 1)
        if before is None or before.why or r >= self.prepared.rounds(name):
            return False
        return self._total + before.seconds <= self.seconds

    def _known(self, name: str, r: int) -> _Spent | None:
        return next((each for each in self.spent if each[:2] == (name, r)), None)

    @property
    def _total(self) -> float:
        return sum(each.seconds for each in self.spent)

    @contextmanager
    def turn(self, name: str, r: int, progress: Progress | None) -> Iterator[Progress | None]:
        """One of the turns, to be told its progress; it ends early if it is out of time.

        The progress of all is that of the clock.
        """
        if self._known(name, r):  # its cells are read
            yield None
            return
        start, why = time.process_time(), None
        end = start + 2 * self.seconds - self._total
        if name == self.prepared.order[0] or self.processes.count > 1:
            end = math.inf  # one process alone cannot stop

        def told(done: int, of: int) -> None:
            if time.process_time() > end:
                raise _OutOfTime
            if progress:
                share = (self._total + time.process_time() - start) / self.seconds
                progress(int(1000 * min(share, 0.99)), 1000)

        try:
            yield told
        except _OutOfTime:
            why = f"not done after {_minutes(time.process_time() - start)}"
        except TrainingFailed as error:
            if name == self.prepared.order[0]:
                raise
            why = str(error)
        self.spent.append(_Spent(name, r, round(time.process_time() - start, 3), why))
        if self.path is not None and self.processes.first:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {"spent": self.spent})

    def notes(self) -> list[str]:
        """What there was no time, or little time, for, one line each."""
        return [note for name in self.prepared.order if (note := self._note(name))]

    def _note(self, name: str) -> str | None:
        first, rounds = self._known(name, 0), self.prepared.rounds(name)
        made = sum(each.family == name and each.why is None for each in self.spent)
        each = self.prepared.planned[name] if not made else first.seconds if first else 0.0
        minutes = math.ceil((self._total + (rounds - made if made else 1) * each) / 60)
        takes = f"--budget {max(minutes, math.ceil(self.seconds / 60) + 1)}"
        if made:
            what = f"time for {counted(made, 'training seed')} of {name}, not {rounds}"
            return None if made >= rounds else f"{what}: {takes} takes all"
        if first is None:
            least = _minutes(self.prepared.least(name))
            whole = _minutes(self.prepared.planned[name])
            much = least if least == whole else f"{least} to {whole}"
            return f"no time for the family {name} ({much}): {takes} takes it, or --model {name}"
        return f"the family {name} was left out: {first.why} ({takes}, or --model {name})"


def _minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min" if seconds >= 60 else f"{max(1, round(seconds))} s"
