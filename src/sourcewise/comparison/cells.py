"""The finished cells of a comparison on disk, so that it goes on where it stopped.

`cells/` holds what is finished so far, and `training/` the checkpoints of what is not.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import torch

from sourcewise.comparison.plan import Cell
from sourcewise.comparison.scores import CellScores
from sourcewise.errors import InputError
from sourcewise.files import read_tensors, write_tensors

__all__ = ["TRAINING", "clear_training", "load_cell", "save_cell"]

TRAINING = "training"


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
