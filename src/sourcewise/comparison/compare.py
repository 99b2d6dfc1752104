"""`compare`: one model for all sources, or one each?"""

from pathlib import Path
from typing import Any

from sourcewise.comparison.beside.prepare import named_families, prepare_families
from sourcewise.comparison.beside.run import FamiliesRun
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.run import ComparisonRun
from sourcewise.errors import InputError
from sourcewise.execution import Execution
from sourcewise.fitting.execute import execute
from sourcewise.fitting.job import Progress
from sourcewise.fitting.prepare import refuse_other_data
from sourcewise.fitting.run import Comparison
from sourcewise.sources import Sources

__all__ = ["CompareSettings", "compare", "ready"]


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
    >>> result = sw.compare(sw.read("wine"), model="gaussian", seeds=1)
    >>> result.verdict["overall"]
    'separate'

    Args:
        data: the sample, from `sourcewise.read`.
        settings: a `CompareSettings`; or give its fields by name: `model`, `strategies` (text, or
            lists), `set`, `seeds`, `scope`, `seed`, `min_rows`, `missing`, `log`, `budget`.
        out: the run folder; None keeps everything in memory. A folder that holds the same run,
            finished or not, is resumed.
        overwrite: replace another run in `out`.
        progress: called with (done, in all).
        **changes: fields of the settings, or of `Execution`.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    execution, changes = Execution.taken_from(changes)
    for name in ("strategies", "model"):
        if isinstance(changes.get(name), list | tuple):
            changes[name] = ",".join(changes[name])
    run = ready(data, CompareSettings.changed(settings, changes), execution)
    return execute(run, out, overwrite, progress)


def ready(
    data: Sources, settings: CompareSettings, execution: Execution | None = None
) -> ComparisonRun | FamiliesRun:
    """A comparison of one family, or of several beside each other, ready to run.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    refuse_other_data("compare", data)
    if settings.budget is not None and settings.model != "auto":
        raise InputError(
            f"--budget {settings.budget:g}: it is of --model auto; families that are named take "
            "what they take"
        )
    chosen = named_families(data, settings)
    if len(chosen) == 1:
        if settings.model != "auto":
            settings = settings.model_copy(update={"model": chosen[0].name})
        return ComparisonRun(prepare(data, settings), execution)
    prepared = prepare_families(data, settings, chosen)
    if len(prepared.members) == 1:
        return ComparisonRun(prepared.alone, execution)
    runs = {name: ComparisonRun(own, execution) for name, own in prepared.by_name.items()}
    return FamiliesRun(prepared, runs, execution)
