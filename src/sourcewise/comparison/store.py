"""A comparison on disk: cells as they are finished, then results, scores and models.

`cells/` holds what is finished so far and is removed once `result.json`, written last, is there.
"""

import csv
import io
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from sourcewise.comparison.evaluation import Fitted
from sourcewise.comparison.scopes import Cell, CellScores, Plan
from sourcewise.encoders.numeric import NumericEncoder
from sourcewise.errors import InputError
from sourcewise.files import (
    read_json,
    read_tensors,
    write_atomic,
    write_json,
    write_tensors,
)
from sourcewise.models.families import family
from sourcewise.models.partitioned import PartitionedModel
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import Effort

__all__ = [
    "finish",
    "finished",
    "load_cell",
    "load_models",
    "save_cell",
    "save_models",
    "save_samples",
]

SAMPLES, MOST_SAMPLES = 100, 5000  # per source, and in all
FIELDS = [
    "strategy",
    "block",
    "source",
    "seed",
    "metric",
    "value",
    "n_train",
    "n_test",
    "examples_seen",
    "updates",
    "parameters",
]


FILES = ("results.csv", "scores.safetensors", "log.csv", "models", "samples", "result.json")


def finished(folder: Path) -> bool:
    """Whether everything is there; what a kill left in the last moment is cleared away."""
    whole = all((folder / name).exists() for name in FILES)
    if whole:
        shutil.rmtree(folder / "cells", ignore_errors=True)
    return whole


def save_cell(folder: Path, cell: Cell, scores: Mapping[str, CellScores]) -> None:
    """Keep a finished cell."""
    (folder / "cells").mkdir(exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    for name, score in scores.items():
        tensors |= score.tensors(name)
    write_tensors(folder / "cells" / f"{cell}.safetensors", tensors)


def load_cell(folder: Path, cell: Cell, names: list[str]) -> dict[str, CellScores] | None:
    """A cell finished earlier, or None; a damaged file counts as not finished."""
    path = folder / "cells" / f"{cell}.safetensors"
    if not path.exists():
        return None
    try:
        tensors = read_tensors(path)
        return {name: CellScores.of(tensors, name) for name in names}
    except (InputError, KeyError):
        return None


def finish(
    folder: Path, plan: Plan, results: Mapping[str, Mapping[str, CellScores]], document: Any
) -> None:
    """Write `results.csv`, `scores.safetensors` and, last, `result.json`."""
    rows = _tidy(plan, results)
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(folder / "results.csv", text.getvalue())
    write_tensors(folder / "scores.safetensors", _scores(plan, results))
    write_json(folder / "result.json", document)
    shutil.rmtree(folder / "cells", ignore_errors=True)


def _tidy(
    plan: Plan, results: Mapping[str, Mapping[str, CellScores]]
) -> Iterator[dict[str, object]]:
    """One row per strategy, block, source, seed and metric."""
    for strategy in plan.job.strategies:
        partition = strategy.partition.keep(range(plan.job.data.K), needed=plan.job.tested)
        block_of = {k: j for j, block in enumerate(partition) for k in block}
        for r in range(plan.repetitions):
            score = results[str(Cell(r, None))][strategy.name]
            for k in plan.job.tested:
                for metric, values in (
                    ("log_likelihood", score.test),
                    ("train_log_likelihood", score.train),
                ):
                    yield {
                        "strategy": strategy.name,
                        "block": block_of[k],
                        "source": plan.job.names[k],
                        "seed": r,
                        "metric": metric,
                        "value": float(values[k]),
                        "n_train": float(score.n_train[k]),
                        "n_test": int(score.n_test[k]),
                        "examples_seen": float(score.examples_seen[k]),
                        "updates": float(score.updates[k]),
                        "parameters": float(score.parameters),
                    }


def _scores(
    plan: Plan, results: Mapping[str, Mapping[str, CellScores]]
) -> dict[str, torch.Tensor]:
    """Per-row scores (R, n), replicate means (R, G, K), and what is needed to read them."""
    deletions = [cell.deletion for cell in plan.cells if cell.repetition == 0][1:]
    tensors = {"source": plan.job.data.y, "unit": plan.job.data.units}
    if deletions:
        tensors["group"] = plan.groups
    tensors["fold"] = torch.stack([plan.folds(r) for r in range(plan.repetitions)])
    for strategy in plan.job.strategies:
        name, seeds = strategy.name, range(plan.repetitions)
        rows = [results[str(Cell(r, None))][name].rows for r in seeds]
        tensors[f"log_likelihood/{name}"] = torch.stack(rows)
        if deletions:
            tensors[f"replicates/{name}"] = torch.stack(
                [
                    torch.stack([results[str(Cell(r, g))][name].test for g in deletions])
                    for r in seeds
                ]
            )
    return tensors


def save_models(
    folder: Path, fitted: Mapping[str, Fitted], family_name: str, settings: dict[str, Any]
) -> None:
    """Write `models/<strategy>/<block>/` for every strategy."""
    for name, item in fitted.items():
        for j, block in enumerate(item.model.partition):
            place = folder / "models" / name / str(j)
            place.mkdir(parents=True, exist_ok=True)
            write_tensors(place / "model.safetensors", item.model.block(j).state_dict())
            write_json(
                place / "model.json",
                {
                    "family": family_name,
                    "settings": settings,
                    "d": len(item.encoder.columns),
                    "block": list(block),
                    "sources": list(item.model.names),
                    "effort": vars(item.efforts[j]),
                    "encoder": item.encoder.to_json(),
                },
            )


def save_samples(folder: Path, fitted: Mapping[str, Fitted], noise: Noise) -> None:
    """Write `samples/<strategy>.csv`: draws of every modelled source, in original units."""
    import pandas as pd

    (folder / "samples").mkdir(exist_ok=True)
    for name, item in fitted.items():
        sources = torch.tensor(item.model.partition.sources)
        y = sources.repeat_interleave(max(1, min(SAMPLES, MOST_SAMPLES // len(sources))))
        table = item.encoder.decode(item.model.sample(y, noise=noise))
        frame = pd.DataFrame({column: table.columns[column].numpy() for column in table.names})
        frame.insert(0, "source", [item.model.names[k] for k in y.tolist()], True)
        write_atomic(
            folder / "samples" / f"{name}.csv", frame.to_csv(index=False, float_format="%.9g")
        )


def load_models(folder: Path) -> dict[str, Fitted]:
    """The inverse of `save_models`."""
    places = [place for place in (folder / "models").glob("*") if place.is_dir()]
    return {place.name: _load_strategy(place) for place in sorted(places)}


def _load_strategy(place: Path) -> Fitted:
    blocks = sorted(place.glob("*"), key=lambda path: int(path.name))
    notes = [read_json(block / "model.json") for block in blocks]
    first = notes[0]
    chosen = family(first["family"])
    settings = chosen.parse(first["settings"])
    model = PartitionedModel(
        Partition(tuple(tuple(note["block"]) for note in notes)),
        lambda K: chosen.build(settings, K=K, d=first["d"]),
        tuple(first["sources"]),
    )
    for j, block in enumerate(blocks):
        model.block(j).load_state_dict(read_tensors(block / "model.safetensors"))
    efforts = tuple(Effort(**note["effort"]) for note in notes)
    return Fitted(model, NumericEncoder.from_json(first["encoder"]), efforts)
