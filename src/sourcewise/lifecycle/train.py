"""`train`: one strategy on all rows, its models in a run folder."""

import csv
import io
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sourcewise.comparison import store
from sourcewise.comparison.evaluation import Fitted, Progress, fit_all, lifted
from sourcewise.comparison.rehearsal import estimate
from sourcewise.errors import InputError
from sourcewise.files import RunFolder, write_atomic, write_json, write_tensors
from sourcewise.lifecycle.document import document
from sourcewise.lifecycle.plan import PreparedTraining, TrainSettings, prepare
from sourcewise.lifecycle.run import load
from sourcewise.lifecycle.trained import Trained
from sourcewise.sources import Sources
from sourcewise.training.log import FIELDS
from sourcewise.training.processes import Processes

__all__ = ["TrainSettings", "estimate_seconds", "execute", "train"]

FILES = ("models", "rows.safetensors", "log.csv", "result.json")


def train(
    data: Sources,
    settings: TrainSettings | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> Trained:
    """Train one strategy on all rows; validation rows are set apart where training can stop early.

    >>> import sourcewise as sw
    >>> trained = sw.train(sw.read("wine"), strategy="separate")
    >>> [model["sources"] for model in trained.document["models"]]
    [['class_0'], ['class_1'], ['class_2']]

    Args:
        data: the sample, from `sourcewise.read`.
        settings: a `TrainSettings`; or give its fields by name: `model`, `set`, `strategy`,
            `seed`, `missing`, `log`.
        out: the run folder; None keeps everything in memory. A folder that holds the same run,
            finished or not, is resumed.
        overwrite: replace another run in `out`.
        progress: called with (done, in all).
        **changes: fields of the settings.

    Raises:
        InputError: whatever is wrong with the data or settings.
        TrainingFailed: the loss is not finite.
    """
    if isinstance(changes.get("log"), str):
        changes["log"] = (changes["log"],)
    given = settings.model_dump() if settings else {}
    return execute(
        prepare(data, TrainSettings.parse({**given, **changes})), out, overwrite, progress
    )


def execute(
    prepared: PreparedTraining,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Run a prepared training; see `train`. Under `torchrun` every process calls it."""
    if out is None:
        fitted, seconds = _fit(prepared, None, progress)
        return Trained(document(prepared, fitted, seconds, None), lambda: fitted_by_name(fitted))
    path, processes = Path(out), Processes.found()
    if not processes.first:
        if not processes.agreed(False):  # the first one looks whether the run is finished
            _fit(prepared, path / store.TRAINING, None)
        processes.meet()  # the first one has saved all
    else:
        with RunFolder(path, prepared.config, overwrite) as folder:
            if not processes.agreed(_finished(path)):
                try:
                    _on_disk(prepared, folder, progress)
                except InputError:
                    folder.discard()  # it can never be finished
                    raise
            processes.meet()
            shutil.rmtree(path / store.TRAINING, ignore_errors=True)
    trained = load(path)
    assert isinstance(trained, Trained)
    return trained


def fitted_by_name(fitted: Mapping[str, Fitted]) -> dict[str, Fitted]:
    """The models, ready to score and draw."""
    for item in fitted.values():
        item.model.eval()
    return dict(fitted)


def estimate_seconds(prepared: PreparedTraining) -> float:
    """Time that the training will take; an exact fit is tried, others see a few updates."""
    if prepared.plan.job.family.trained:
        return estimate(prepared.plan)
    start = time.perf_counter()
    _fit(prepared, None, None)
    return time.perf_counter() - start


def _finished(folder: Path) -> bool:
    return all((folder / name).exists() for name in FILES)


def _fit(
    prepared: PreparedTraining, folder: Path | None, progress: Progress | None
) -> tuple[dict[str, Fitted], float]:
    """The models and the seconds that it took; the same models as `compare` keeps of all rows."""
    start, plan = time.perf_counter(), prepared.plan
    noise = plan.noise(0)
    rows, fold = lifted(plan.job, noise), plan.job.data.y * 0
    fitted = fit_all(plan.job, rows, fold, noise, folder, progress)
    return fitted, time.perf_counter() - start


def _on_disk(prepared: PreparedTraining, folder: RunFolder, progress: Progress | None) -> None:
    fitted, seconds = _fit(prepared, folder / store.TRAINING, progress)
    job = prepared.plan.job
    store.save_models(folder.path, fitted, job)
    write_tensors(folder / "rows.safetensors", {"mark": job.data.marks})
    blocks = [
        "+".join(job.names[k] for k in b) for b in fitted[prepared.strategy.name].model.partition
    ]
    lines = _log_lines(folder / store.TRAINING, blocks)
    write_atomic(folder / "log.csv", _csv([FIELDS, *lines]))
    spent = {block: _seconds(lines, block) for block in blocks} if lines else seconds
    write_json(folder / "result.json", document(prepared, fitted, spent, str(folder.path)))


def _log_lines(training: Path, blocks: list[str]) -> list[list[str]]:
    """The lines of all logs of the training, block by block."""
    rows = []
    for path in sorted(training.rglob("log.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows += [row for row in list(csv.reader(file))[1:] if len(row) == len(FIELDS)]
    number = {block: i for i, block in enumerate(blocks)}
    rows = [row for row in rows if row[0] in number]
    return sorted(rows, key=lambda row: (number[row[0]], int(row[1])))


def _seconds(lines: list[list[str]], block: str) -> float:
    """Time a block trained for, over all restarts: the clock begins anew with each of them."""
    total = last = 0.0
    for seconds in (float(row[-1]) for row in lines if row[0] == block):
        total, last = total + (last if seconds < last else 0.0), seconds
    return total + last


def _csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
