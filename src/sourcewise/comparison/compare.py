"""`compare`: one model for all sources, or one each?"""

import csv
import io
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sourcewise.comparison import store
from sourcewise.comparison.document import Context, document
from sourcewise.comparison.duplicates import near_duplicates, repeats
from sourcewise.comparison.evaluation import Fitted, Progress, fit_all, lifted, part
from sourcewise.comparison.preparation import BASELINE, CompareSettings, Prepared, prepare
from sourcewise.comparison.rehearsal import estimate
from sourcewise.comparison.result import Comparison, load
from sourcewise.comparison.scopes import Cell, CellScores, Plan, Shared
from sourcewise.comparison.search import Trial, search
from sourcewise.comparison.sensitivity import shrinkage_matters
from sourcewise.comparison.summary import Summary
from sourcewise.errors import InputError, listing
from sourcewise.files import RunFolder, write_atomic
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.training.processes import Processes

__all__ = ["compare", "estimate_seconds", "execute"]

Results = dict[str, dict[str, CellScores]]
Finished = tuple[dict[str, CellScores], dict[str, Fitted]]
Tuned = tuple[Prepared, dict[str, list[Trial]]]


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
        **changes: fields of the settings.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    return execute(prepare(data, _settings(settings, changes)), out, overwrite, progress)


