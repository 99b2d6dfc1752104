"""From a training to its result: the contract of `train --json`."""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch

from sourcewise.errors import listing
from sourcewise.families.base import Occasion
from sourcewise.families.settings import TrainedSettings
from sourcewise.fitting.facts import (
    data_facts,
    diagnostics_of,
    fitted_of,
    longer,
    source_facts,
    validated_by,
)
from sourcewise.fitting.job import Job, Split
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.lifecycle.prepare import PreparedTraining
from sourcewise.results.contract import known
from sourcewise.results.data import DataFacts, TrainedSource
from sourcewise.results.training import Blocks, TrainedModel, TrainingResult

__all__ = ["training_result"]

Seconds = Mapping[str, float] | float


def training_result(
    prepared: PreparedTraining,
    trained: Mapping[str, TrainedStrategy],
    seconds: Seconds,
    run: str | None,
) -> TrainingResult:
    """Put the result together; see docs for its keys.

    Args:
        prepared: what was trained.
        trained: its models.
        seconds: that each block, by its name, was in training (blocks that train at the same time
            share them); or all of them.
        run: the folder.
    """
    job, split, config = prepared.job, prepared.split, prepared.config
    name = prepared.strategy.name
    item = trained[name]
    models = tuple(_model(job, split, item, j, seconds) for j in range(len(item.efforts)))
    return TrainingResult(
        schema_version=1,
        kind="train",
        data=_data(prepared, split),
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


def _data(prepared: PreparedTraining, split: Split) -> DataFacts[TrainedSource]:
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
    return data_facts(job, prepared.screened, config["fingerprint"], missing, sources)


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
    occasion = Occasion("train", region, job.coding.variables)
    yield from prepared.screened.warnings
    yield from _left_out(prepared)
    yield from _unfinished(job.settings_of(prepared.strategy), models)
    said = job.family.model_class.cautions({name: item.diagnosed}, occasion)
    yield from (caution.text for caution in said if caution.text)


def _left_out(prepared: PreparedTraining) -> list[str]:
    """One line per reason."""
    by_reason: dict[str, list[str]] = {}
    for item in prepared.screened.left_out:
        by_reason.setdefault(item.reason, []).append(item.column)
    return [f"left out {listing(names, 6)}: {why}" for why, names in by_reason.items()]


def _unfinished(settings: object, models: Sequence[TrainedModel]) -> Iterator[str]:
    """Models whose validation loss was lowest when their updates were over."""
    late = [model for model in models if model.best == model.updates > 0]
    if late and isinstance(settings, TrainedSettings):
        options = sorted(longer(settings, (model.updates for model in late)))
        names = listing([repr("+".join(model.sources)) for model in late], 3)
        which = "" if len(late) == len(models) else f"of {names} "
        yield (
            f"training {which}was still improving when its updates were over (the last weights "
            f"were the best): train longer with {' '.join(options)}"
        )
