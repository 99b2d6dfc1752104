"""A comparison of several families: one run folder, with that of every family in `families/`."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from sourcewise.comparison.beside.budget import TIME, Budget
from sourcewise.comparison.beside.document import beside
from sourcewise.comparison.beside.prepare import PreparedFamilies
from sourcewise.comparison.outcome import Outcome
from sourcewise.comparison.summary import Summary
from sourcewise.execution import Execution
from sourcewise.files import write_json
from sourcewise.fitting.execute import Runnable
from sourcewise.fitting.job import Progress, share
from sourcewise.fitting.run import Comparison, comparison_in
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.contract import to_json

__all__ = ["FAMILIES", "FamiliesRun"]

FAMILIES = "families"


class FamilyRun(Protocol):
    """A comparison of one family: `comparison.run.ComparisonRun`."""

    files: tuple[str, ...]

    def repeated(self, times: int) -> Self:
        """With so many repetitions."""
        ...

    def more(
        self, path: Path | None, progress: Progress | None, before: Outcome | None
    ) -> Outcome:
        """All cells, and the models to keep, going on from what fewer repetitions gave."""
        ...

    def put(self, folder: Path, outcome: Outcome, found: ComparisonResult) -> None:
        """All its files."""
        ...

    def found(self, outcome: Outcome, run: str | None) -> ComparisonResult:
        """Its result."""
        ...


@dataclass(frozen=True)
class Outcomes:
    """What every family's comparison found, and which were left out for time."""

    runs: Mapping[str, FamilyRun]
    outcomes: Mapping[str, Outcome]
    notes: tuple[str, ...]

    def each(self, folder: Path | None) -> dict[str, ComparisonResult]:
        """The result of every family, by its name."""
        places = {name: folder and str(folder / FAMILIES / name) for name in self.outcomes}
        return {name: self.runs[name].found(self.outcomes[name], places[name]) for name in places}

    def found(
        self, each: Mapping[str, ComparisonResult], run: str | None
    ) -> tuple[str, ComparisonResult]:
        """The best family, and the result: its own, with all families beside each other."""
        summaries = {name: Summary(o.plan, o.results) for name, o in self.outcomes.items()}
        best, result = beside(each, summaries, self.notes)
        return best, replace(result, run=run)


class FamiliesRun(Runnable[PreparedFamilies, Outcomes, Comparison]):
    """A comparison of several families, ready to run; see `fitting.execute`.

    Args:
        prepared: the families.
        runs: the comparison of each alone, by its name.
        execution: where and how fast.
    """

    def __init__(
        self,
        prepared: PreparedFamilies,
        runs: Mapping[str, FamilyRun],
        execution: Execution | None = None,
    ):
        super().__init__(prepared, execution)
        self.runs = runs
        self.own = next(iter(runs.values())).files
        each = (f"{FAMILIES}/{name}/{file}" for name in runs for file in self.own)
        self.files = (*self.own, *each)

    def work(self, path: Path | None, progress: Progress | None) -> Outcomes:
        """All comparisons that there is time for, one after another."""
        home = path and path / FAMILIES
        if self.prepared.minutes is not None:
            return self._within_budget(home, progress)
        outcomes = {
            name: run.more(_own(home, name), share(progress, i, len(self.runs)), None)
            for i, (name, run) in enumerate(self.runs.items())
        }
        return Outcomes(self.runs, outcomes, self.prepared.made_alike)

    def _within_budget(self, home: Path | None, progress: Progress | None) -> Outcomes:
        """One repetition of one family after another, while there is time."""
        budget = Budget(self.prepared, home and home / TIME)
        runs, outcomes = {}, {}
        for name, r in budget.turns():
            run, last = self.runs[name], self.prepared.rounds(name) == 1
            with budget.turn(name, r, progress) as told:
                run = run if last else run.repeated(r + 1)
                outcomes[name] = run.more(_own(home, name), told, outcomes.get(name))
                runs[name] = run
        for name in self.runs:
            if name not in runs and home is not None and budget.processes.first:
                shutil.rmtree(home / name, ignore_errors=True)
        runs = {name: runs[name] for name in self.runs if name in runs}
        outcomes = {name: outcomes[name] for name in runs}
        return Outcomes(runs, outcomes, (*self.prepared.made_alike, *budget.notes()))

    def write(self, folder: Path, outcome: Outcomes) -> None:
        """Every family's files in its folder; those of the best, and the result, in the run's."""
        each = outcome.each(folder)
        for name, run in outcome.runs.items():
            run.put(folder / FAMILIES / name, outcome.outcomes[name], each[name])
        best, result = outcome.found(each, str(folder))
        for name in self.own:
            _copy(folder / FAMILIES / best / name, folder / name)
        write_json(folder / "result.json", to_json(result))

    def result(self, outcome: Outcomes) -> Comparison:
        """In memory."""
        best, result = outcome.found(outcome.each(None), None)
        return Comparison(result, lambda: outcome.outcomes[best].models)

    def finished(self, path: Path) -> Comparison:
        """From its folder."""
        return comparison_in(path)

    def tidy(self, path: Path) -> None:
        """Finished cells are in the tables now."""
        for folder in (path / FAMILIES).glob("*/"):
            shutil.rmtree(folder / "cells", ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def _own(home: Path | None, name: str) -> Path | None:
    """The folder of one family."""
    own = home and home / name
    if own is not None:
        own.mkdir(parents=True, exist_ok=True)
    return own
