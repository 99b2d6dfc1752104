"""`train`: one strategy on all rows, its models in a run folder."""

import csv
import io
import shutil
import time
from pathlib import Path
from typing import Any, ClassVar

from sourcewise.execution import Execution
from sourcewise.files import RunFolder, write_atomic, write_json, write_tensors
from sourcewise.fitting.execute import Runnable, execute
from sourcewise.fitting.job import Progress, Work
from sourcewise.fitting.run import Trained, load, save_models
from sourcewise.fitting.strategy import TrainedStrategy, fit_all, prepared_rows
from sourcewise.lifecycle.document import training_result
from sourcewise.lifecycle.prepare import PreparedTraining, TrainSettings, prepare
from sourcewise.results.contract import to_json
from sourcewise.sources import Sources
from sourcewise.training.log import FIELDS

__all__ = ["TrainSettings", "TrainingRun", "train"]

TRAINING = "training"
Outcome = tuple[dict[str, TrainedStrategy], float]


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
        **changes: fields of the settings, or of `Execution`.

    Raises:
        InputError: whatever is wrong with the data or settings.
        TrainingFailed: the loss is not finite.
    """
    if isinstance(changes.get("log"), str):
        changes["log"] = (changes["log"],)
    given = settings.model_dump() if settings else {}
    execution, changes = Execution.taken_from(changes)
    run = TrainingRun(prepare(data, TrainSettings.parse({**given, **changes})), execution)
    return execute(run, out, overwrite, progress)


class TrainingRun(Runnable[Outcome, Trained]):
    """A training, ready to run; see `fitting.execute`."""

    FILES: ClassVar = ("models", "rows.safetensors", "log.csv", "result.json")

    def __init__(self, prepared: PreparedTraining, execution: Execution | None = None):
        self.prepared, self.config = prepared, prepared.config
        self.execution = execution or Execution()

    @property
    def data_name(self) -> str:
        """Of the data."""
        return self.prepared.job.data.name

    def work(self, path: Path | None, progress: Progress | None) -> Outcome:
        """The models and the seconds that it took; the models that `compare` keeps of all rows."""
        start, job, noise = time.perf_counter(), self.prepared.job, self.prepared.noise
        rows, fold = prepared_rows(job, noise), job.data.y * 0
        work = Work(noise, self.execution, path and path / TRAINING, progress)
        models = fit_all(job, rows, fold, work)
        return models, time.perf_counter() - start

    def write(self, folder: RunFolder, outcome: Outcome) -> None:
        """Models, marks of the rows, the log, and `result.json`."""
        (models, seconds), job = outcome, self.prepared.job
        save_models(folder.path, models, job)
        write_tensors(folder / "rows.safetensors", {"mark": job.data.marks})
        partition = models[self.prepared.strategy.name].model.partition
        blocks = ["+".join(job.names[k] for k in block) for block in partition]
        lines = _log_lines(folder / TRAINING, blocks)
        write_atomic(folder / "log.csv", _csv([FIELDS, *lines]))
        spent = {block: _seconds(lines, block) for block in blocks} if lines else seconds
        found = training_result(self.prepared, models, spent, str(folder.path))
        write_json(folder / "result.json", to_json(found))

    def result(self, outcome: Outcome) -> Trained:
        """In memory, the models ready to score and draw."""
        models, seconds = outcome
        for item in models.values():
            item.model.eval()
        return Trained(training_result(self.prepared, models, seconds, None), lambda: models)

    def load(self, path: Path) -> Trained:
        """From a folder."""
        trained = load(path)
        assert isinstance(trained, Trained)
        return trained

    def tidy(self, path: Path) -> None:
        """Checkpoints and the logs that `log.csv` is made of."""
        shutil.rmtree(path / TRAINING, ignore_errors=True)

    def seconds(self) -> float:
        """That the training will take; an exact fit is tried, others see a few updates."""
        if self.prepared.job.family.trained:
            return self.prepared.rehearsal().seconds()
        return self.work(None, None)[1]


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
