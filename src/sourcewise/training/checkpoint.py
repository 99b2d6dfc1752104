"""Checkpoints: tensors as safetensors, everything else as JSON, the last two kept.

The JSON is written last: a checkpoint is whole, or it does not count. Both are sealed (see
`files`). A damaged newest one gives way to the one before, with a warning.
"""

import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

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
    raw = folder / f"{name}.safetensors"
    write_tensors(raw, tensors)
    note = {"identity": identity, "tensors": file_digest(raw), "values": values}
    write_json(folder / f"{name}.json", note)
    for old in _numbers(folder)[KEPT:]:
        _drop(folder, old)


def load(folder: Path, identity: str) -> Checkpoint | None:
    """The newest whole checkpoint of this training; None if there is none."""
    for name in _numbers(folder):
        try:
            note, raw = read_json(folder / f"{name}.json"), folder / f"{name}.safetensors"
            tensors = read_tensors(raw)
            if note["tensors"] != file_digest(raw):
                raise InputError(f"{raw} is of another checkpoint")
            if note["identity"] == identity:
                return tensors, note["values"]
        except (InputError, KeyError) as error:
            if not (folder / f"{name}.json").exists():
                continue  # its writer dropped it meanwhile
            told = error if isinstance(error, InputError) else f"{folder / name} is damaged"
            warnings.warn(f"{told}: going back to the checkpoint before it", stacklevel=2)
    return None


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
