"""Files that are whole or absent: atomic writes, tensors and JSON.

Nothing is pickled: arrays are safetensors, everything else is JSON, YAML or CSV. What is read
back is *sealed*: it carries a digest of all of its bytes, with zeros where the digest stands, so
that no byte can change without notice.

Tensors may take many times what is left of the memory: they are written one by one, as they are,
and what is read is held once.
"""

import hashlib
import json
import math
import os
import platform
import re
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

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
    _write_whole(path, lambda file: file.write(data))


def _write_whole(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    try:
        _write_aside(path, fill)
    except OSError as error:
        error.filename = str(path)  # a full disk does not say which file
        raise
    _sync_folder(path.parent)


def _write_aside(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=ASIDE, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
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
    """Write named tensors as safetensors, sealed and atomically; equal ones give equal bytes.

    Not by safetensors' own writer, which holds all bytes at once or hides why a disk refuses them.
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # aligned
    head = _header({name: tensors[name] for name in names})
    place = _seal(head)
    assert place is not None

    def fill(file: IO[bytes]) -> None:
        digest = _begun(head)
        file.write(head)
        for name in names:
            raw = _bytes(tensors[name])
            digest.update(raw)
            file.write(raw)
        file.seek(place[0])
        file.write(digest.hexdigest().encode())

    _write_whole(path, fill)


def _header(tensors: Mapping[str, "Tensor"]) -> bytes:
    """Of a file that holds these tensors one after another, with zeros for the digest."""
    document: dict[str, Any] = {"__metadata__": {DIGEST: ZEROS}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        kind, shape = KINDS[str(tensor.dtype).removeprefix("torch.")], list(tensor.shape)
        document[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    raw = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw


def _bytes(tensor: "Tensor") -> Any:
    """The numbers of a tensor as they lie in memory."""
    import torch

    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()


def read_tensors(path: Path) -> dict[str, "Tensor"]:
    """Read named tensors; a damaged or missing file is a `Damaged` that names it.

    Not by safetensors' own reader, which asks for as much memory again as the file takes.
    """
    import torch

    _check_place(path, MOST_OF_TENSORS)
    layout = _layout(path)
    with path.open("rb") as file:
        head = file.read(8)
        head += file.read(int.from_bytes(head, "little"))
        place = _seal(head)
        if place is None:
            raise _changed(path)
        digest, found = _begun(_blank(head, place)), {}
        for name, kind, shape in layout:
            found[name] = torch.empty(shape, dtype=getattr(torch, kind))
            raw = _bytes(found[name])
            file.readinto(raw)
            digest.update(raw)
    if digest.hexdigest().encode() != head[slice(*place)]:
        raise _changed(path)
    return found


def _layout(path: Path) -> list[tuple[str, str, list[int]]]:
    """Names, types and shapes of the tensors in a file that is as long as they take together."""
    from safetensors import SafetensorError, safe_open

    kinds = {short: kind for kind, short in KINDS.items()}
    try:
        with safe_open(path, "np") as file:
            slices = {name: file.get_slice(name) for name in file.offset_keys()}
            return [(n, kinds[s.get_dtype()], s.get_shape()) for n, s in slices.items()]
    except (SafetensorError, KeyError) as error:
        raise Damaged(f"{path} is damaged: {error}") from None


DIGEST, ZEROS = "digest", "0" * 32
_SEAL = re.compile(rb'"digest": ?"([0-9a-f]{32})"')
MOST_BYTES = 1 << 32  # of a document, which is read whole
MOST_OF_TENSORS = 1 << 38  # of tensors: 600 networks of 10^8 numbers, or what is no such file
KINDS = {  # names of types of numbers in such a file
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    "bfloat16": "BF16",
    "uint8": "U8",
    "bool": "BOOL",
}


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
    _check_place(path, MOST_BYTES)
    try:
        return path.read_bytes()
    except OSError as error:
        raise Damaged(f"cannot read {path}: {error.strerror or error}") from None


def _check_place(path: Path, most: int) -> None:
    """Raise unless a file is there, of at most so many bytes."""
    try:
        if not path.is_file() and path.exists():  # reading a pipe would never end
            raise Damaged(f"{path} is no file")
        if path.stat().st_size > most:
            raise Damaged(f"{path} is damaged: {path.stat().st_size} bytes (at most {most})")
        path.open("rb").close()
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
    if place is None or _digest(_blank(raw, place)).encode() != raw[slice(*place)]:
        raise _changed(path)


def _changed(path: Path) -> Damaged:
    return Damaged(f"{path} is damaged: its bytes are not those that were written")


def _blank(raw: bytes, place: tuple[int, int]) -> bytes:
    """With zeros where the digest stands."""
    return raw[: place[0]] + ZEROS.encode() + raw[place[1] :]


def _begun(raw: bytes = b"") -> hashlib.blake2b:
    """A digest that begins with some bytes."""
    return hashlib.blake2b(raw, digest_size=16)


def _digest(raw: bytes) -> str:
    return _begun(raw).hexdigest()


def file_digest(path: Path) -> str:
    """32 hexadecimal digits that change with any byte of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _begun).hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    packages = ("sourcewise", "torch", "numpy", "scipy", "pandas")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
