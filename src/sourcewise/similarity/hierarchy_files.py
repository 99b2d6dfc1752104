"""Hierarchies from files: trees in JSON as WordNet's are handed round, and CSV files of groups.

JSON: `{"nodes": [{"id", "label"?}, ...], "links": [{"source", "target"}, ...]}`, each link from a
parent to its child. Other keys are passed over.

CSV: a row of names, then a row for each class: the class first, then its groups from coarse to
fine.

    class,kind,family
    cat,animal,feline
    lion,animal,feline
    car,vehicle,

Empty cells at the end are no groups. The root, which the file does not name, holds the coarsest.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sourcewise.documents import from_json
from sourcewise.errors import Damaged, InputError, shortened
from sourcewise.similarity.hierarchy import Hierarchy

__all__ = ["ROOT", "read_hierarchy"]

ROOT = "(all)"  # the root of a CSV file
_JSON = 'nodes, each with an "id", and links, each with a "source" (the parent) and a "target"'
_CSV = "a row of names, then rows of a class and its groups from coarse to fine"


@dataclass(frozen=True)
class _Node:
    id: str
    label: str | None = None


@dataclass(frozen=True)
class _Link:
    source: str
    target: str


@dataclass(frozen=True)
class _Tree:
    nodes: tuple[_Node, ...]
    links: tuple[_Link, ...]


def read_hierarchy(path: Path) -> Hierarchy:
    """The hierarchy of a .json or .csv file; see the module for both.

    Raises:
        InputError: one line that names the file: it is missing or of another ending, it is not as
            above, or what it holds is no tree (two parents, two roots, a node under itself).
    """
    read = {".json": _from_json, ".csv": _from_csv}.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path}: a hierarchy is a .json or .csv file")
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: a hierarchy is text in UTF-8") from None
    return read(text, str(path))


def _from_json(text: str, where: str) -> Hierarchy:
    try:
        tree = from_json(_Tree, json.loads(text), where)
    except (Damaged, ValueError, RecursionError) as error:
        found = error.message if isinstance(error, Damaged) else f"{where} is no JSON"
        raise InputError(f"{found}; a hierarchy has {_JSON}") from None
    known = {node.id for node in tree.nodes}
    for link in tree.links:
        for end in (link.source, link.target):
            if end not in known:
                raise InputError(f"{where}: a link names {shortened(repr(end))}, which is no node")
    labels = {node.id: node.label for node in tree.nodes if node.label is not None}
    links = ((link.source, link.target) for link in tree.links)
    hierarchy = Hierarchy.of(links, labels, where)
    apart = known - hierarchy.parents.keys() - {hierarchy.root}
    if apart:
        raise InputError(f"{where}: no link leads to {shortened(repr(min(apart)))}: no tree")
    return hierarchy


def _from_csv(text: str, where: str) -> Hierarchy:
    try:
        names, *rows = list(csv.reader(io.StringIO(text, newline=""), strict=True)) or [[]]
    except csv.Error as error:
        raise InputError(f"{where}: {error}; a hierarchy is {_CSV}") from None
    if len(names) < 2:
        raise InputError(f"{where}: {len(names)} columns; a hierarchy is {_CSV}")
    return Hierarchy.of(_links(rows, len(names), where), where=where)


def _links(rows: Sequence[Sequence[str]], width: int, where: str) -> Iterator[tuple[str, str]]:
    """(parent, child) of all rows, with the root above the coarsest groups."""
    for number, row in enumerate(rows, start=2):
        if not row:  # an empty line
            continue
        cells = [cell.strip() for cell in row]
        if len(cells) > width:
            told = f"row {number} has {len(cells)} cells, the names are {width}"
            raise InputError(f"{where}: {told}")
        while cells and not cells[-1]:
            cells.pop()
        if not all(cells) or not cells:
            raise InputError(f"{where}: row {number} lacks a class, or a group before another")
        if ROOT in cells:
            raise InputError(
                f"{where}: row {number}: {ROOT} is the root's name, no class or group"
            )
        chain = [ROOT, *cells[1:], cells[0]]
        yield from pairwise(chain)
