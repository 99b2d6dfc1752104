"""Files that are whole or absent: atomic writes, tensors and JSON, and run folders.

Nothing is pickled: arrays are safetensors, everything else is JSON, YAML or CSV. What is read
back is *sealed*: it carries a digest of all of its bytes, with zeros where the digest stands, so
that no byte can change without notice. A finished run has a manifest besides, the digests of all
its files.
"""

import contextlib
import errno
import fcntl
import json
import math
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sourcewise.errors import InputError, listing

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "MANIFEST",
    "RunFolder",
    "default_folder",
    "file_digest",
    "plain",
    "read_json",
    "read_tensors",
    "versions",
    "write_atomic",
    "write_json",
    "write_tensors",
]


ASIDE = ".partial"
LONGEST = 150  # bytes of the data's name in that of a folder
CONFIG, MANIFEST = "config.yaml", "manifest.json"


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that it is at every moment the old one or the whole new one."""
    data = content.encode() if isinstance(content, str) else content
    try:
        _write_aside(path, data)
    except OSError as error:
        error.filename = str(path)  # a full disk does not say which file
        raise
    _sync_folder(path.parent)


def _write_aside(path: Path, data: bytes) -> None:
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=ASIDE, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def plain(value: Any) -> Any:
    """Values as JSON has them: NaN and infinity become null, tuples lists, keys strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def write_json(path: Path, value: Mapping[str, Any], seal: bool = True) -> None:
    """Write one JSON document atomically; sealed, its last key is `digest`."""
    document = {**plain(value), DIGEST: ZEROS} if seal else plain(value)
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    raw = text.encode("utf-8", "backslashreplace")  # of half a pair it makes what JSON reads
    write_atomic(path, _sealed(raw) if seal else raw)


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON document; a damaged or missing file is an `InputError` that names it."""
    raw = _read(path)
    try:
        _verify(path, raw)
        document = json.loads(raw.decode())
        del document[DIGEST]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged: {error}") from None
    return document


def write_tensors(path: Path, tensors: Mapping[str, "Tensor"]) -> None:
    """Write named tensors as safetensors, sealed and atomically; equal ones give equal bytes."""
    from safetensors.torch import save

    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomic(path, _sealed(save(whole, {DIGEST: ZEROS})))


def read_tensors(path: Path) -> dict[str, "Tensor"]:
    """Read named tensors; a damaged or missing file is an `InputError` that names it."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    raw = _read(path)
    _verify(path, raw)
    try:
        return load(raw)
    except SafetensorError as error:
        raise InputError(f"{path} is damaged: {error}") from None


DIGEST, ZEROS = "digest", "0" * 32
_SEAL = re.compile(rb'"digest": ?"([0-9a-f]{32})"')
MOST_BYTES = 1 << 32


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is damaged: {path.stat().st_size} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def _seal(raw: bytes) -> tuple[int, int] | None:
    """Where the digest of a file stands: at the end of JSON, in the header of safetensors."""
    header = int.from_bytes(raw[:8], "little")
    region = (8, 8 + header) if raw[8:9] == b"{" and header < len(raw) else (0, len(raw))
    found = list(_SEAL.finditer(raw, *region))
    return found[-1].span(1) if found else None


def _sealed(raw: bytes) -> bytes:
    place = _seal(raw)
    assert place is not None
    return raw[: place[0]] + _digest(raw).encode() + raw[place[1] :]


def _verify(path: Path, raw: bytes) -> None:
    place = _seal(raw)
    if place is not None:
        start, end = place
        blank = raw[:start] + ZEROS.encode() + raw[end:]
        if _digest(blank).encode() == raw[start:end]:
            return
    raise InputError(f"{path} is damaged: its bytes are not those that were written")


def _digest(raw: bytes) -> str:
    return blake2b(raw, digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """32 hexadecimal digits that change with any byte of a file."""
    return _digest(path.read_bytes())


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    packages = ("sourcewise", "torch", "numpy", "scipy", "pandas")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def default_folder(name: str, config: Mapping[str, Any]) -> Path:
    """`runs/<name>-<hash>`, the hash over settings and data, not over versions."""
    identity = {key: value for key, value in plain(config).items() if key != "versions"}
    digest = blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=4).hexdigest()
    short = name.encode(errors="replace")[:LONGEST].decode(errors="ignore")
    return Path("runs") / f"{short}-{digest}"


# What comparisons and trainings write, beside config.yaml.
_CONTENT = (
    "cells",
    "training",
    "models",
    "samples",
    "results.csv",
    "rows.safetensors",
    "scores.safetensors",
    "result.json",
    "log.csv",
    "table.txt",
    "report.html",
    MANIFEST,
)


