"""A comparison of strategies of one family, from its cells to its files."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sourcewise.comparison.document import Finished, comparison_result
from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.far_out import far_out
from sourcewise.comparison.outcome import Outcome
from sourcewise.comparison.plan import BASELINE, Shared
from sourcewise.comparison.prepare import Prepared
from sourcewise.comparison.rivals import against
from sourcewise.comparison.scores import Cell
from sourcewise.comparison.summary import Summary
from sourcewise.comparison.tables import (
    TRAINING,
    clear_training,
    load_cell,
    save_cell,
    write_tables,
)
from sourcewise.comparison.verdict import differences, verdict_of
from sourcewise.comparison.warnings import warnings_of
from sourcewise.errors import InputError
from sourcewise.execution import Execution
from sourcewise.files import write_atomic, write_json
from sourcewise.fitting.execute import Runnable
from sourcewise.fitting.job import Progress, Work, share
from sourcewise.fitting.run import Comparison, comparison_in, save_samples
from sourcewise.fitting.saved import load_models, save_models
from sourcewise.fitting.search import search
from sourcewise.fitting.strategy import TrainedStrategy, fit_all
from sourcewise.memory import give_back
from sourcewise.randomness import Noise
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.contract import to_json
from sourcewise.training.processes import Processes

__all__ = ["ComparisonRun", "Look"]

Look = Callable[[Cell, str, TrainedStrategy], None]  # at the models of a strategy


class ComparisonRun(Runnable[Prepared, Outcome, Comparison]):
    """A comparison, ready to run; see `fitting.execute`."""

    files: tuple[str, ...] = (
        "results.csv",
        "scores.safetensors",
        "rows.safetensors",
        "log.csv",
        "models",
        "samples",
        "result.json",
    )

    def __init__(
        self,
        prepared: Prepared,
        execution: Execution | None = None,
        look: Look | None = None,
    ):
        """With somebody who looks at all models of a cell, before its scores are saved."""
        super().__init__(prepared, execution)
        self.look = look
        self.started = time.perf_counter(), time.process_time()

    def repeated(self, times: int) -> "ComparisonRun":
        """With so many repetitions."""
        plan = replace(self.prepared.plan, repetitions=times, _kept={})
        return ComparisonRun(replace(self.prepared, plan=plan), self.execution, self.look)

    def work(self, path: Path | None, progress: Progress | None) -> Outcome:
        """The search, all cells, and the models to keep."""
        return self.more(path, progress, None)

    def more(
        self, path: Path | None, progress: Progress | None, before: Outcome | None
    ) -> Outcome:
        """What `work` gives, going on from what fewer repetitions gave before."""
        if before is None:
            self.started = time.perf_counter(), time.process_time()
            outcome = self._searched(path, progress)
        else:
            plan = replace(before.plan, repetitions=self.prepared.plan.repetitions, _kept={})
            outcome = replace(before, plan=plan)
        _Work(outcome, path, self.execution, self.look).cells(progress)
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

    def write(self, folder: Path, outcome: Outcome) -> None:
        """All files of a finished run."""
        self.put(folder, outcome, self.found(outcome, str(folder)))

    def put(self, folder: Path, outcome: Outcome, found: ComparisonResult) -> None:
        """Samples, times, numbers, and `result.json`."""
        data, noise = outcome.plan.job.data, Noise(outcome.plan.seed).of("samples")
        save_samples(folder, outcome.models, data, noise, self.execution)
        wall, cpu = self.started
        spent = f"{time.perf_counter() - wall},{time.process_time() - cpu}"
        write_atomic(folder / "log.csv", f"wall_seconds,cpu_seconds\r\n{spent}\r\n")
        write_tables(folder, outcome.plan, outcome.results)
        write_json(folder / "result.json", to_json(found))

    def result(self, outcome: Outcome) -> Comparison:
        """In memory."""
        return Comparison(self.found(outcome, None), lambda: outcome.models)

    def finished(self, path: Path) -> Comparison:
        """From its folder."""
        return comparison_in(path)

    def tidy(self, path: Path) -> None:
        """Finished cells are in the tables now."""
        shutil.rmtree(path / "cells", ignore_errors=True)

    def found(self, outcome: Outcome, run: str | None) -> ComparisonResult:
        """The result of a comparison in a folder `run`, or in memory."""
        prepared = replace(self.prepared, plan=outcome.plan)
        summary = Summary(outcome.plan, outcome.results)
        compared = differences(summary, BASELINE)
        verdict = verdict_of(summary, BASELINE, prepared.too_few, compared)
        rival = against(outcome.plan, outcome.results, BASELINE)
        far = far_out(outcome.plan, BASELINE, verdict)
        finished = Finished(
            prepared,
            summary,
            BASELINE,
            compared,
            verdict,
            far.facts,
            warnings=[*warnings_of(prepared), *filter(None, [rival.note])],
            remarks=[far.note] if far.note else [],
            models=outcome.models,
            trials=outcome.trials,
            holds_under=[*filter(None, [rival.condition, far.condition])],
        )
        return comparison_result(finished, run)


@dataclass(frozen=True)
class _Work:
    """The cells of a comparison, from the folder where they are finished."""

    outcome: Outcome
    path: Path | None
    execution: Execution
    look: Look | None

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
        if str(cell) in self.outcome.results:
            return True
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
        plan, models, look = self.outcome.plan, self.outcome.models, self.look

        def seen(name: str, trained: TrainedStrategy) -> None:
            if keeps:
                models[name] = trained
            if look is not None:
                look(cell, name, trained)

        scores = evaluate_cell(
            plan,
            cell,
            shared,
            execution=self.execution,
            folder=self.path and self.path / TRAINING / str(cell),
            progress=progress,
            keep=seen if keeps or look is not None else None,
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
