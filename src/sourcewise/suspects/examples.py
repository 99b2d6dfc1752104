"""What a reader sees of a suspect row: its text, or the columns that tell most against its label.

A column tells by how much more usual its value is in the suggested source than in the row's own:
values are put into bins (tenths of a column of numbers or dates, categories, gaps), and of the c_k
of n_k rows of source k that share the bin,

    tell  =  log (c_k + 1/2) / (n_k + B/2)  -  log (c_y + 1/2) / (n_y + B/2),      B bins.

It is a description, column by column: the score itself comes from all of them together.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sourcewise.errors import shortened
from sourcewise.forms import Images, Ragged, Table, X, as_table, take
from sourcewise.results.labels import Telling
from sourcewise.results.samples import number
from sourcewise.sources import Sources

__all__ = ["Examples", "text_of"]

TENTHS = 10
COLUMNS = 4  # of a row
LONGEST = 200  # characters of a text


@dataclass(frozen=True)
class Examples:
    """Rows of a table beside how usual their values are in each source."""

    cells: dict[str, list[Any]]  # as files show them
    bins: dict[str, np.ndarray]  # (n,) of each column
    counts: dict[str, np.ndarray]  # (K, B) rows of each source in each bin

    @classmethod
    def of(cls, data: Sources) -> "Examples | None":
        """None of texts and images, which have no columns."""
        if isinstance(data.x, Ragged | Images):
            return None
        table, y = as_table(data.x), data.y.numpy()
        bins = {name: _bins(table, name) for name in table.names}
        counts = {}
        for name, bin in bins.items():
            wide = int(bin.max()) + 1
            both = np.bincount(y * wide + bin, minlength=data.K * wide)
            counts[name] = both.reshape(data.K, wide).astype(float)
        cells = {name: table.cells(name).tolist() for name in table.names}
        return cls(cells, bins, counts)

    def telling(self, row: int, own: int, other: int) -> tuple[Telling, ...]:
        """The columns that tell most against a row's own source, most first."""
        tells = {name: self._tell(name, row, own, other) for name in self.bins}
        order = sorted(tells, key=lambda name: -tells[name])
        chosen = [name for name in order if tells[name] > 0][:COLUMNS]
        return tuple(self._shown(name, row, own, other) for name in chosen)

    def _tell(self, name: str, row: int, own: int, other: int) -> float:
        counts, bin = self.counts[name], self.bins[name][row]
        smooth = (counts[:, bin] + 0.5) / (counts.sum(1) + counts.shape[1] / 2)
        return float(np.log(smooth[other] / smooth[own]))

    def _shown(self, name: str, row: int, own: int, other: int) -> Telling:
        counts, bin = self.counts[name], self.bins[name][row]
        shares = counts[:, bin] / np.maximum(counts.sum(1), 1)
        cell = number(self.cells[name][row])
        value = "" if cell is None else shortened(str(cell), 40)
        return Telling(name, value, float(shares[own]), float(shares[other]))


def _bins(table: Table, name: str) -> np.ndarray:
    """(n,) a column's values in bins; those that are missing come first."""
    values = table.columns[name].numpy()
    if not np.issubdtype(values.dtype, np.floating):
        return values + 1  # -1 is a gap
    there = ~np.isnan(values)
    edges = (
        np.unique(np.quantile(values[there], np.arange(1, TENTHS) / TENTHS)) if any(there) else []
    )
    return np.where(there, 1 + np.searchsorted(edges, values, side="right"), 0)


def text_of(x: X, row: int) -> str | None:
    """A text, a long one with its middle left out; None of what is no text."""
    import torch

    if not isinstance(x, Ragged):
        return None
    return shortened(take(x, torch.tensor([row])).strings()[0], LONGEST)