class RunFolder:
    """A folder that holds one run, held by one process at a time.

    Use as a context manager. Entering creates the folder and `config.yaml`, or checks that the
    folder holds the same configuration; another run there is an `InputError` unless `overwrite`.

    Args:
        path: the folder.
        config: what identifies the run (settings, versions, fingerprint).
        overwrite: start anew if the folder holds another run.
        content: names of the files and folders that the run writes, beside `config.yaml`, which
            lists them: of a run's folder nothing else is ever removed.
    """

    def __init__(
        self,
        path: Path,
        config: Mapping[str, Any],
        overwrite: bool = False,
        content: Sequence[str] = _CONTENT,
    ):
        self.path = path
        self.config = plain(config)
        self.overwrite = overwrite
        self.content = list(content)
        self._lock: int | None = None

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __enter__(self) -> "RunFolder":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire()
            self._claim()
            self._refuse_links()
        except OSError as error:
            self._release()
            reason = error.strerror or str(error)
            raise InputError(f"cannot write the run folder {self.path}: {reason}") from None
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def _acquire(self) -> None:
        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
                raise
            raise InputError(f"the run folder {self.path} is in use by another process") from None

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)  # closing gives the lock back
            self._lock = None

    def clear(self) -> None:
        """Remove what the run in the folder writes, whichever it is, and nothing else."""
        for name in self._read()[1]:
            item = self / name
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the run; the folder too, if nothing else is in it."""
        self.clear()
        (self / CONFIG).unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def _claim(self) -> None:
        other, content = self._read()
        ours = "versions.sourcewise" in dict(_leaves(other))
        foreign = [p for p in self.path.iterdir() if not p.match(f".{CONFIG}.*{ASIDE}")]
        if foreign and not ours:
            # Never emptied, whatever the flags: it may be anybody's folder.
            raise InputError(f"{self.path} is not empty and holds no run: choose another --out")
        self._sweep()
        if other != self.config:
            if ours and not self.overwrite:
                raise InputError(
                    f"{self.path} holds another run ({self._difference(other)} differ): "
                    "choose another --out, or --overwrite"
                )
            self.clear()
        elif content == self.content:
            return
        document = {**self.config, "content": self.content}
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        write_atomic(self / CONFIG, text)

    def finish(self, names: Iterable[str]) -> None:
        """Write the manifest of a run that is finished: the digests of these files and folders."""
        items = [self / name for name in names]
        files = sorted(p for item in items for p in (item, *item.rglob("*")) if p.is_file())
        digests = {str(path.relative_to(self.path)): file_digest(path) for path in files}
        write_json(self / MANIFEST, {"files": digests})

    def changed(self) -> str | None:
        """A file of a finished run that is not as it was written; "" if the run is not finished.

        None: the run is finished and whole.
        """
        if not (self / MANIFEST).exists():
            return ""
        try:
            files = read_json(self / MANIFEST)["files"]
        except InputError:
            return MANIFEST
        for name, digest in files.items():
            path = self / name
            if not path.is_file() or file_digest(path) != digest:
                return name
        return None

    def _refuse_links(self) -> None:
        """Raise if something that the run writes is a link: it would write elsewhere."""
        for name in (CONFIG, *self.content):
            item = self / name
            for path in (item, *(item.rglob("*") if not item.is_symlink() else ())):
                if path.is_symlink():
                    raise InputError(
                        f"{path} is a link, which no run follows: remove it, or choose another "
                        "--out"
                    )

    def _sweep(self) -> None:
        """Remove what a process that was killed while writing left; the lock is ours."""
        for folder in (self.path, *(self / name for name in ("cells", "models", "samples"))):
            deep = folder.rglob if folder != self.path else folder.glob
            for partial in [p for p in deep(f".*{ASIDE}") if p.is_file()]:
                partial.unlink()

    def _read(self) -> tuple[Any, list[str]]:
        """The configuration of the run in the folder, and the names of what that run writes."""
        config = None
        with contextlib.suppress(yaml.YAMLError, UnicodeDecodeError, FileNotFoundError):
            config = yaml.safe_load((self / CONFIG).read_text(encoding="utf-8"))
        content = config.pop("content", None) if isinstance(config, dict) else ()
        names = content if isinstance(content, list | tuple) else _CONTENT
        return config, [name for name in names if _inside(name)]

    def _difference(self, other: Any) -> str:
        mine, theirs = dict(_leaves(self.config)), dict(_leaves(other))
        names = [n for n in sorted(mine.keys() | theirs.keys()) if mine.get(n) != theirs.get(n)]
        return listing(names, 4)


def _inside(name: object) -> bool:
    """Whether a name, which anybody may have written, stands in the folder itself."""
    return isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path or "config.yaml", value
