"""`log Z_s`, the weighed number of Gaussian bracket elements behind `theory.gaussian.localized`.

Ours: section 4 of the project's theory, docs/theory/gaussian.md.
With c the precision of the bracket and `N = (1-s) n_k` for a specific coordinate of source k,
`(1-s) n_block` for a shared one, the element centred at distance t from the truth has
`BC^N = exp(N [log(2/(1+c))/2 + (1-c)/4] - alpha t^2)` in that coordinate, `alpha = N c/(4 (1+c))`.
Its sum over cells of half-width eta, whose centres lie 2 eta apart, gives

    log Z_s = sum over coordinates of N [log(2/(1+c))/2 + (1-c)/4]
              + log min(cells, 1 + sqrt(pi/alpha) / (2 eta)).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sourcewise.theory.checks import Floats
from sourcewise.theory.gaussian.brackets import log_mass

__all__ = ["Cells", "Groups", "log_z", "make_cells"]


@dataclass(frozen=True)
class Groups:
    """Coordinates informed by the same number of examples, `K d1` or `J (d - d1)` if balanced."""

    count: Floats  # (points, groups) how many coordinates; a row per point
    n: Floats  # (points, groups) examples that inform one of them
    shared: NDArray[np.bool_]  # (groups,) whether they are shared
    d1: Floats  # (points, 1) specific coordinates of one source
    finer: Floats  # (points, 1) width of shared cells over that of specific ones, J/K

    def at(self, rows: slice) -> "Groups":
        """Some of the points."""
        return Groups(self.count[rows], self.n[rows], self.shared, self.d1[rows], self.finer[rows])


class Cells:
    """What `log Z_s` needs of cells of half-width `eta = B/cells`, each (points, etas, 1)."""

    def __init__(self, cells: Floats, B: Floats):
        self.eta = B / cells
        wider = -np.expm1(-2 * np.arcsinh(self.eta / 2))[:, :, None]  # 1 - c
        self.log_cells = np.log(cells)[:, :, None]
        self.raised = wider / 4 - np.log1p(-wider / 2) / 2
        with np.errstate(over="ignore"):  # beyond floats: one cell, log_cells is the smaller
            # sqrt(pi/alpha) / (2 eta) at N = 1
            self.flat = np.sqrt(math.pi * (2 - wider) / (1 - wider)) / self.eta[:, :, None]

    def log_sum(self, N: Floats) -> Floats:
        """`log min(cells, 1 + sqrt(pi/alpha) / (2 eta))`, (points, etas, tilts); N > 0."""
        with np.errstate(over="ignore"):  # as above
            return np.minimum(self.log_cells, np.log1p(self.flat / np.sqrt(N)))


def make_cells(groups: Groups, eta: Floats, d: int, B: Floats) -> tuple[Cells, Cells, Floats]:
    """Cells of specific and of shared coordinates, `ceil(B/width)` of them, and the gap they make.

    Widths are eta on average over the d coordinates, those of shared ones `finer` times as wide.

    >>> one = Groups(*(np.array([[v]]) for v in (3.0, 100.0)), np.array([False]),
    ...              *(np.array([[v]]) for v in (3.0, 1.0)))
    >>> own, rest, gap = make_cells(one, np.array([[0.01]]), d=3, B=np.array([1.0]))
    >>> own.eta.tolist(), gap.round(4).tolist()
    ([[0.01]], [[[0.0304]]])
    >>> log_z(one, own, rest, tilt=np.array([[[0.5]]])).round(2).tolist()
    [[[11.54]]]

    Args:
        groups: of coordinates.
        eta: (points, etas) half-widths, > 0.
        d: coordinates, d >= 1.
        B: (points,) bound on the means, > 0.
    """
    d1, finer, B = groups.d1, groups.finer, B[:, None]
    wide = d * eta / (d1 + (d - d1) * finer)
    own, rest = (Cells(np.ceil(B / width), B) for width in (wide, wide * finer))
    mass = d1 * log_mass(own.eta / 2) + (d - d1) * log_mass(rest.eta / 2)
    with np.errstate(over="ignore"):  # too wide to say anything
        return own, rest, np.expm1(mass)[:, :, None]


def log_z(groups: Groups, own: Cells, rest: Cells, tilt: Floats) -> Floats:
    """`log Z_s`, (points, etas, tilts), by the sum over coordinates of the file's head.

    Args:
        groups: of coordinates.
        own, rest: cells of specific and of shared ones.
        tilt: (points, 1, tilts) 1 - s, in (0, 1).
    """
    total = np.zeros((*own.eta.shape, tilt.shape[2]))
    for count, examples, shared in zip(groups.count.T, groups.n.T, groups.shared, strict=True):
        cells, N = rest if shared else own, tilt * examples[:, None, None]
        total += count[:, None, None] * (N * cells.raised + cells.log_sum(N))
    return total
