"""`compare`: one model for all sources, or one each?"""

import csv
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sourcewise.comparison import store
from sourcewise.comparison.document import Context, document
from sourcewise.comparison.duplicates import near_duplicates
from sourcewise.comparison.evaluation import Fitted, Job, evaluate, fit_all, lifted
from sourcewise.comparison.result import Comparison, load
from sourcewise.comparison.scopes import FOLDS, CellScores, Plan, Scope
from sourcewise.comparison.summary import Summary
from sourcewise.encoders.numeric import plan as plan_columns
from sourcewise.encoders.screening import Missing, Screened, screen
from sourcewise.errors import InputError, listing
from sourcewise.files import RunFolder, default_folder, plain, versions, write_atomic
from sourcewise.models.families import family
from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.sources import Sources
from sourcewise.strategies import parse_strategies

__all__ = ["CompareSettings", "Prepared", "compare", "estimate_seconds", "execute", "prepare"]

Progress = Callable[[int, int], None]
BASELINE = "separate"


class CompareSettings(Settings):
    """All that determines a comparison, beside the data."""

    model: str = Field(default="auto", description="auto or a family's name")
    set: dict[str, Any] = Field(default_factory=dict, description="the family's settings")
    strategies: str = Field(
        default="pooled,separate",
        description="comma-separated: pooled, separate, shuffled, groups:a+b|c, groups:FILE.csv",
    )
    seeds: int = Field(default=3, ge=1, le=1000, description="repetitions, 1 to 1000")
    scope: Literal["auto", "procedure", "these models"] = Field(
        default="auto", description="auto, procedure, these models"
    )
    seed: int = Field(default=0, description="any integer")
    min_rows: int = Field(default=10, ge=FOLDS, description=f"{FOLDS} or more")
    missing: Missing = Field(default="refuse", description="refuse, drop, impute")
    log: tuple[str, ...] = Field(default=(), description="column names, or all")


