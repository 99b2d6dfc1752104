"""The result of a training as one JSON document: the contract of `train --json`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from sourcewise.comparison.cautions import longer
from sourcewise.comparison.data_document import common_facts, source_facts
from sourcewise.comparison.document import validated_by
from sourcewise.errors import listing
from sourcewise.families.base import Occasion, diagnostic_facts
from sourcewise.families.settings import TrainedSettings
from sourcewise.files import plain
from sourcewise.fitting.job import Job, Split
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.lifecycle.prepare import PreparedTraining

__all__ = ["document"]


def document(
    prepared: PreparedTraining,
    fitted: Mapping[str, TrainedStrategy],
    seconds: Mapping[str, float] | float,
    run: str | None,
) -> dict[str, Any]:
    """Build the document; see docs for its keys.

    Args:
        prepared: what was trained.
        fitted: its models.
        seconds: that each block, by its name, was in training (blocks that train at the same time
            share them); or all of them.
        run: the folder.
    """
    name, job = prepared.strategy.name, prepared.job
    split, config = prepared.split, prepared.config
    region = job.metric.region(job.coding, math.nan)
    item = fitted[name]
    occasion = Occasion("train", region, job.coding.variables)
    diagnosed = item.diagnosed
    known = job.family.model_class.cautions({name: diagnosed}, occasion)
    models = [_model(job, item, j, split, seconds) for j in range(len(item.efforts))]
    return plain(
        {
            "schema_version": 1,
            "kind": "train",
            "data": _data(prepared, split),
            "strategy": {
                "name": name,
                "blocks": [[job.names[k] for k in block] for block in item.model.partition],
            },
            "unit": job.unit,
            "models": models,
            **diagnostic_facts(diagnosed.diagnostics),
            "validated_by": validated_by(item.model, job.unit) if job.family.trained else None,
            "warnings": [
                *prepared.screened.warnings,
                *_left_out(prepared),
                *_unfinished(job.settings_of(prepared.strategy), models),
                *(caution.text for caution in known if caution.text),
            ],
            "run": run,
            "settings": config["settings"],
            "versions": config["versions"],
        }
    )


def _data(prepared: PreparedTraining, split: Split) -> dict[str, Any]:
    job = prepared.job
    data = job.data
    train, valid = (
        torch.bincount(data.y[i], minlength=data.K) for i in (split.train, split.valid)
    )
    return {
        **common_facts(job, prepared.screened, prepared.config),
        "sources": [
            source_facts(job, k) | {"n_train": int(train[k]), "n_valid": int(valid[k])}
            for k in range(data.K)
        ],
    }


def _model(
    job: Job, item: TrainedStrategy, j: int, split: Split, seconds: Mapping[str, float] | float
) -> dict[str, Any]:
    """What training one block took."""
    block, effort = item.model.partition.blocks[j], item.efforts[j]
    inside = torch.tensor(block)
    names = [job.names[k] for k in block]
    out = {
        "sources": names,
        "parameters": item.model.block(j).free_parameters,
        "n_train": int(torch.isin(job.data.y[split.train], inside).sum()),
        "n_valid": int(torch.isin(job.data.y[split.valid], inside).sum()),
        **vars(effort),
        "seconds": round(seconds["+".join(names)] if isinstance(seconds, Mapping) else seconds, 4),
    }
    for key, why in (
        ("best", "the last weights were kept"),
        ("validation", "there are no validation rows"),
    ):
        if out[key] is None or not math.isfinite(out[key]):
            out |= {key: None, f"{key}_reason": why}
    return out


def _left_out(prepared: PreparedTraining) -> list[str]:
    """One line per reason."""
    by_reason: dict[str, list[str]] = {}
    for item in prepared.screened.left_out:
        by_reason.setdefault(item.reason, []).append(item.column)
    return [f"left out {listing(names, 6)}: {why}" for why, names in by_reason.items()]


def _unfinished(settings: object, models: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Models whose validation loss was lowest when their updates were over."""
    late = [model for model in models if model["best"] == model["updates"] > 0]
    if late and isinstance(settings, TrainedSettings):
        options = sorted(longer(settings, (model["updates"] for model in late)))
        of = [repr("+".join(model["sources"])) for model in late]
        told = "" if len(late) == len(models) else f"of {listing(of, 3)} "
        yield (
            f"training {told}was still improving when its updates were over (the last weights "
            f"were the best): train longer with {' '.join(options)}"
        )
