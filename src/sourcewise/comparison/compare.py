"""`compare`: one model for all sources, or one each?"""

import shutil
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from sourcewise.comparison.document import Finished, comparison_result
from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.plan import BASELINE, Plan, Shared
from sourcewise.comparison.prepare import CompareSettings, Prepared, prepare
from sourcewise.comparison.rivals import against
from sourcewise.comparison.scores import Cell, CellScores
from sourcewise.comparison.summary import Summary
from sourcewise.comparison.tables import (
    TRAINING,
    clear_training,
    load_cell,
    save_cell,
    write_tables,
)
from sourcewise.comparison.warnings import warnings_of
from sourcewise.errors import InputError
from sourcewise.execution import Execution
from sourcewise.files import write_atomic, write_json
from sourcewise.fitting.execute import Runnable, execute
from sourcewise.fitting.job import Progress, Work, share
from sourcewise.fitting.run import Comparison, save_samples
from sourcewise.fitting.saved import load_models, save_models
from sourcewise.fitting.search import search
from sourcewise.fitting.strategy import TrainedStrategy, fit_all
from sourcewise.memory import give_back
from sourcewise.randomness import Noise
from sourcewise.results.comparison import ComparisonResult, Trial
from sourcewise.results.contract import to_json
from sourcewise.run_folders import RunFolder
from sourcewise.sources import Sources
from sourcewise.training.processes import Processes

__all__ = ["ComparisonRun", "compare"]

Results = dict[str, dict[str, CellScores]]
Models = dict[str, TrainedStrategy]


