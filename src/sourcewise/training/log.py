"""What is told of a training while it runs: `log.csv`, and trackers where they are asked for.

`log.csv` has a line per model and look, with the time it took; it is no part of the result.
"""

import contextlib
import csv
import math
import time
from pathlib import Path
from typing import Protocol

from torch import Tensor

from sourcewise.cells import csv_text
from sourcewise.errors import InputError
from sourcewise.files import write_atomic

__all__ = ["FIELDS", "Log", "tracker", "whole_lines"]

FIELDS = ["block", "update", "examples_seen", "loss", "validation", "learning_rate", "seconds"]


class Tracker(Protocol):
    """Somewhere that curves go."""

    def add(self, block: str, update: int, values: dict[str, float]) -> None:
        """Points of a model's curves."""
        ...


class Log:
    """Lines of one training, and the losses since the last look.

    Args:
        folder: where `log.csv` goes; None: nothing is kept.
        step: updates that a checkpoint brings along; later lines of the file are dropped.
        tracker: also gets every line.
    """

    def __init__(self, folder: Path | None, step: int, tracker: Tracker | None = None):
        self.path = None if folder is None else folder / "log.csv"
        self.tracker = tracker
        self.sum: Tensor | None = None
        self.count, self.start = 0, time.monotonic()
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            rows = [row for row in whole_lines(self.path) if int(row[1]) <= step]
            write_atomic(self.path, csv_text([FIELDS, *rows]))

    def add(self, losses: Tensor) -> None:
        """The objectives (S,) of one update."""
        self.sum = losses.double() if self.sum is None else self.sum + losses
        self.count += 1

    def look(
        self, blocks: list[str], update: int, rows: list[tuple[int, float | None, float]]
    ) -> None:
        """A line per model: examples seen, validation loss, learning rate; averages begin anew."""
        if self.sum is None:
            return
        losses, lines = (self.sum / self.count).tolist(), []
        for block, loss, (seen, validation, lr) in zip(blocks, losses, rows, strict=True):
            told = "" if validation is None else f"{validation:.6g}"
            seconds = f"{time.monotonic() - self.start:.2f}"
            lines.append([block, update, seen, f"{loss:.6g}", told, f"{lr:.4g}", seconds])
            if self.tracker is not None:
                values = {"loss": loss, "learning_rate": lr, "examples_seen": float(seen)}
                values |= {} if validation is None else {"validation": validation}
                self.tracker.add(block, update, values)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(csv_text(lines))
        self.sum, self.count = None, 0


def whole_lines(path: Path) -> list[list[str]]:
    """The lines of a log; damaged ones are left out, as nothing is computed from them."""
    rows: list[list[str]] = []
    if path.is_file():
        with (
            path.open(encoding="utf-8", errors="replace", newline="") as file,
            contextlib.suppress(csv.Error),
        ):
            rows += csv.reader(file)
    return [row for row in rows[1:] if _whole(row)]


def _whole(row: list[str]) -> bool:
    try:
        return len(row) == len(FIELDS) and int(row[1]) >= 0 and 0 <= float(row[-1]) < math.inf
    except ValueError:
        return False


def tracker(name: str, folder: Path | None) -> Tracker | None:
    """TensorBoard or Weights & Biases, by name.

    Args:
        name: "none", "tensorboard" or "wandb".
        folder: where its files go; the working folder's `runs` if None.

    Raises:
        InputError: not installed.
    """
    place = str(folder or Path("runs"))
    if name == "none":
        return None
    try:
        return _TensorBoard(place) if name == "tensorboard" else _WeightsAndBiases(place)
    except ImportError:
        package = f"pip install {name}"
        raise InputError(f"--track {name}: not installed ({package})") from None


class _TensorBoard:
    def __init__(self, folder: str):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(folder)

    def add(self, block: str, update: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{block}/{name}", value, update)
        self.writer.flush()


class _WeightsAndBiases:
    def __init__(self, folder: str):
        import wandb  # pyright: ignore[reportMissingImports]

        self.run = wandb.init(project="sourcewise", dir=folder)

    def add(self, block: str, update: int, values: dict[str, float]) -> None:
        points = {f"{block}/{name}": value for name, value in values.items()}
        self.run.log(points | {"update": update})
