"""A comparison on disk: cells as they are finished, then results, scores and models.

`cells/` holds what is finished so far and is removed once `result.json`, written last, is there.
"""

import contextlib
import csv
import io
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from sourcewise.comparison.drawn import as_csv, as_json_lines
from sourcewise.comparison.evaluation import Fitted, Job
from sourcewise.comparison.scopes import Cell, CellScores, Plan
from sourcewise.encoders.registry import load
from sourcewise.errors import InputError
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import family
from sourcewise.files import (
    file_digest,
    read_json,
    read_tensors,
    write_atomic,
    write_json,
    write_tensors,
)
from sourcewise.forms.ragged import Ragged
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import Effort

__all__ = [
    "clear_training",
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


TRAINING = "training"
FILES = ("results.csv", "scores.safetensors", "log.csv", "models", "samples", "result.json")


def finished(folder: Path) -> bool:
    """Whether everything is there; what a kill left in the last moment is cleared away."""
    whole = all((folder / name).exists() for name in FILES)
    if whole:
        shutil.rmtree(folder / "cells", ignore_errors=True)
    return whole


def clear_training(folder: Path, cell: str) -> None:
    """Remove the checkpoints of a finished cell; the logs of its training stay."""
    for path in sorted((folder / TRAINING / cell).rglob("*"), reverse=True):
        if path.is_dir():
            with contextlib.suppress(OSError):  # it holds a log
                path.rmdir()
        elif path.suffix != ".csv":
            path.unlink()


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
    """Write `results.csv`, `scores.safetensors`, `rows.safetensors` and, last, `result.json`."""
    rows = _tidy(plan, results)
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(folder / "results.csv", text.getvalue())
    write_tensors(folder / "scores.safetensors", _scores(plan, results))
    write_tensors(folder / "rows.safetensors", {"mark": plan.job.data.marks})
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
    tensors = {"source": plan.job.data.y, "unit": plan.job.data.units, "size": plan.job.sizes}
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


def save_models(folder: Path, fitted: Mapping[str, Fitted], job: Job) -> None:
    """Write `models/<strategy>/<block>/` for every strategy."""
    for name, item in fitted.items():
        settings = job.tuned.get(name, job.settings).model_dump(mode="json")
        for j, block in enumerate(item.model.partition):
            place = folder / "models" / name / str(j)
            place.mkdir(parents=True, exist_ok=True)
            weights = place / "model.safetensors"
            write_tensors(weights, item.model.block(j).state_dict())
            write_json(
                place / "model.json",
                {
                    "family": job.family.name,
                    "settings": settings,
                    "sizes": item.encoder.sizes,
                    "block": list(block),
                    "sources": list(item.model.names),
                    "effort": vars(item.efforts[j]),
                    "encoder": item.encoder.to_json(),
                    "digest": file_digest(weights),
                },
            )


def save_samples(folder: Path, fitted: Mapping[str, Fitted], noise: Noise) -> None:
    """Write draws of every modelled source to `samples/`, in original units and types.

    `<strategy>.csv` for tables, `<strategy>.jsonl` for text.
    """
    (folder / "samples").mkdir(exist_ok=True)
    for name, item in fitted.items():
        sources = torch.tensor(item.model.partition.sources)
        y = sources.repeat_interleave(max(1, min(SAMPLES, MOST_SAMPLES // len(sources))))
        with torch.no_grad():
            x = item.encoder.decode(item.model.sample(y, noise=noise))
        labels = [item.model.names[k] for k in y.tolist()]
        ending, form = ("jsonl", as_json_lines) if isinstance(x, Ragged) else ("csv", as_csv)
        write_atomic(folder / "samples" / f"{name}.{ending}", form(x, labels))


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
        lambda K: chosen.build(settings, K=K, **first["sizes"]),
        tuple(first["sources"]),
    )
    for j, block in enumerate(blocks):
        weights = block / "model.safetensors"
        if weights.exists() and notes[j].get("digest", "") not in ("", file_digest(weights)):
            raise InputError(f"{weights} is damaged: its bytes are not those that were written")
        # Assigned, not copied into: training may have changed the precision.
        model.block(j).load_state_dict(read_tensors(weights), assign=True)
    efforts = tuple(Effort(**note["effort"]) for note in notes)
    return Fitted(model, load(first["encoder"]), efforts)
