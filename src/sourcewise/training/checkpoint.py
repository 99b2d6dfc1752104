"""Checkpoints: tensors as safetensors, everything else as JSON, the last two kept.

The JSON is written last: a checkpoint is whole, or it does not count. Both are sealed (see
`files`). A damaged newest one gives way to the one before, with a warning.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sourcewise.documents import reading, typed
from sourcewise.errors import InputError
from sourcewise.files import file_digest, read_json, read_tensors, write_json, write_tensors

__all__ = ["load", "remove", "save"]

KEPT = 2
Checkpoint = tuple[dict[str, Tensor], dict[str, Any]]


def save(
    folder: Path, step: int, tensors: dict[str, Tensor], values: dict[str, Any], identity: str
) -> None:
    """Write checkpoint `step` and drop all but the last two.

    Args:
        folder: where; made if need be.
        step: its number, growing.
        tensors: by name.
        values: anything JSON takes.
        identity: names the training; `load` takes no other's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"checkpoint-{step:09d}"
    raw = _raw(folder, name)
    write_tensors(raw, tensors)
    note = {"identity": identity, "tensors": file_digest(raw), "values": values}
    write_json(folder / f"{name}.json", note)
    for old in _numbers(folder)[KEPT:]:
        _drop(folder, old)


def load(
    folder: Path,
    identity: str,
    check: Callable[[dict[str, Tensor], dict[str, Any]], None] = lambda tensors, values: None,
) -> Checkpoint | None:
    """The newest whole checkpoint of this training; None if there is none.

    `check` raises if tensors and values are not the state of this training.
    """
    for name in _numbers(folder):
        place = folder / f"{name}.json"
        try:
            with reading(place):
                note, tensors = typed(_Note, read_json(place)), read_tensors(_raw(folder, name))
                if note.tensors != file_digest(_raw(folder, name)):
                    raise InputError(f"{_raw(folder, name)} is of another checkpoint")
                if note.identity == identity:
                    check(tensors, note.values)
                    return tensors, note.values
        except InputError as error:
            if place.exists():  # or its writer dropped it meanwhile
                warnings.warn(f"{error}: going back to the checkpoint before it", stacklevel=2)
    return None


@dataclass(frozen=True)
class _Note:
    """The document of a checkpoint."""

    identity: str
    tensors: str  # digest of their file
    values: dict[str, Any]


def _raw(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def remove(folder: Path) -> None:
    """Remove all checkpoints of a folder."""
    for name in _numbers(folder):
        _drop(folder, name)


def _numbers(folder: Path) -> list[str]:
    """Names of the checkpoints that were finished, newest first."""
    return sorted((path.stem for path in folder.glob("checkpoint-*.json")), reverse=True)


def _drop(folder: Path, name: str) -> None:
    for suffix in (".json", ".safetensors"):
        (folder / f"{name}{suffix}").unlink(missing_ok=True)
