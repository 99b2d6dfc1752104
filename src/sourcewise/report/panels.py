"""Sheets of images for the report: those of the data beside those that each strategy draws.

They are read from `samples/` of the run folder; without one there are none.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sourcewise.errors import InputError
from sourcewise.readers.npz import load_arrays
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.sheets import DATA, sheet

__all__ = ["SOURCES", "Panel", "panels"]

SOURCES, ACROSS = 20, 8  # of a sheet, and images of each


@dataclass(frozen=True)
class Panel:
    """A sheet: what it is called, and a PNG file as a data URI."""

    title: str
    uri: str


def panels(result: ComparisonResult) -> list[Panel]:
    """One of the data and one of each strategy, all in the same order of sources."""
    if result.data.image is None or result.run is None:
        return []
    return list(_panels(result, Path(result.run) / "samples"))


def _panels(result: ComparisonResult, folder: Path) -> Iterator[Panel]:
    order = [source.name for source in result.data.sources][:SOURCES]
    titles = {DATA: "images of the data", **{name: name for name in result.names}}
    for name, title in titles.items():
        found = _read(folder / f"{name}.npz", order)
        if found is not None:
            uri = b64encode(sheet(*found, across=ACROSS)).decode()
            yield Panel(title, f"data:image/png;base64,{uri}")


def _read(path: Path, order: list[str]) -> tuple[np.ndarray, list[str], int] | None:
    """The first images of each source, its name, and white; None where there is no such file."""
    try:
        arrays = load_arrays(path, ("x", "y", "top"))
    except (InputError, KeyError):
        return None
    labels = list(map(str, arrays["y"].tolist()))
    every = [[i for i, label in enumerate(labels) if label == name] for name in order]
    chosen = [i for at in every for i in at[:ACROSS]]
    return arrays["x"][chosen], [labels[i] for i in chosen], int(arrays["top"])
