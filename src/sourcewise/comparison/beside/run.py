"""A comparison of several families: one run folder, with that of every family in `families/`."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sourcewise.comparison.beside.document import beside
from sourcewise.comparison.beside.prepare import PreparedFamilies, late_note
from sourcewise.comparison.outcome import Outcome
from sourcewise.comparison.prepare import Prepared
from sourcewise.comparison.summary import Summary
from sourcewise.documents import reading
from sourcewise.execution import Execution
from sourcewise.files import read_json, write_json
from sourcewise.fitting.execute import Runnable
from sourcewise.fitting.job import Progress, share
from sourcewise.fitting.run import Comparison, comparison_in
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.contract import to_json
from sourcewise.training.processes import Processes

__all__ = ["FAMILIES", "FamiliesRun", "within_budget"]

FAMILIES = "families"
LATE = "left_out.json"  # written once: an interrupted run goes on with the same families


class FamilyRun(Protocol):
    """A comparison of one family: `comparison.run.ComparisonRun`."""

    files: tuple[str, ...]

    def work(self, path: Path | None, progress: Progress | None) -> Outcome:
        """All cells, and the models to keep."""
        ...

    def write(self, folder: Path, outcome: Outcome) -> None:
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

    def found(self, folder: Path | None, run: str | None) -> tuple[str, ComparisonResult]:
        """The best family, and the result: its own, with all families beside each other."""
        results, summaries = {}, {}
        for name, outcome in self.outcomes.items():
            where = None if folder is None else str(folder / FAMILIES / name)
            results[name] = self.runs[name].found(outcome, where)
            summaries[name] = Summary(outcome.plan, outcome.results)
        best, result = beside(results, summaries, self.notes)
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
        members, late = within_budget(self.prepared, home)
        runs = {name: self.runs[name] for name in members}
        outcomes = {}
        for i, (name, run) in enumerate(runs.items()):
            own = home and home / name
            if own is not None:
                own.mkdir(parents=True, exist_ok=True)
            outcomes[name] = run.work(own, share(progress, i, len(runs)))
        return Outcomes(runs, outcomes, (*self.prepared.made_alike, *late))

    def write(self, folder: Path, outcome: Outcomes) -> None:
        """Every family's files in its folder; those of the best, and the result, in the run's."""
        for name, run in outcome.runs.items():
            run.write(folder / FAMILIES / name, outcome.outcomes[name])
        best, result = outcome.found(folder, str(folder))
        for name in self.own:
            _copy(folder / FAMILIES / best / name, folder / name)
        write_json(folder / "result.json", to_json(result))

    def result(self, outcome: Outcomes) -> Comparison:
        """In memory."""
        best, result = outcome.found(None, None)
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


def within_budget(
    prepared: PreparedFamilies, folder: Path | None
) -> tuple[dict[str, Prepared], list[str]]:
    """The families that fit the minutes together, and a note on each that does not.

    In a folder the choice is made once: another machine, or a slower hour, goes on with it.
    """
    if prepared.minutes is None:
        return prepared.by_name, []
    processes = Processes.found()
    late = _written(folder)
    if late is None:
        late = prepared.late
        if folder is not None and processes.first:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / LATE, late)
    # Clocks of several processes differ: the first one's counts.
    kept = {
        name: member
        for name, member in prepared.by_name.items()
        if processes.agreed(name not in late)
    }
    notes = [late_note(name, s) for name, s in late.items() if name not in kept]
    return kept, notes


def _written(folder: Path | None) -> dict[str, float] | None:
    """The families that were left out when the run began; None: it begins now."""
    path = folder and folder / LATE
    if path is None or not path.exists():
        return None
    with reading(path):
        return {str(name): float(seconds) for name, seconds in read_json(path).items()}
