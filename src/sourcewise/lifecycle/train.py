"""`train`: one strategy on all rows, its models in a run folder."""

import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sourcewise.cells import csv_text
from sourcewise.errors import listing
from sourcewise.execution import Execution
from sourcewise.families.base import Occasion
from sourcewise.families.settings import TrainedSettings
from sourcewise.files import write_atomic, write_json, write_tensors
from sourcewise.fitting.execute import Runnable, execute
from sourcewise.fitting.facts import (
    data_facts,
    diagnostics_of,
    fitted_of,
    longer,
    source_facts,
    validated_by,
)
from sourcewise.fitting.job import Job, Progress, Split, Work, prepared_rows
from sourcewise.fitting.run import Trained, load
from sourcewise.fitting.saved import save_models
from sourcewise.fitting.strategy import TrainedStrategy, fit_all
from sourcewise.lifecycle.prepare import PreparedTraining, TrainSettings, prepare
from sourcewise.partition import Partition
from sourcewise.results.contract import known, to_json
from sourcewise.results.data import DataFacts, TrainedSource
from sourcewise.results.training import Blocks, TrainedModel, TrainingResult
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy
from sourcewise.training.log import FIELDS, whole_lines

__all__ = ["TrainSettings", "TrainingRun", "train"]

TRAINING = "training"
Outcome = tuple[dict[str, TrainedStrategy], float]
Seconds = Mapping[str, float] | float


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
    execution, changes = Execution.taken_from(changes)
    run = TrainingRun(prepare(data, TrainSettings.changed(settings, changes)), execution)
    return execute(run, out, overwrite, progress)


class TrainingRun(Runnable[PreparedTraining, Outcome, Trained]):
    """A training, ready to run; see `fitting.execute`."""

    files: tuple[str, ...] = ("models", "rows.safetensors", "log.csv", "result.json")

    def work(self, path: Path | None, progress: Progress | None) -> Outcome:
        """The models and the seconds that it took; the models that `compare` keeps of all rows."""
        start, job, noise = time.perf_counter(), self.prepared.job, self.prepared.noise
        rows, fold = prepared_rows(job, noise), job.data.y * 0
        work = Work(noise, self.execution, path and path / TRAINING, progress)
        models = fit_all(job, rows, fold, work)
        return models, time.perf_counter() - start

    def write(self, folder: Path, outcome: Outcome) -> None:
        """Models, marks of the rows, the log, and `result.json`."""
        (models, seconds), job = outcome, self.prepared.job
        save_models(folder, models, job)
        write_tensors(folder / "rows.safetensors", {"mark": job.data.marks})
        strategy = self.prepared.strategy
        partition, parent = models[strategy.name].model.partition, strategy.parent
        blocks = _named(job, partition)
        before = _named(job, parent.partition.keep(partition.sources)) if parent else []
        lines = _log_lines(folder / TRAINING, [*before, *blocks])
        write_atomic(folder / "log.csv", csv_text([FIELDS, *lines]))
        first = sum(_seconds(lines, block) for block in before)
        spent = {block: first + _seconds(lines, block) for block in blocks} if lines else seconds
        found = _training_result(self.prepared, models, spent, str(folder))
        write_json(folder / "result.json", to_json(found))

    def result(self, outcome: Outcome) -> Trained:
        """In memory, the models ready to score and draw."""
        models, seconds = outcome
        for item in models.values():
            item.model.eval()
        return Trained(_training_result(self.prepared, models, seconds, None), lambda: models)

    def finished(self, path: Path) -> Trained:
        """From its folder."""
        found = load(path)
        assert isinstance(found, Trained)
        return found

    def tidy(self, path: Path) -> None:
        """Checkpoints and the logs that `log.csv` is made of."""
        shutil.rmtree(path / TRAINING, ignore_errors=True)

    def seconds(self) -> float:
        """That the training will take; an exact fit is tried, others see a few updates."""
        if self.prepared.job.family.trained:
            return self.prepared.rehearsal().seconds()
        return self.work(None, None)[1]


def _named(job: Job, partition: Partition) -> list[str]:
    """What logs call the blocks."""
    return ["+".join(job.names[k] for k in block) for block in partition]


def _log_lines(training: Path, blocks: list[str]) -> list[list[str]]:
    """The lines of all logs of the training, block by block."""
    rows = [row for path in sorted(training.rglob("log.csv")) for row in whole_lines(path)]
    number = {block: i for i, block in enumerate(blocks)}
    rows = [row for row in rows if row[0] in number]
    return sorted(rows, key=lambda row: (number[row[0]], int(row[1])))


