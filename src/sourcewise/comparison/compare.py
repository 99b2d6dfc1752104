"""`compare`: one model for all sources, or one each?"""

import csv
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sourcewise.comparison import store
from sourcewise.comparison.document import Context, document
from sourcewise.comparison.duplicates import near_duplicates, repeats
from sourcewise.comparison.evaluation import Fitted, evaluate, fit_all, lifted
from sourcewise.comparison.preparation import BASELINE, CompareSettings, Prepared, prepare
from sourcewise.comparison.result import Comparison, load
from sourcewise.comparison.scopes import FOLDS, CellScores
from sourcewise.comparison.sensitivity import shrinkage_matters
from sourcewise.comparison.summary import Summary
from sourcewise.errors import InputError, listing
from sourcewise.files import RunFolder, write_atomic
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

__all__ = ["compare", "estimate_seconds", "execute"]

Progress = Callable[[int, int], None]
Results = dict[str, dict[str, CellScores]]


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
        progress: called with (cells done, cells in all).
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
        results = _run_cells(prepared, None, progress)
        fitted = _fit_all(prepared)
        return Comparison(_document(prepared, results, fitted, None), lambda: fitted)
    with RunFolder(Path(out), prepared.config, overwrite) as folder:
        if not store.finished(folder.path):
            try:
                _on_disk(prepared, folder, progress)
            except InputError:
                folder.discard()  # it can never be finished
                raise
    return load(folder.path)


def _settings(settings: CompareSettings | None, changes: Mapping[str, Any]) -> CompareSettings:
    changes = dict(changes)
    if isinstance(changes.get("strategies"), list | tuple):
        changes["strategies"] = ",".join(changes["strategies"])
    if isinstance(changes.get("log"), str):
        changes["log"] = (changes["log"],)
    return CompareSettings.parse({**(settings.model_dump() if settings else {}), **changes})


def _run_cells(prepared: Prepared, folder: RunFolder | None, progress: Progress | None) -> Results:
    """All cells, from the folder where they are finished."""
    plan = prepared.plan
    names = [strategy.name for strategy in plan.job.strategies]
    results, shared, cells = {}, None, plan.cells
    for done, cell in enumerate(cells):
        if progress:
            progress(done, len(cells))
        scores = store.load_cell(folder.path, cell, names) if folder else None
        if scores is None:
            if shared is None or shared[0] != cell.repetition:
                shared = cell.repetition, plan.shared(cell.repetition)
            scores = plan.run(cell, shared[1])
            if folder:
                store.save_cell(folder.path, cell, scores)
        results[str(cell)] = scores
    if progress:
        progress(len(cells), len(cells))
    return results


def _fit_all(prepared: Prepared) -> dict[str, Fitted]:
    plan = prepared.plan
    return fit_all(plan.job, lifted(plan.job, plan.noise(0)), plan.folds(0), plan.noise(0))


def _document(
    prepared: Prepared, results: Results, fitted: dict[str, Fitted], run: str | None
) -> dict[str, Any]:
    context = Context(
        prepared.screened,
        prepared.too_few,
        BASELINE,
        prepared.config,
        _warnings(prepared, results),
        {name: item.model.fitted for name, item in fitted.items()},
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
    results = _run_cells(prepared, folder, progress)
    fitted, job = _fit_all(prepared), prepared.plan.job
    store.save_models(folder.path, fitted, job.family.name, job.settings.model_dump(mode="json"))
    store.save_samples(folder.path, fitted, Noise(prepared.plan.seed).of("samples"))
    result = _document(prepared, results, fitted, str(folder.path))
    text = io.StringIO()
    spent = time.perf_counter() - start, time.process_time() - cpu
    csv.writer(text).writerows([("wall_seconds", "cpu_seconds"), spent])
    write_atomic(folder / "log.csv", text.getvalue())
    store.finish(folder.path, prepared.plan, results, result)


def estimate_seconds(prepared: Prepared) -> float:
    """Time that the comparison will take: one split is timed, and multiplied."""
    plan = prepared.plan
    shared = plan.shared(0)
    train, test = next(iter(plan.splits(plan.cells[0], shared[0])))
    start = time.perf_counter()
    evaluate(plan.job, shared[1], train, test, shared[2])
    per_cell = FOLDS if plan.scope == "procedure" else 1
    return (time.perf_counter() - start) * len(plan.cells) * per_cell
