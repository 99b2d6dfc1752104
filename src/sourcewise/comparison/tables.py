"""The files of a comparison: finished cells to go on from, a tidy table, scores and marks of rows.

`cells/` holds what is finished so far, and `training/` the checkpoints of what is not.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from sourcewise.cells import csv_text
from sourcewise.comparison.plan import Plan
from sourcewise.comparison.scores import Cell, CellScores
from sourcewise.documents import reading
from sourcewise.errors import InputError
from sourcewise.files import read_tensors, write_atomic, write_tensors

__all__ = ["TRAINING", "clear_training", "load_cell", "save_cell", "write_tables"]


TRAINING = "training"
Results = Mapping[str, Mapping[str, CellScores]]


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
    every = (score.tensors(name) for name, score in scores.items())
    tensors = {key: value for tensors in every for key, value in tensors.items()}
    write_tensors(folder / "cells" / f"{cell}.safetensors", tensors)


def load_cell(folder: Path, cell: Cell, plan: Plan) -> dict[str, CellScores] | None:
    """A cell finished earlier, or None.

    Raises:
        InputError: a damaged file, or one of another plan.
    """
    path = folder / "cells" / f"{cell}.safetensors"
    if not path.exists():
        return None
    with reading(path):
        tensors = read_tensors(path)
        found = {s.name: CellScores.of(tensors, s.name) for s in plan.job.strategies}
        for scores in found.values():
            _check(scores, cell, plan)
    return found


def _check(scores: CellScores, cell: Cell, plan: Plan) -> None:
    """Raise unless scores are of the shapes that the plan gives them."""
    data, K = plan.job.data, plan.job.data.K
    shapes = {"parameters": (), "label": (4,), "shown": (len(plan.job.shown), K)}
    rows = len(data) if cell.deletion is None else 0
    shapes |= {
        "shared_error": (K, 3 + plan.job.metric.parts),
        "rows": (rows,),
        "terms": (rows, len(plan.job.metric.terms)),
    }
    for name, tensor in vars(scores).items():
        if tensor.shape != shapes.get(name, (K,)) or tensor.dtype != torch.float64:
            raise InputError(f"{name} is {tuple(tensor.shape)} {tensor.dtype}")
    if not bool(scores.test[list(plan.job.tested)].isfinite().all()):
        raise InputError("scores are not finite")


def write_tables(folder: Path, plan: Plan, results: Results) -> None:
    """Write all three."""
    rows = list(_tidy(plan, results))
    text = csv_text([list(rows[0]), *(row.values() for row in rows)])
    write_atomic(folder / "results.csv", text)
    write_tensors(folder / "scores.safetensors", _scores(plan, results))
    write_tensors(folder / "rows.safetensors", {"mark": plan.job.data.marks})


def _tidy(plan: Plan, results: Results) -> Iterator[dict[str, object]]:
    """One row per strategy, block, source, seed and metric."""
    for strategy in plan.job.strategies:
        partition = strategy.partition.keep(range(plan.job.data.K), needed=plan.job.tested)
        block_of = {k: j for j, block in enumerate(partition) for k in block}
        for r in range(plan.repetitions):
            score = results[str(Cell(r, None))][strategy.name]
            for k in plan.job.tested:
                for metric, value in _measured(plan, score, k).items():
                    yield {
                        "strategy": strategy.name,
                        "block": block_of[k],
                        "source": plan.job.names[k],
                        "seed": r,
                        "metric": metric,
                        "value": value,
                        "n_train": float(score.n_train[k]),
                        "n_test": int(score.n_test[k]),
                        "examples_seen": float(score.examples_seen[k]),
                        "updates": float(score.updates[k]),
                        "parameters": float(score.parameters),
                    }


def _measured(plan: Plan, score: CellScores, k: int) -> dict[str, float]:
    """The values of all metrics on a source; not all can be taken of training rows."""
    key = plan.job.metric.key
    shown = {metric.key: score.shown[m, k] for m, metric in enumerate(plan.job.shown)}
    values = {key: score.test[k], f"train_{key}": score.train[k]} | shown
    return {name: float(value) for name, value in values.items() if value.isfinite()}


def _scores(plan: Plan, results: Results) -> dict[str, torch.Tensor]:
    """Per-row scores (R, n), replicate means (R, G, K), and what is needed to read them."""
    deletions = [cell.deletion for cell in plan.cells if cell.repetition == 0][1:]
    tensors = {"source": plan.job.data.y, "unit": plan.job.data.units, "size": plan.job.weights}
    if deletions:
        tensors["group"] = plan.groups
    tensors["fold"] = torch.stack([plan.folds(r) for r in range(plan.repetitions)])
    for strategy in plan.job.strategies:
        name, seeds = strategy.name, range(plan.repetitions)
        rows = [results[str(Cell(r, None))][name].rows for r in seeds]
        tensors[f"{plan.job.metric.key}/{name}"] = torch.stack(rows)
        if deletions:
            tests = ([results[str(Cell(r, g))][name].test for g in deletions] for r in seeds)
            tensors[f"replicates/{name}"] = torch.stack([torch.stack(each) for each in tests])
    return tensors