def compare(
    data: Sources,
    settings: CompareSettings | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> Comparison:
    """Train all strategies on the sources, measure them fairly, and say which is better for whom.

    >>> import sourcewise as sw
    >>> result = sw.compare(sw.read("wine"), seeds=1)
    >>> result.verdict["overall"]
    'separate'

    Args:
        data: the sample, from `sourcewise.read`.
        settings: a `CompareSettings`; or give its fields by name: `model`, `set`, `strategies`
            (text, or a list), `seeds`, `scope`, `seed`, `min_rows`, `missing`, `log`.
        out: the run folder; None keeps everything in memory. A folder that holds the same run,
            finished or not, is resumed.
        overwrite: replace another run in `out`.
        progress: called with (done, in all).
        **changes: fields of the settings, or of `Execution`.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    execution, changes = Execution.taken_from(changes)
    if isinstance(changes.get("strategies"), list | tuple):
        changes["strategies"] = ",".join(changes["strategies"])
    run = ComparisonRun(prepare(data, CompareSettings.changed(settings, changes)), execution)
    return execute(run, out, overwrite, progress)


@dataclass
class Outcome:
    """What a comparison found."""

    plan: Plan  # with the settings of a search, if there was one
    trials: dict[str, list[Trial]]  # what the search tried, by strategy
    results: Results = field(default_factory=dict)
    models: Models = field(default_factory=dict)  # those to keep


class ComparisonRun(Runnable[Prepared, Outcome, Comparison]):
    """A comparison, ready to run; see `fitting.execute`."""

    FILES: ClassVar = (
        "results.csv",
        "scores.safetensors",
        "rows.safetensors",
        "log.csv",
        "models",
        "samples",
        "result.json",
    )

    def __init__(self, prepared: Prepared, execution: Execution | None = None):
        super().__init__(prepared, execution)
        self.started = time.perf_counter(), time.process_time()

    def work(self, path: Path | None, progress: Progress | None) -> Outcome:
        """The search, all cells, and the models to keep."""
        self.started = time.perf_counter(), time.process_time()
        outcome = self._searched(path, progress)
        _Work(outcome, path, self.execution).cells(progress)
        return outcome

    def _searched(self, path: Path | None, progress: Progress | None) -> Outcome:
        """The plan with searched settings, and the trials; as it is without `trials`."""
        plan, trials = self.prepared.plan, self.prepared.trials
        if not trials:
            return Outcome(plan, {})
        folder = path and path / TRAINING / "search"
        shared = plan.shared(0)
        split = next(plan.splits(Cell(0, None), shared.fold))
        noise = Noise(plan.seed).of("search")
        rows, labels = shared.rows, shared.shuffled
        job, found = search(
            plan.job, rows, split, labels, noise, trials, self.execution, folder, progress
        )
        return Outcome(replace(plan, job=job), found)

    def write(self, folder: RunFolder, outcome: Outcome) -> None:
        """Samples, times, numbers, and `result.json`."""
        data, noise = outcome.plan.job.data, Noise(outcome.plan.seed).of("samples")
        save_samples(folder.path, outcome.models, data, noise)
        found = self._result(outcome, str(folder.path))
        wall, cpu = self.started
        spent = f"{time.perf_counter() - wall},{time.process_time() - cpu}"
        write_atomic(folder / "log.csv", f"wall_seconds,cpu_seconds\r\n{spent}\r\n")
        write_tables(folder, outcome.plan, outcome.results)
        write_json(folder / "result.json", to_json(found))

    def result(self, outcome: Outcome) -> Comparison:
        """In memory."""
        return Comparison(self._result(outcome, None), lambda: outcome.models)

    def tidy(self, path: Path) -> None:
        """Finished cells are in the tables now."""
        shutil.rmtree(path / "cells", ignore_errors=True)

    def _result(self, outcome: Outcome, run: str | None) -> ComparisonResult:
        prepared = replace(self.prepared, plan=outcome.plan)
        summary = Summary(outcome.plan, outcome.results)
        rival = against(outcome.plan, outcome.results, BASELINE)
        warnings = [*warnings_of(prepared), *filter(None, [rival.note])]
        found = warnings, outcome.models, outcome.trials, rival.condition
        return comparison_result(Finished(prepared, summary, BASELINE, *found), run)


@dataclass(frozen=True)
class _Work:
    """The cells of a comparison, from the folder where they are finished."""

    outcome: Outcome
    path: Path | None
    execution: Execution

    @cached_property
    def processes(self) -> Processes:
        return Processes.found()

    def cells(self, progress: Progress | None) -> None:
        """All cells, and the models to keep."""
        plan, shared = self.outcome.plan, None
        every = plan.cells
        for done, cell in enumerate(every):
            if progress:
                progress(done, len(every))
            keeps = plan.keeps_models and cell == every[0]
            finished = self._finished(cell, keeps) if self.processes.first else False
            if not self.processes.agreed(finished):
                if shared is None or shared[0] != cell.repetition:
                    shared = cell.repetition, plan.shared(cell.repetition)
                self._run(cell, shared[1], keeps, share(progress, done, len(every)))
            self._clear(str(cell))
        if not plan.keeps_models:
            self._fit_all()
        if progress:
            progress(len(every), len(every))

    def _finished(self, cell: Cell, keeps: bool) -> bool:
        """Whether a cell was finished earlier, with its models if they are to be kept."""
        names = [strategy.name for strategy in self.outcome.plan.job.strategies]
        try:
            scores = load_cell(self.path, cell, self.outcome.plan) if self.path else None
            models = load_models(self.path) if self.path and scores and keeps else {}
        except InputError:  # a damaged file counts as not finished
            return False
        if scores is None or (keeps and set(models) != set(names)):
            return False
        self.outcome.models.update(models)
        self.outcome.results[str(cell)] = scores
        return True

    def _run(self, cell: Cell, shared: Shared, keeps: bool, progress: Progress | None) -> None:
        """Run a cell; in a folder, its models are saved before its scores."""
        plan, models = self.outcome.plan, self.outcome.models
        scores = evaluate_cell(
            plan,
            cell,
            shared,
            execution=self.execution,
            folder=self.path and self.path / TRAINING / str(cell),
            progress=progress,
            keep=models.__setitem__ if keeps else None,
        )
        self.outcome.results[str(cell)] = scores
        if self.path is not None and self.processes.first:
            if keeps:
                save_models(self.path, models, plan.job)
            save_cell(self.path, cell, scores)

    def _fit_all(self) -> None:
        plan, folder = self.outcome.plan, self.path and self.path / TRAINING / "kept"
        work = Work(plan.noise(0), self.execution, folder)
        models = fit_all(plan.job, plan.shared(0).rows, plan.folds(0), work)
        give_back()
        self.outcome.models.update(models)
        if self.path is not None and self.processes.first:
            save_models(self.path, models, plan.job)
        self._clear("kept")

    def _clear(self, cell: str) -> None:
        """Drop the checkpoints of a finished cell, once no process needs them."""
        if self.path is not None:
            self.processes.meet()
            if self.processes.first:
                clear_training(self.path, cell)