@dataclass(frozen=True)
class Prepared:
    """A comparison that is checked and ready to run."""

    plan: Plan
    screened: Screened
    too_few: dict[str, str]
    config: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The default run folder."""
        return default_folder(self.plan.job.data.name, self.config)


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
        InputError: whatever is wrong with the data or settings, before anything is written.
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
        return _in_memory(prepared, progress)
    with RunFolder(Path(out), prepared.config, overwrite) as folder:
        if not (folder / "result.json").exists():
            _on_disk(prepared, folder, progress)
    return load(folder.path)


def _settings(settings: CompareSettings | None, changes: Mapping[str, Any]) -> CompareSettings:
    changes = dict(changes)
    if isinstance(changes.get("strategies"), list | tuple):
        changes["strategies"] = ",".join(changes["strategies"])
    if isinstance(changes.get("log"), str):
        changes["log"] = (changes["log"],)
    return CompareSettings.parse({**(settings.model_dump() if settings else {}), **changes})


def prepare(data: Sources, settings: CompareSettings) -> Prepared:
    """Check everything, choose columns and sources, and plan the splits."""
    chosen = family("gaussian" if settings.model == "auto" else settings.model)
    model_settings = chosen.parse(settings.set)
    if data.K < 2:
        raise InputError(
            f"{data.name} has one source only ({data.names[0]!r}): a comparison needs two"
        )
    if "macro" in data.names:
        raise InputError("a source is called 'macro', the name of the average: rename it")
    screened = screen(data, min_rows=settings.min_rows, missing=settings.missing, log=settings.log)
    strategies = parse_strategies(settings.strategies, tuple(data.names))
    names = [strategy.name for strategy in strategies]
    if BASELINE not in names or all(s.shuffled or s.name == BASELINE for s in strategies):
        raise InputError(
            f"strategies {listing(names)}: need {BASELINE}, the baseline, and one to compare it "
            "with (pooled, groups:a+b|c)"
        )
    too_few = _too_few(screened.data, settings.min_rows)
    tested = tuple(k for k, name in enumerate(data.names) if name not in too_few)
    if len(tested) < 2:
        raise InputError(_no_testable(screened.data, too_few, settings.min_rows))
    scope: Scope = "procedure" if settings.scope == "auto" else settings.scope
    columns = plan_columns(screened.table, screened.log)
    job = Job(screened.data, columns, chosen, model_settings, strategies, tested)
    # An exact fit leaves nothing to a training seed.
    repetitions = settings.seeds if scope == "procedure" else 1
    resolved = settings.model_dump(mode="json") | {
        "model": chosen.name,
        "set": model_settings.model_dump(mode="json"),
        "scope": scope,
        "group": list(data.group_by),
    }
    config = {
        "settings": resolved,
        "fingerprint": data.fingerprint(),
        "versions": versions(),
    }
    plan = Plan(job, scope, repetitions, settings.seed)
    return Prepared(plan, screened, too_few, plain(config))


def _too_few(data: Sources, min_rows: int) -> dict[str, str]:
    """Sources that are not tested, and why: too few rows, or too few units to split."""
    out = {}
    for k, name in enumerate(data.names):
        rows = (data.y == k).nonzero().squeeze(1)
        units = len(data.units[rows].unique())
        if len(rows) < min_rows:
            out[name] = f"too few rows ({len(rows)}, fewer than {min_rows})"
        elif units < FOLDS:
            out[name] = f"too few rows ({len(rows)}, but only {units} different units to split)"
    return out


def _no_testable(data: Sources, too_few: Mapping[str, str], min_rows: int) -> str:
    told = listing((f"{name}: {reason}" for name, reason in too_few.items()), 3)
    return (
        f"{data.name}: fewer than two sources can be tested ({told}); --min-rows {min_rows} asks "
        f"for that many rows of each, and {FOLDS} units to split"
    )


def _warnings(prepared: Prepared) -> list[str]:
    plan, warnings = prepared.plan, list(prepared.screened.warnings)
    for item in prepared.screened.left_out:
        warnings.append(f"column {item.column!r} left out: {item.reason}")
    if prepared.too_few:
        told = listing(prepared.too_few, 5)
        warnings.append(
            f"{len(prepared.too_few)} sources have too few rows to be tested ({told}); their rows "
            "still train the shared models"
        )
    near = near_duplicates(plan.job.data)
    if near:
        warnings.append(near)
    return warnings


def _run_cells(
    prepared: Prepared, folder: RunFolder | None, progress: Progress | None
) -> dict[str, dict[str, CellScores]]:
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
                shared = cell.repetition, plan.prepare(cell.repetition)
            scores = plan.run(cell, shared[1])
            if folder:
                store.save_cell(folder.path, cell, scores)
        results[str(cell)] = scores
    if progress:
        progress(len(cells), len(cells))
    return results


def _document(prepared: Prepared, results: dict[str, dict[str, CellScores]], run: str | None):
    context = Context(
        prepared.screened, prepared.too_few, BASELINE, prepared.config, _warnings(prepared)
    )
    return document(Summary(prepared.plan, results), context, run)


def _fit_all(prepared: Prepared) -> dict[str, Fitted]:
    plan = prepared.plan
    return fit_all(plan.job, lifted(plan.job, plan.noise(0)), plan.folds(0), plan.noise(0))


def _in_memory(prepared: Prepared, progress: Progress | None) -> Comparison:
    results = _run_cells(prepared, None, progress)
    return Comparison(_document(prepared, results, None), lambda: _fit_all(prepared))


def _on_disk(prepared: Prepared, folder: RunFolder, progress: Progress | None) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    results = _run_cells(prepared, folder, progress)
    job = prepared.plan.job
    settings = job.settings.model_dump(mode="json")
    fitted, noise = _fit_all(prepared), Noise(prepared.plan.seed).of("samples")
    store.save_models(folder.path, fitted, job.family.name, settings)
    store.save_samples(folder.path, fitted, noise)
    result = _document(prepared, results, str(folder.path))
    text = io.StringIO()
    spent = time.perf_counter() - start, time.process_time() - cpu
    csv.writer(text).writerows([("wall_seconds", "cpu_seconds"), spent])
    write_atomic(folder / "log.csv", text.getvalue())
    store.finish(folder.path, prepared.plan, results, result)


def estimate_seconds(prepared: Prepared) -> float:
    """Time that the comparison will take: one split is timed, and multiplied."""
    plan = prepared.plan
    shared = plan.prepare(0)
    train, test = next(iter(plan.splits(plan.cells[0], shared[0])))
    start = time.perf_counter()
    evaluate(plan.job, shared[1], train, test, shared[2])
    per_cell = FOLDS if plan.scope == "procedure" else 1
    return (time.perf_counter() - start) * len(plan.cells) * per_cell
