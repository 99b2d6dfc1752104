"""Checkpoints: tensors as safetensors, everything else as JSON, the last two kept.

The JSON is written last: a checkpoint is whole, or it does not count. All files are sealed (see
`files`). A damaged newest one gives way to the one before, with a warning.

What never changes once it is there is written once. Tensors called `snapshot/KEY/...` are in the
file `snapshot-KEY.safetensors` beside the checkpoints, for as long as one of them asks for it by
its digest. Other contents must have another key.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from sourcewise.documents import reading, typed
from sourcewise.errors import InputError
from sourcewise.files import file_digest, read_json, read_tensors, write_json, write_tensors

__all__ = ["SNAPSHOT", "Checkpoints"]

KEPT = 2
BEFORE, ANEW = "going back to the checkpoint before it", "there is none before it, training begins"
SNAPSHOT = "snapshot/"
Key = Annotated[str, Field(pattern=r"^\d+(-\d+)?$")]  # it names a file in this folder and no other
Tensors = dict[str, Tensor]
Values = dict[str, Any]


@dataclass(frozen=True)
class _Note:
    """The document of a checkpoint."""

    identity: str
    tensors: str  # digest of their file
    values: Values
    snapshots: dict[Key, str] = field(default_factory=dict)  # digests of their files


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: where; made if need be.
        identity: names the training; `load` takes no other's.

    Attributes:
        written: digests of the snapshots that this process has written or read itself, by key:
            only these are known to be right, and are not written again.
    """

    def __init__(self, folder: Path, identity: str):
        self.folder, self.identity = folder, identity
        self.written: dict[str, str] = {}

    def save(self, step: int, tensors: Tensors, values: Values) -> None:
        """Write checkpoint `step` and drop those that are no longer needed.

        Args:
            step: its number, growing.
            tensors: by name.
            values: anything JSON takes.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        own, snapshots = _apart(tensors)
        self.written = {key: self._written(key, part) for key, part in snapshots.items()}
        name = f"checkpoint-{step:09d}"
        raw = self._raw(name)
        write_tensors(raw, own)
        note = _Note(self.identity, file_digest(raw), values, self.written)
        write_json(self.folder / f"{name}.json", vars(note))
        self._tidy(name)

    def _written(self, key: str, part: Tensors) -> str:
        """The digest of a snapshot's file, which is written if this process has not done so."""
        path = self._snapshot(key)
        if key in self.written and path.exists():
            return self.written[key]
        write_tensors(path, part)
        return file_digest(path)

    def _tidy(self, newest: str) -> None:
        """Keep the last checkpoints, and the snapshots that they ask for.

        Those with a higher number than the newest were not taken up: they are of another training,
        or damaged. When no snapshots are needed any more, the training is over: the checkpoint
        before it would keep them all, many times what a checkpoint takes.
        """
        names = [name for name in _numbers(self.folder) if name <= newest][:KEPT]
        asked_for = [self._asked_for(name) for name in names]
        if not asked_for[0] and any(asked_for):
            names, asked_for = names[:1], asked_for[:1]
        for old in set(_numbers(self.folder)) - set(names):
            self._drop(old)
        kept = {self._snapshot(key) for keys in asked_for for key in keys}
        for path in set(self.folder.glob("snapshot-*.safetensors")) - kept:
            path.unlink(missing_ok=True)

    def _asked_for(self, name: str) -> set[str]:
        """Keys of the snapshots that a checkpoint asks for; a damaged one asks for none."""
        try:
            return set(self._note(name).snapshots)
        except InputError:
            return set()

    def load(
        self, check: Callable[[Tensors, Values], None] = lambda tensors, values: None
    ) -> tuple[Tensors, Values] | None:
        """The newest whole checkpoint of this training; None if there is none.

        `check` raises if tensors and values are not the state of this training.
        """
        names = _numbers(self.folder)
        for name in names:
            place = self.folder / f"{name}.json"
            try:
                with reading(place):
                    note = self._note(name)
                    if note.identity == self.identity:
                        tensors = self._tensors(name, note)
                        check(tensors, note.values)
                        self.written = dict(note.snapshots)
                        return tensors, note.values
            except InputError as error:
                if place.exists():  # or its writer dropped it meanwhile
                    next_ = BEFORE if name != names[-1] else ANEW
                    warnings.warn(f"{error}: {next_}", stacklevel=2)
        return None

    def _note(self, name: str) -> _Note:
        place = self.folder / f"{name}.json"
        with reading(place):
            return typed(_Note, read_json(place))

    def _tensors(self, name: str, note: _Note) -> Tensors:
        """All that a checkpoint holds and asks for."""
        files = {self._raw(name): note.tensors}
        files |= {self._snapshot(key): digest for key, digest in note.snapshots.items()}
        found: Tensors = {}
        for path, digest in files.items():
            found |= read_tensors(path)
            if file_digest(path) != digest:
                raise InputError(f"{path} is of another checkpoint")
        return found

    def _raw(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def _snapshot(self, key: str) -> Path:
        return self.folder / f"snapshot-{key}.safetensors"

    def _drop(self, name: str) -> None:
        """The document first: without it a checkpoint does not count."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        self._raw(name).unlink(missing_ok=True)


def _numbers(folder: Path) -> Sequence[str]:
    """Names of the checkpoints that were finished, newest first."""
    return sorted((path.stem for path in folder.glob("checkpoint-*.json")), reverse=True)


def _apart(tensors: Tensors) -> tuple[Tensors, dict[str, Tensors]]:
    """Those of the checkpoint itself, and those of snapshots by key."""
    own, snapshots = {}, {}
    for name, tensor in tensors.items():
        if name.startswith(SNAPSHOT):
            snapshots.setdefault(name.split("/")[1], {})[name] = tensor
        else:
            own[name] = tensor
    return own, snapshots
