"""The time that families beside each other may take together.

A family is begun while the least that it may take fits into the budget; a further repetition is
made while one that takes as long as the last fits. What is not over when twice the budget has
passed is stopped and left out. The first family takes all its time. The clock counts the processor
time of this process, so that other work on the machine leaves out no family.

The plans and what each took are written into the run folder: an interrupted run goes on with the
same families, and its clock with what had been spent.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

from sourcewise.documents import reading
from sourcewise.errors import InputError, TrainingFailed, counted
from sourcewise.files import read_json, write_json
from sourcewise.fitting.job import Progress
from sourcewise.training.processes import Processes

__all__ = ["FAILURES", "TIME", "Budget", "in_order"]

TIME = "budget.json"


SAVED = 5.0  # seconds between writing what a turn has taken
# What is wrong with one family alone.
FAILURES = (TrainingFailed, InputError, FloatingPointError)


class Timed(Protocol):
    """Families and their times: `comparison.beside.prepare.PreparedFamilies`."""

    @property
    def minutes(self) -> float | None:
        """That they may take together."""
        ...

    @property
    def planned(self) -> Mapping[str, float]:
        """Seconds of one repetition, if no training stops early; the first always runs."""
        ...

    def early(self, name: str) -> float:
        """The share of it that is the least that a repetition takes."""
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
    over: bool = True  # or interrupted


class Budget:
    """The time that is left, and what it was spent on.

    Args:
        prepared: the families.
        path: the file where that is kept; None: nowhere.
    """

    def __init__(self, prepared: Timed, path: Path | None):
        assert prepared.minutes is not None
        self.rounds, self.early = prepared.rounds, prepared.early
        self.path, self.processes = path, Processes.found()
        self.seconds = 60 * prepared.minutes
        self.spent: list[_Spent] = []
        planned = None
        if path is not None and path.exists():
            with reading(path):
                document = read_json(path)
                planned = {name: float(s) for name, s in document["planned"].items()}
                self.spent = [_Spent(*each) for each in document["spent"]]
        planned = planned or prepared.planned
        times = torch.tensor([*planned.values()], dtype=torch.float64)
        self.processes.send(times, 0)  # clocks of several processes differ: the first one's count
        self.planned = dict(zip(planned, times.tolist(), strict=True))
        self._save()

    @property
    def order(self) -> list[str]:
        """The families' names: the first, then quicker ones first."""
        return in_order(self.planned)

    def turns(self) -> Iterator[tuple[str, int]]:
        """The repetitions that there is time for: the first of each family, then the others."""
        for r in range(max(map(self.rounds, self.order))):
            for name in self.order:
                if self.processes.agreed(self._begins(name, r)):
                    yield name, r

    def _begins(self, name: str, r: int) -> bool:
        if known := self._known(name, r):
            return known.why is None
        if r == 0:
            return name == self.order[0] or self._total + self._least(name) <= self.seconds
        before = self._known(name, r - 1)
        if before is None or before.why or r >= self.rounds(name):
            return False
        return self._total + before.seconds <= self.seconds

    def _least(self, name: str) -> float:
        return self.planned[name] * self.early(name)

    def _known(self, name: str, r: int) -> _Spent | None:
        return next((each for each in self.spent if each[:2] == (name, r)), None)

    @property
    def _total(self) -> float:
        return sum(each.seconds for each in self.spent)

    @contextmanager
    def turn(self, name: str, r: int, progress: Progress | None) -> Iterator[Progress | None]:
        """One of the turns, to be told its progress; it ends early if it is out of time.

        The progress of all is that of the clock. If it fails, it is left out, unless it is that
        of the first family.
        """
        known = self._known(name, r)
        if known and known.over:  # its cells are read
            yield None
            return
        start, saved = time.process_time() - (known.seconds if known else 0.0), -math.inf
        if known:
            self.spent.remove(known)
        free = name == self.order[0] or self.processes.count > 1  # one process alone cannot stop
        left = math.inf if free else 2 * self.seconds - self._total

        def told(done: int, of: int) -> None:
            nonlocal saved
            took = time.process_time() - start
            if took > left:
                raise _OutOfTime
            if took > saved + SAVED:
                saved = took
                self._save(_Spent(name, r, round(took, 3), None, over=False))
            if progress:
                share = (self._total + took) / self.seconds
                progress(int(1000 * min(share, 0.99)), 1000)

        why = None
        try:
            yield told
        except _OutOfTime:
            why = f"not done after {_minutes(time.process_time() - start)}"
        except FAILURES as error:
            if free:
                raise
            why = str(error)
        self.spent.append(_Spent(name, r, round(time.process_time() - start, 3), why))
        self._save()

    def _save(self, *under_way: _Spent) -> None:
        if self.path is not None and self.processes.first:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            spent = [*self.spent, *under_way]
            write_json(self.path, {"planned": self.planned, "spent": spent})

    def notes(self) -> list[str]:
        """What there was no time, or little time, for, one line each."""
        return [note for name in self.order if (note := self._note(name))]

    def _note(self, name: str) -> str | None:
        turns = [each for each in self.spent if each.family == name]
        made = sum(each.why is None for each in turns)
        failed, missing = [each.why for each in turns if each.why], self.rounds(name) - made
        if not missing:
            return None
        more = missing * turns[0].seconds if made else self.planned[name]
        minutes = max(self._total + more, self.seconds + 1) / 60
        takes = f"--budget {math.ceil(minutes)}"
        if made:
            seeds = f"{counted(made, 'training seed')} of {name}, not {self.rounds(name)}"
            return f"{seeds}: {failed[0]}" if failed else f"time for {seeds}: {takes} takes all"
        if failed:
            return f"the family {name} was left out: {failed[0]} ({takes}, or --model {name})"
        least, whole = _minutes(self._least(name)), _minutes(self.planned[name])
        much = least if least == whole else f"{least} to {whole}"
        return f"no time for the family {name} ({much}): {takes} takes it, or --model {name}"


def in_order(seconds: Mapping[str, float]) -> list[str]:
    """Names of families: the first, then quicker ones first.

    >>> in_order({"a": 5.0, "b": 9.0, "c": 7.0})
    ['a', 'c', 'b']
    """
    first, *others = seconds
    return [first, *sorted(others, key=seconds.__getitem__)]


def _minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min" if seconds >= 60 else f"{max(1, round(seconds))} s"
