"""Folders and files of plain text or FASTA records -> `Sources`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from sourcewise.errors import InputError, listing
from sourcewise.limits import MOST_SOURCES
from sourcewise.readers.files import read_lines, stem
from sourcewise.readers.frames import natural
from sourcewise.readers.registry import FASTA, PLAIN, ReadOptions
from sourcewise.readers.texts import labelled
from sourcewise.sources import Sources

__all__ = ["read_fasta", "read_folder", "refuse_single"]

_ENDINGS = ", ".join((*PLAIN.endings, *FASTA.endings))
_SOURCE = re.compile(r"(?:^|\s)source=(\S+)")
_BRING = (
    "a folder with one .txt file per source, JSON lines {source, text}, or a table with --text"
)


def read_folder(path: Path, options: ReadOptions, name: str) -> Sources:
    """A folder of text: file = source and line (or FASTA record) = example, or of folders:
    folder = source and file = example.

    Hidden files in it are left alone, any others must be text.
    """
    files, folders = _entries(path)
    if folders and files:
        raise InputError(
            f"{path} holds both files ({listing(f.name for f in files)}) and folders "
            f"({listing(f.name for f in folders)}): either one file or one folder per source"
        )
    homes = folders or files
    if not homes:
        raise InputError(f"{path} holds no text files: {_ENDINGS}")
    names = [folder.name for folder in folders] or [stem(file) for file in files]
    _refuse_same(names, homes)
    examples = []
    for k, home in enumerate(homes):
        found = _documents(home) if folders else _examples(home)
        examples += [(k, place, text) for place, text in found]
    return labelled(examples, names, name=name, chunk=options.chunk)


def read_fasta(path: Path, options: ReadOptions, name: str) -> Sources:
    """One FASTA file: the source is what follows `source=` in the header, or its first word.

    >A1 source=human          >human A1
    ACGT                      ACGT
    """
    records = list(_records(path))
    labels = _labels(records)
    names = sorted(set(labels), key=natural)
    if len(names) == len(records) > 1 or len(names) > MOST_SOURCES:
        raise InputError(
            f"{path}: the headers name {len(names)} sources for {len(records)} records: start "
            "each header with its source, write source=NAME into it, or bring a file per source"
        )
    index = {label: k for k, label in enumerate(names)}
    examples = [
        (index[label], place, sequence)
        for label, (place, _, sequence) in zip(labels, records, strict=True)
    ]
    return labelled(examples, names, name=name, chunk=options.chunk)


def _labels(records: Sequence[tuple[str, str, str]]) -> list[str]:
    marked = [_SOURCE.search(header) for _, header, _ in records]
    labels = []
    for mark, (place, header, _) in zip(marked, records, strict=True):
        if mark is None and any(marked):
            raise InputError(f"{place}: no source=NAME in this header, but in others")
        if not header:
            raise InputError(f"{place}: the header is empty; its first word is the source")
        labels.append(mark[1] if mark else header.split()[0])
    return labels


def refuse_single(path: Path, options: ReadOptions, name: str) -> NoReturn:
    """Raise for one file of plain text, which is empty or one source."""
    first = next((line for line in read_lines(path) if line.strip()), "")
    if not first:
        raise InputError(f"{path} is empty")
    hint = "; if it holds FASTA records, call it .fasta" if first.startswith(">") else ""
    raise InputError(f"{path} is one source only: bring {_BRING}{hint}")


def _entries(path: Path) -> tuple[list[Path], list[Path]]:
    """The files of text and the folders in a folder, in natural order; others are refused."""
    try:
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    entries.sort(key=lambda e: natural(e.name if e.is_dir() else stem(e)))
    folders = [entry for entry in entries if entry.is_dir()]
    flat = [entry for entry in entries if not entry.is_dir()]
    files = [entry for entry in flat if PLAIN.holds(entry) or FASTA.holds(entry)]
    others = [entry.name for entry in flat if entry not in files]
    if others:
        raise InputError(
            f"{path} holds files that are no text to read ({listing(others)}): allowed are "
            f"{_ENDINGS}; move the others elsewhere"
        )
    return files, folders


def _refuse_same(names: Sequence[str], homes: Iterable[Path]) -> None:
    seen: dict[str, Path] = {}
    for source, home in zip(names, homes, strict=True):
        if source in seen:
            raise InputError(f"{seen[source]} and {home.name} are both called {source!r}")
        seen[source] = home
        if not source.isprintable():
            raise InputError(f"{str(home)!r}: a source needs a printable name, in UTF-8")


def _examples(file: Path) -> Iterator[tuple[str, str]]:
    """The place and text of each example of one source's file."""
    if FASTA.holds(file):
        yield from ((place, sequence) for place, _, sequence in _records(file))
        return
    for number, line in enumerate(_some_lines(file), 1):
        if line.strip():
            yield f"{file}, line {number}", line


def _documents(folder: Path) -> Iterator[tuple[str, str]]:
    files, folders = _entries(folder)
    if folders:
        raise InputError(f"{folder} holds folders again ({folders[0].name}): a source holds files")
    if not files:
        raise InputError(f"{folder} holds no text files: a source needs examples; remove it")
    for file in files:
        if FASTA.holds(file):
            raise InputError(f"{file}: FASTA files are read from one folder, file = source")
        yield str(file), "\n".join(_some_lines(file)).removesuffix("\n")


def _some_lines(file: Path) -> list[str]:
    lines = read_lines(file)
    if not any(map(str.strip, lines)):
        raise InputError(f"{file} is empty: every file needs text; fill it or remove it")
    return lines


def _records(file: Path) -> Iterator[tuple[str, str, str]]:
    """Place, header and sequence of each record: `>header`, then lines of sequence."""
    place, header, parts = "", None, []
    for number, line in enumerate([*_some_lines(file), ">"], 1):
        if not line.startswith(">"):
            if header is None and line.strip():
                raise InputError(f"{file}, line {number}: no FASTA, which begins with '>'")
            parts.append("".join(line.split()))
            continue
        if header is not None:
            if not any(parts):
                raise InputError(f"{place}: a header without a sequence ({header[:40]!r})")
            yield place, header, "".join(parts)
        place, header, parts = f"{file}, line {number}", line[1:].strip(), []
