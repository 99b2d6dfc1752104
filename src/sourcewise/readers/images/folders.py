"""A folder per source, each with its images, on disk or in a .zip file -> `Sources`."""

import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from sourcewise.errors import InputError, listing
from sourcewise.limits import check_unpacked
from sourcewise.readers.files import is_no_data, natural, reading, refuse_special
from sourcewise.readers.images.decode import Encoded
from sourcewise.readers.images.sources import encoded_images
from sourcewise.readers.registry import ReadOptions
from sourcewise.sources import Sources

__all__ = ["read_folder", "read_zip"]

_PER_SOURCE = "bring one folder of images for each source"


@dataclass
class _Found:
    """The images of each source, and what is no data."""

    where: Path
    of: dict[str, list[Encoded]] = field(default_factory=lambda: defaultdict(list))
    out: list[str] = field(default_factory=list)

    def sources(self, options: ReadOptions, name: str) -> Sources:
        """All of them."""
        names = sorted(self.of, key=natural)
        for source in names:
            if not source.isprintable():
                raise InputError(
                    f"{self.where}: {source!r}: a source needs a printable name, in UTF-8"
                )
        notes = [f"left out, as no data: {listing(sorted(self.out))}"] if self.out else []
        items = [item for source in names for item in self.of[source]]
        y = [k for k, source in enumerate(names) for _ in self.of[source]]
        where = {"where": self.where, "name": name, "notes": notes}
        return encoded_images(items, y, names, options, **where)


def read_folder(path: Path, options: ReadOptions, name: str) -> Sources:
    """A folder of folders: inner folder = source, file = image.

    What systems and people leave beside data is left out, with a note; all others must be images,
    which their content tells, not their ending.
    """
    found = _Found(path)
    files, folders = _entries(path, found)
    if files:
        raise _no_folders(path, [file.name for file in files], bool(folders))
    for folder in folders:
        files, inner = _entries(folder, found)
        if inner:
            raise InputError(f"{inner[0]} lies too deep: {_PER_SOURCE}, and none in it")
        if not files:
            raise InputError(f"{folder} holds no images: a source needs some; remove it")
        found.of[folder.name] = [Encoded(str(file), partial(file.open, "rb")) for file in files]
    return found.sources(options, name)


def _no_folders(where: Path, files: Sequence[str], both: bool) -> InputError:
    more = "beside folders" if both else "and no folders"
    return InputError(f"{where} holds files ({listing(files, 3)}) {more}: {_PER_SOURCE}")


def _entries(path: Path, found: _Found) -> tuple[list[Path], list[Path]]:
    """Files and folders, in natural order."""
    with reading(path):
        entries = sorted(path.iterdir(), key=lambda entry: natural(entry.name))
    data = [entry for entry in entries if not is_no_data(entry.name)]
    found.out += [
        str(entry.relative_to(found.where)) for entry in entries if is_no_data(entry.name)
    ]
    folders = [entry for entry in data if entry.is_dir()]
    files = [entry for entry in data if not entry.is_dir()]
    for file in files:
        refuse_special(file)
    return files, folders


def read_zip(path: Path, options: ReadOptions, name: str) -> Sources:
    """The same in a .zip file; folders around those of the sources do not matter."""
    with reading(path):
        if not zipfile.is_zipfile(path):
            raise InputError(f"{path} is damaged or no .zip file")
        with zipfile.ZipFile(path) as archive:
            return _in_archive(path, archive).sources(options, name)


def _in_archive(path: Path, archive: zipfile.ZipFile) -> _Found:
    found = _Found(path)
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for item in archive.infolist():
        inner = PurePosixPath(item.filename.replace("\\", "/"))
        if item.is_dir():
            continue
        if inner.is_absolute() or ".." in inner.parts:
            raise InputError(f"{path}: {inner} lies outside of the archive: it is not read")
        if any(map(is_no_data, inner.parts)):
            found.out.append(str(inner))
            continue
        _check_item(path, item, inner)
        if inner in members:
            raise InputError(f"{path} holds {inner} twice")
        members[inner] = item
    if not members:
        raise InputError(f"{path} holds no images: {_PER_SOURCE}")
    packed = sum(item.compress_size for item in members.values())
    unpacked = sum(item.file_size for item in members.values())
    check_unpacked(unpacked, packed, path, "unpack it first")
    for source, inner, item in _by_source(path, members):
        unpack = partial(_unpack, archive, item)
        found.of[source].append(Encoded(f"{path}: {inner}", unpack))
    return found


def _check_item(path: Path, item: zipfile.ZipInfo, inner: PurePosixPath) -> None:
    """Raise by what the archive says of a file."""
    where = f"{path}: {inner}"
    if item.flag_bits & 1:
        raise InputError(f"{where} is encrypted: write the archive without a password")
    if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{where} is packed in another way than by deflate: pack it again")
    check_unpacked(item.file_size, item.compress_size, where, "unpack the archive first")


def _by_source(
    path: Path, members: Mapping[PurePosixPath, zipfile.ZipInfo]
) -> Iterator[tuple[str, PurePosixPath, zipfile.ZipInfo]]:
    """Source, path and entry of each image, in natural order."""
    outer = 0  # folders that are around all
    parts = [inner.parts for inner in members]
    while len({p[outer] for p in parts}) == 1 and all(len(p) > outer + 2 for p in parts):
        outer += 1
    loose = [str(inner) for inner in members if len(inner.parts) < outer + 2]
    if loose:
        raise _no_folders(path, loose, len(loose) < len(members))
    nested = [str(inner) for inner in members if len(inner.parts) > outer + 2]
    if nested:
        raise InputError(f"{path}: {nested[0]} lies too deep: {_PER_SOURCE}, and none in it")
    for inner in sorted(members, key=lambda inner: natural(str(inner))):
        yield inner.parts[outer], inner, members[inner]


def _unpack(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> io.BytesIO:
    """A file's bytes; not more than it says that it has."""
    with archive.open(item) as file:
        return io.BytesIO(file.read(item.file_size))