def _seconds(lines: list[list[str]], block: str) -> float:
    """Time a block trained for, over all restarts: the clock begins anew with each of them."""
    total = last = 0.0
    for seconds in (float(row[-1]) for row in lines if row[0] == block):
        total, last = total + (last if seconds < last else 0.0), seconds
    return total + last


def _training_result(
    prepared: PreparedTraining,
    trained: Mapping[str, TrainedStrategy],
    seconds: Seconds,
    run: str | None,
) -> TrainingResult:
    """Put the result together; see docs for its keys.

    Blocks that train at the same time share their seconds, and those of what they begin from; one
    number is that of all.
    """
    job, split, config = prepared.job, prepared.split, prepared.config
    name = prepared.strategy.name
    item = trained[name]
    models = tuple(_model(job, split, item, j, seconds) for j in range(len(item.efforts)))
    return TrainingResult(
        schema_version=1,
        kind="train",
        data=_data(prepared, split, item),
        strategy=Blocks(name, tuple(model.sources for model in models)),
        unit=job.unit,
        models=models,
        fitted=fitted_of(item.diagnosed),
        resolved=item.diagnosed.resolved,
        diagnostics=diagnostics_of(item.diagnosed),
        validated_by=validated_by(item.model, job.unit) if job.family.trained else None,
        warnings=tuple(_warnings(prepared, item, models)),
        run=run,
        settings=config["settings"],
        versions=config["versions"],
    )


def _data(
    prepared: PreparedTraining, split: Split, item: TrainedStrategy
) -> DataFacts[TrainedSource]:
    job, config = prepared.job, prepared.config
    train, valid = (
        torch.bincount(job.data.y[rows], minlength=job.data.K)
        for rows in (split.train, split.valid)
    )
    sources = [
        TrainedSource(**vars(source_facts(job, k)), n_train=int(train[k]), n_valid=int(valid[k]))
        for k in range(job.data.K)
    ]
    missing = config["settings"]["missing"]
    return data_facts(job, item, prepared.screened, config["fingerprint"], missing, sources)


def _model(
    job: Job, split: Split, item: TrainedStrategy, j: int, seconds: Seconds
) -> TrainedModel:
    """What training one block took."""
    block, effort = torch.tensor(item.model.partition.blocks[j]), item.efforts[j]
    names = tuple(job.names[k] for k in block.tolist())
    spent = seconds["+".join(names)] if isinstance(seconds, Mapping) else seconds
    loss = None if effort.validation is None else known(effort.validation)
    return TrainedModel(
        sources=names,
        parameters=item.model.block(j).free_parameters,
        n_train=int(torch.isin(job.data.y[split.train], block).sum()),
        n_valid=int(torch.isin(job.data.y[split.valid], block).sum()),
        examples_seen=effort.examples_seen,
        updates=effort.updates,
        best=effort.best,
        validation=loss,
        how=effort.how,
        refused=effort.refused,
        seconds=round(spent, 4),
        best_reason="the last weights were kept" if effort.best is None else None,
        validation_reason="there are no validation rows" if loss is None else None,
    )


def _warnings(
    prepared: PreparedTraining, item: TrainedStrategy, models: Sequence[TrainedModel]
) -> Iterator[str]:
    """What to know before the models are used, one line each."""
    job, name = prepared.job, prepared.strategy.name
    region = job.metric.region(job.coding, math.nan)
    occasion = Occasion("train", region, job.coding.coordinates)
    yield from prepared.screened.notes
    yield from _unfinished(job, prepared.strategy, models)
    said = job.family.model_class.cautions({name: item.diagnosed}, occasion)
    yield from (caution.text for caution in said if caution.text)


def _unfinished(job: Job, strategy: Strategy, models: Sequence[TrainedModel]) -> Iterator[str]:
    """Models whose validation loss was lowest when their updates were over."""
    settings, begun = job.settings_of(strategy), strategy.parent is not None
    late = [model for model in models if model.best == model.updates > 0]
    if late and isinstance(settings, TrainedSettings):
        made = [settings.planned(m.n_train) if begun else m.updates for m in late]
        options = sorted(longer(settings, made))
        names = listing([repr("+".join(model.sources)) for model in late], 3)
        which = "" if len(late) == len(models) else f"of {names} "
        yield (
            f"training {which}was still improving when its updates were over (the last weights "
            f"were the best): train longer with {' '.join(options)}"
        )
