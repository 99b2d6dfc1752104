"""Files that are whole or absent: atomic writes, tensors and JSON.

Nothing is pickled: arrays are safetensors, everything else is JSON, YAML or CSV. What is read
back is *sealed*: it carries a digest of all of its bytes, with zeros where the digest stands, so
that no byte can change without notice.
"""

import json
import math
import os
import platform
import re
import tempfile
from collections.abc import Mapping
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sourcewise.errors import Damaged

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ASIDE",
    "exists",
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
    """Read one JSON document; a damaged or missing file is a `Damaged` that names it."""
    raw = _read(path)
    try:
        _verify(path, raw)
        document = json.loads(raw.decode())
        del document[DIGEST]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged(f"{path} is damaged: {error}") from None
    return document


def write_tensors(path: Path, tensors: Mapping[str, "Tensor"]) -> None:
    """Write named tensors as safetensors, sealed and atomically; equal ones give equal bytes."""
    from safetensors.torch import save

    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomic(path, _sealed(save(whole, {DIGEST: ZEROS})))


def read_tensors(path: Path) -> dict[str, "Tensor"]:
    """Read named tensors; a damaged or missing file is a `Damaged` that names it."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    raw = _read(path)
    _verify(path, raw)
    try:
        return load(raw)
    except SafetensorError as error:
        raise Damaged(f"{path} is damaged: {error}") from None


DIGEST, ZEROS = "digest", "0" * 32
_SEAL = re.compile(rb'"digest": ?"([0-9a-f]{32})"')
MOST_BYTES = 1 << 32


def exists(path: Path) -> bool:
    """Whether something stands in a place.

    Raises:
        Damaged: it may not be asked.
    """
    try:
        return path.exists()
    except OSError as error:
        raise Damaged(f"cannot read {path}: {error.strerror or error}") from None


def _read(path: Path) -> bytes:
    try:
        if not path.is_file() and path.exists():  # reading a pipe would never end
            raise Damaged(f"{path} is no file")
        if path.stat().st_size > MOST_BYTES:
            raise Damaged(f"{path} is damaged: {path.stat().st_size} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        raise Damaged(f"no file {path}") from None
    except OSError as error:
        raise Damaged(f"cannot read {path}: {error.strerror or error}") from None


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
    raise Damaged(f"{path} is damaged: its bytes are not those that were written")


def _digest(raw: bytes) -> str:
    return blake2b(raw, digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """32 hexadecimal digits that change with any byte of a file."""
    return _digest(path.read_bytes())


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    packages = ("sourcewise", "torch", "numpy", "scipy", "pandas")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
