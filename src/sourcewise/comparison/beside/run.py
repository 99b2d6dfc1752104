"""A comparison of several families: one run folder, with that of every family in `families/`."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from sourcewise.comparison.beside.document import beside
from sourcewise.comparison.beside.prepare import PreparedFamilies
from sourcewise.comparison.outcome import Outcome
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
TIME = "repetitions.json"  # written once: an interrupted run goes on with the same families


class FamilyRun(Protocol):
    """A comparison of one family: `comparison.run.ComparisonRun`."""

    files: tuple[str, ...]

    def repeated(self, times: int) -> Self:
        """With so many repetitions."""
        ...

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
        times = within_budget(self.prepared, home)
        runs = {name: run.repeated(times[name]) for name, run in self.runs.items() if times[name]}
        outcomes = {}
        for i, (name, run) in enumerate(runs.items()):
            own = home and home / name
            if own is not None:
                own.mkdir(parents=True, exist_ok=True)
            outcomes[name] = run.work(own, share(progress, i, len(runs)))
        late = self.prepared.late_notes(times) if self.prepared.minutes is not None else []
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


def within_budget(prepared: PreparedFamilies, folder: Path | None) -> dict[str, int]:
    """How often each family is fitted; 0: there is no time for it.

    In a folder that is settled once: another machine, or a slower hour, goes on with it.
    """
    if prepared.minutes is None:
        return {name: member.plan.repetitions for name, member in prepared.by_name.items()}
    path, processes = folder and folder / TIME, Processes.found()
    found = _written(path, prepared)
    if found is None:
        found = prepared.repetitions
        if path is not None and processes.first:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, found)
    # Clocks of several processes differ: the first one's counts.
    most = max(member.plan.repetitions for member in prepared.members)
    agreed: dict[str, int] = {}
    for name in prepared.by_name:
        agreed[name] = sum(processes.agreed(r < found[name]) for r in range(most))
    return agreed


def _written(path: Path | None, prepared: PreparedFamilies) -> dict[str, int] | None:
    """What was settled when the run began; None: it begins now."""
    if path is None or not path.exists():
        return None
    with reading(path):
        document = read_json(path)
        return {name: int(document[name]) for name in prepared.by_name}