def execute(
    prepared: Prepared,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Run a prepared comparison; see `compare`."""
    if out is None:
        prepared, trials = _tuned(prepared, None, progress)
        results, fitted = _run_cells(prepared, None, progress)
        document = _document(prepared, results, fitted, trials, None)
        return Comparison(document, lambda: fitted)
    processes, path = Processes.found(), Path(out)
    if not processes.first:
        _follow(prepared, path, processes)
    else:
        with RunFolder(path, prepared.config, overwrite) as folder:
            if not processes.agreed(store.finished(path)):
                try:
                    _on_disk(prepared, folder, progress)
                except InputError:
                    folder.discard()  # it can never be finished
                    raise
    processes.meet()
    return load(path)


def _follow(prepared: Prepared, path: Path, processes: Processes) -> None:
    """The part of all processes but the first: the same trainings, of which nothing is kept."""
    if not processes.agreed(False):
        prepared, _ = _tuned(prepared, path, None)
        _run_cells(prepared, path, None)


def _settings(settings: CompareSettings | None, changes: Mapping[str, Any]) -> CompareSettings:
    changes = dict(changes)
    if isinstance(changes.get("strategies"), list | tuple):
        changes["strategies"] = ",".join(changes["strategies"])
    if isinstance(changes.get("log"), str):
        changes["log"] = (changes["log"],)
    return CompareSettings.parse({**(settings.model_dump() if settings else {}), **changes})


def _tuned(prepared: Prepared, path: Path | None, progress: Progress | None) -> Tuned:
    """The comparison with searched settings, and the trials; as it is without `trials`."""
    trials = prepared.config["settings"]["trials"]
    if not trials:
        return prepared, {}
    folder = path and path / store.TRAINING / "search"
    plan, found = search(prepared.plan, trials, folder, progress)
    return replace(prepared, plan=plan), found


def _run_cells(
    prepared: Prepared, path: Path | None, progress: Progress | None
) -> tuple[Results, dict[str, Fitted]]:
    """All cells, from the folder where they are finished, and the models to keep."""
    plan, processes = prepared.plan, Processes.found()
    results: Results = {}
    fitted: dict[str, Fitted] = {}
    shared, cells = None, plan.cells
    for done, cell in enumerate(cells):
        if progress:
            progress(done, len(cells))
        keeps = plan.keeps_models and cell == cells[0]
        found = _finished_cell(plan, cell, keeps, path) if processes.first else None
        if not processes.agreed(found is not None):
            if shared is None or shared[0] != cell.repetition:
                shared = cell.repetition, plan.shared(cell.repetition)
            found = _run_cell(plan, cell, shared[1], keeps, path, part(progress, done, len(cells)))
        if found is not None:
            results[str(cell)] = found[0]
            fitted |= found[1]
        _clear(path, str(cell), processes)
    if not plan.keeps_models:
        fitted = _fit_all(plan, path)
    if progress:
        progress(len(cells), len(cells))
    return results, fitted


def _clear(path: Path | None, cell: str, processes: Processes) -> None:
    """Drop the checkpoints of a finished cell, once no process needs them."""
    if path is not None:
        processes.meet()
        if processes.first:
            store.clear_training(path, cell)


def _finished_cell(plan: Plan, cell: Cell, keeps: bool, path: Path | None) -> Finished | None:
    """A cell finished earlier, with its models if they are to be kept."""
    names = [strategy.name for strategy in plan.job.strategies]
    scores = store.load_cell(path, cell, names) if path else None
    if path is None or scores is None or not keeps:
        return None if scores is None else (scores, {})
    try:
        fitted = store.load_models(path)
    except (InputError, KeyError):
        return None
    return (scores, fitted) if set(fitted) == set(names) else None


def _run_cell(
    plan: Plan, cell: Cell, shared: Shared, keeps: bool, path: Path | None, progress: Any
) -> Finished:
    """Run a cell; in a folder, its models are saved before its scores."""
    fitted: dict[str, Fitted] = {}
    scores = plan.run(
        cell,
        shared,
        folder=path and path / store.TRAINING / str(cell),
        progress=progress,
        keep=fitted.__setitem__ if keeps else None,
    )
    if path is not None and Processes.found().first:
        if keeps:
            store.save_models(path, fitted, plan.job)
        store.save_cell(path, cell, scores)
    return scores, fitted


def _fit_all(plan: Plan, path: Path | None) -> dict[str, Fitted]:
    folder = path and path / store.TRAINING / "kept"
    rows, noise = lifted(plan.job, plan.noise(0)), plan.noise(0)
    fitted = fit_all(plan.job, rows, plan.folds(0), noise, folder)
    processes = Processes.found()
    if path is not None and processes.first:
        store.save_models(path, fitted, plan.job)
    _clear(path, "kept", processes)
    return fitted


def _document(
    prepared: Prepared,
    results: Results,
    fitted: dict[str, Fitted],
    trials: dict[str, list[Trial]],
    run: str | None,
) -> dict[str, Any]:
    context = Context(
        prepared.screened,
        prepared.too_few,
        BASELINE,
        prepared.config,
        _warnings(prepared, results),
        fitted,
        trials,
    )
    return document(Summary(prepared.plan, results), context, run)


def _warnings(prepared: Prepared, results: Results) -> list[str]:
    plan = prepared.plan
    warnings = [*prepared.screened.warnings, *_left_out(prepared)]
    if prepared.too_few:
        told = listing(prepared.too_few, 5)
        warnings.append(
            f"{_count(len(prepared.too_few), 'source')} with too few rows to be tested ({told}); "
            "their rows still train the shared models"
        )
    found = (
        repeats(plan.job.data),
        near_duplicates(plan.job.data),
        shrinkage_matters(plan, results, BASELINE),
    )
    return [*warnings, *(text for text in found if text)]


def _left_out(prepared: Prepared) -> list[str]:
    """One line per reason; with many reasons, one per kind of reason, without the sources."""
    items = [(item.column, item.reason) for item in prepared.screened.left_out]
    if len({reason for _, reason in items}) > 3:
        items = [
            (column, f"{reason.split(' within ')[0]} within a source") for column, reason in items
        ]
    by_reason: dict[str, list[str]] = {}
    for column, reason in items:
        by_reason.setdefault(reason, []).append(column)
    return [
        f"{_count(len(names), 'column')} left out ({listing(names, 6)}): {reason}"
        for reason, names in by_reason.items()
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _on_disk(prepared: Prepared, folder: RunFolder, progress: Progress | None) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    prepared, trials = _tuned(prepared, folder.path, progress)
    results, fitted = _run_cells(prepared, folder.path, progress)
    store.save_samples(folder.path, fitted, Noise(prepared.plan.seed).of("samples"))
    result = _document(prepared, results, fitted, trials, str(folder.path))
    text = io.StringIO()
    spent = time.perf_counter() - start, time.process_time() - cpu
    csv.writer(text).writerows([("wall_seconds", "cpu_seconds"), spent])
    write_atomic(folder / "log.csv", text.getvalue())
    store.finish(folder.path, prepared.plan, results, result)


def estimate_seconds(prepared: Prepared) -> float:
    """Time that the comparison will take, its search included; see `rehearsal`."""
    trials = prepared.config["settings"]["trials"]
    return estimate(prepared.plan) * (1 + trials / len(prepared.plan.cells))
