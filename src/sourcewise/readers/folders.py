"""Folders and files of plain text or FASTA records -> `Sources`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NoReturn

from sourcewise.errors import InputError, listing
from sourcewise.limits import MOST_SOURCES
from sourcewise.readers.encoding import NotText, TextLines, is_surely_utf8, lines_of, read_text
from sourcewise.readers.files import is_no_data, natural, read_bytes, reading, refuse_special, stem
from sourcewise.readers.registry import FASTA, PLAIN, ReadOptions
from sourcewise.readers.spelling import line_ends_of_files
from sourcewise.readers.texts import Examples
from sourcewise.sources import Sources

__all__ = ["read_fasta", "read_folder", "refuse_single"]

_ENDINGS = ", ".join((*PLAIN.endings, *FASTA.endings))
_SOURCE = re.compile(r"(?:^|\s)source=(\S+)")
_BRING = (
    "a folder with one .txt file per source, JSON lines {source, text}, or a table with --text"
)
Record = tuple[int, str, str]  # line, header and sequence


def read_folder(path: Path, options: ReadOptions, name: str) -> Sources:
    """A folder of text: file = source and line (or FASTA record) = example, or of folders:
    folder = source and file = example.

    What systems and people leave beside data is left out, with a note; any others must be text.
    """
    out: list[Path] = []
    files, folders = _entries(path, out)
    if folders and files:
        raise InputError(
            f"{path} holds both files ({listing(f.name for f in files)}) and folders "
            f"({listing(f.name for f in folders)}): either one file or one folder per source"
        )
    homes = folders or files
    if not homes:
        raise InputError(f"{path} holds neither images nor text files ({_ENDINGS})")
    names = [folder.name for folder in folders] or [stem(file) for file in files]
    _refuse_same(names, homes)
    parts = [_documents(home, out) for home in folders] or [[file] for file in files]
    notes = _left_out(path, out)
    examples, ends = Examples(), []
    owners = [k for k, part in enumerate(parts) for _ in part]
    everything = [file for part in parts for file in part]
    take = _document if folders else _examples
    for k, lines in zip(owners, _texts(everything, options.encoding, notes), strict=True):
        examples.add(k, lines.path, take(lines))
        ends.append(lines.end)
    notes += line_ends_of_files(ends, owners, names)
    return examples.sources(names, name=name, chunk=options.chunk, notes=tuple(notes))


def read_fasta(path: Path, options: ReadOptions, name: str) -> Sources:
    """One FASTA file: the source is what follows `source=` in the header, or its first word.

    >A1 source=human          >human A1
    ACGT                      ACGT
    """
    records = list(_records(TextLines(path, options.encoding)))
    labels = _labels(path, records)
    names = sorted(set(labels), key=natural)
    if len(names) == len(records) > 1 or len(names) > MOST_SOURCES:
        raise InputError(
            f"{path}: the headers name {len(names)} sources for {len(records)} records: start "
            "each header with its source, write source=NAME into it, or bring a file per source"
        )
    index, examples = {label: k for k, label in enumerate(names)}, Examples()
    for label, (line, _, sequence) in zip(labels, records, strict=True):
        examples.add(index[label], path, [(line, sequence)])
    return examples.sources(names, name=name, chunk=options.chunk)


def _labels(path: Path, records: Sequence[Record]) -> list[str]:
    marked = [_SOURCE.search(header) for _, header, _ in records]
    labels = []
    for mark, (line, header, _) in zip(marked, records, strict=True):
        place = f"{path}, line {line}"
        if mark is None and any(marked):
            raise InputError(f"{place}: no source=NAME in this header, but in others")
        if not header:
            raise InputError(f"{place}: the header is empty; its first word is the source")
        labels.append(mark[1] if mark else header.split()[0])
    return labels


def refuse_single(path: Path, options: ReadOptions, name: str) -> NoReturn:
    """Raise for one file of plain text, which is empty or one source."""
    lines = lines_of(read_text(path, options.encoding))
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise InputError(f"{path} is empty")
    hint = "; if it holds FASTA records, call it .fasta" if first.startswith(">") else ""
    raise InputError(f"{path} is one source only: bring {_BRING}{hint}")


def _entries(path: Path, out: list[Path]) -> tuple[list[Path], list[Path]]:
    """The files of text and the folders in a folder, in natural order; others are refused.

    What is no data is added to `out`.
    """
    with reading(path):
        entries = sorted(path.iterdir(), key=lambda e: natural(e.name if e.is_dir() else stem(e)))
    no_data = {entry for entry in entries if is_no_data(entry.name)}
    out += sorted(no_data)
    folders = [entry for entry in entries if entry.is_dir() and entry not in no_data]
    flat = [entry for entry in entries if not entry.is_dir() and entry not in no_data]
    files = [entry for entry in flat if PLAIN.holds(entry) or FASTA.holds(entry)]
    others = [entry.name for entry in flat if entry not in files]
    if others:
        raise InputError(
            f"{path} holds files that are no text to read ({listing(others)}): allowed are "
            f"{_ENDINGS}; move the others elsewhere"
        )
    for file in files:
        refuse_special(file)
    return files, folders


def _left_out(path: Path, out: Sequence[Path]) -> list[str]:
    told = listing(entry.relative_to(path) for entry in out)
    return [f"left out, as no data: {told}"] if out else []


def _refuse_same(names: Sequence[str], homes: Iterable[Path]) -> None:
    seen: dict[str, Path] = {}
    for source, home in zip(names, homes, strict=True):
        if source in seen:
            raise InputError(f"{seen[source]} and {home.name} are both called {source!r}")
        seen[source] = home
        if not source.isprintable():
            raise InputError(f"{str(home)!r}: a source needs a printable name, in UTF-8")


def _documents(folder: Path, out: list[Path]) -> list[Path]:
    """The files of one source."""
    files, folders = _entries(folder, out)
    if folders:
        raise InputError(f"{folder} holds folders again ({folders[0].name}): a source holds files")
    if not files:
        raise InputError(f"{folder} holds no text files: a source needs examples; remove it")
    for file in files:
        if FASTA.holds(file):
            raise InputError(f"{file}: FASTA files are read from one folder, file = source")
    return files


def _texts(files: Sequence[Path], wanted: str | None, notes: list[str]) -> Iterator[TextLines]:
    """The lines of each file; all that have another encoding are told at once."""
    bad, utf8 = [], []
    for file in files:
        other = wanted is not None and is_surely_utf8(read_bytes(file), wanted)
        utf8 += [file.name] if other else []
        try:
            lines = TextLines(file, None if other else wanted)
        except NotText as error:
            bad.append(error)
            continue
        if not bad:
            yield lines
    if bad:
        raise NotText.of_all(bad)
    if utf8:
        notes.append(f"{listing(utf8)}: read as UTF-8, which it is, not as {wanted}")


def _examples(lines: TextLines) -> Iterator[tuple[int, str]]:
    """The line and text of each example of one source's file."""
    if FASTA.holds(lines.path):
        yield from ((line, sequence) for line, _, sequence in _records(lines))
        return
    for number, line in enumerate(_some(lines), 1):
        if not line.isspace():
            yield number, line.removesuffix("\n")


def _document(lines: TextLines) -> Iterator[tuple[int, str]]:
    """A file that is one example."""
    yield 0, "".join(_some(lines)).removesuffix("\n")


def _some(lines: TextLines) -> Iterator[str]:
    """The lines of a file that must not be blank throughout."""
    every = iter(lines)
    for line in every:
        yield line
        if not line.isspace():
            yield from every
            return
    raise InputError(f"{lines.path} is empty: every file needs text; fill it or remove it")


def _records(lines: TextLines) -> Iterator[Record]:
    """Line, header and sequence of each record: `>header`, then lines of sequence."""
    file = lines.path
    start, header, parts = 0, None, []
    for number, line in enumerate(chain(_some(lines), ">"), 1):
        if not line.startswith(">"):
            if header is None and line.strip():
                raise InputError(f"{file}, line {number}: no FASTA, which begins with '>'")
            parts.append("".join(line.split()))
            continue
        if header is not None:
            if not any(parts):
                raise InputError(
                    f"{file}, line {start}: a header without a sequence ({header[:40]!r})"
                )
            yield start, header, "".join(parts)
        start, header, parts = number, line[1:].strip(), []
