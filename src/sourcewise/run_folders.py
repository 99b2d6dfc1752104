"""Run folders: one run each, held by one process at a time.

`config.yaml` says which run it is; what is finished is kept, and a finished run has a manifest,
the digests of all its files.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from shlex import quote
from typing import Any

import yaml

from sourcewise.errors import Damaged, InputError, listing
from sourcewise.files import ASIDE, file_digest, plain, read_json, write_atomic, write_json
from sourcewise.yaml_files import read_yaml

__all__ = ["MANIFEST", "RunFolder", "as_written", "default_folder", "own_files"]

CONFIG, MANIFEST = "config.yaml", "manifest.json"

LONGEST = 150  # bytes of the data's name in that of a folder


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
    "families",
    "results.csv",
    "labels.csv",
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
        self._made: list[Path] = []  # folders that were not there before

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __enter__(self) -> "RunFolder":
        try:
            self._made = [p for p in (self.path, *self.path.parents) if not p.exists()]
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
        """Remove the run; the folder too, and those made for it, if nothing else is in them."""
        self.clear()
        (self / CONFIG).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is
            for folder in dict.fromkeys((self.path, *self._made)):
                folder.rmdir()

    def _claim(self) -> None:
        other, content = self._read()
        ours = _ours(other)
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
            for name, digest in files.items():
                path = self / name
                if not path.is_file() or file_digest(path) != digest:
                    return str(name)
        except (InputError, KeyError, AttributeError, TypeError, OSError, ValueError):
            return MANIFEST
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
        for folder in (
            self.path,
            *(self / name for name in ("cells", "models", "samples", "families")),
        ):
            deep = folder.rglob if folder != self.path else folder.glob
            for partial in [p for p in deep(f".*{ASIDE}") if p.is_file()]:
                partial.unlink()

    def _read(self) -> tuple[Any, list[str]]:
        """The configuration of the run in the folder, and the names of what that run writes."""
        if not (self / CONFIG).exists():
            return None, list(_CONTENT)
        try:
            return _configuration(self.path)
        except ValueError as error:
            away = f"mv {quote(str(self.path))} {quote(f'{self.path}.damaged')}"
            raise Damaged(
                f"{self / CONFIG} is damaged ({error}), so that nobody can tell which run the "
                f"folder holds: move it away ({away}) and run the same command again, or choose "
                "another --out"
            ) from None

    def _difference(self, other: Any) -> str:
        mine, theirs = dict(_leaves(self.config)), dict(_leaves(other))
        names = [n for n in sorted(mine.keys() | theirs.keys()) if mine.get(n) != theirs.get(n)]
        return listing((name[:60] for name in names), 4)


def as_written(folder: Path, name: str) -> bool:
    """Whether a file is what a run that was finished there wrote."""
    with contextlib.suppress(InputError, KeyError, AttributeError, TypeError, OSError, ValueError):
        return read_json(folder / MANIFEST)["files"].get(name) == file_digest(folder / name)
    return False


def own_files(folder: Path) -> list[str]:
    """The names of what the run in a folder writes there; none if it holds no run."""
    with contextlib.suppress(ValueError, OSError):
        config, content = _configuration(folder)
        return [CONFIG, *content] if _ours(config) else []
    return []


def _configuration(folder: Path) -> tuple[Any, list[str]]:
    config = read_yaml(folder / CONFIG)
    content = config.pop("content", None) if isinstance(config, dict) else ()
    names = content if isinstance(content, list | tuple) else _CONTENT
    return config, [name for name in names if _inside(name)]


def _ours(config: Any) -> bool:
    """Whether a configuration is that of a run."""
    return "versions.sourcewise" in dict(_leaves(config))


def _inside(name: object) -> bool:
    """Whether a name, which anybody may have written, stands in the folder itself."""
    return isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path or "config.yaml", value
