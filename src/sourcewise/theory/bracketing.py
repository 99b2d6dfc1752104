"""The one interface between a family of models and the general bound: its bracketing number.

All classes of the paper (arXiv 2502.14583, Theorems 4.1, 4.3, 4.4) are bracketed in one way. Each
parameter lies in [-B, B]; rounding it to one of c cells of half-width `B/c` moves the density
little enough that a slightly raised copy of the rounded model dominates the model. So

    log N(eps) <= m log c,    c = ceil(B / eta(eps)),

where eta(eps) is the cell half-width that keeps the bracket's excess integral at most eps.
Everything is kept as logarithms: N itself overflows for the smallest of networks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.theory.checks import Floats

__all__ = ["Bracketing"]

_LOG_EXACT = 34.0  # below e^34 < 2^53 every whole number is a float, so ceil means something


@dataclass(frozen=True)
class Bracketing:
    """`log N(eps) <= m log ceil(B / eta(eps))`: m coordinates in [-B, B], each cut into cells.

    With S of P entries of a network non-zero, their places are chosen first:
    `log N <= min(m_dense log c, log_choices + m log c)`, `log_choices = J log C(P, S)`.

    >>> line = Bracketing(3, 1.0, lambda eps: eps / 2, lambda eta: 2 * eta, "line")
    >>> round(float(line.log_number(0.25)), 4), round(3 * float(np.log(8)), 4)
    (6.2383, 6.2383)

    Args:
        m: coordinates: pooled, separate or of any partition; >= 0.
        B: bound on each coordinate; > 0.
        eta: eps > 0 -> cell half-width that keeps the bracket's gap at most eps; increasing.
        epsilon: eta -> gap, the inverse of eta.
        name: which bracket, in words.
        log_choices: log of the number of sparsity patterns, >= 0; 0 for dense classes.
        m_dense: coordinates if zeros are counted too, >= m; None if m already counts them.
        log_scale: log of a factor by which cells are finer still, `B exp(log_scale) / eta`: the
            Lipschitz constant of a deep network, where it would overflow; any number, 0 if eta
            holds it.
        whole: cells are counted, so c is a whole number; False for a number given as
            `m log(B / eta)`.
    """

    m: ArrayLike
    B: ArrayLike
    eta: Callable[[ArrayLike], ArrayLike]
    epsilon: Callable[[ArrayLike], ArrayLike]
    name: str
    log_choices: ArrayLike = 0.0
    m_dense: ArrayLike | None = None
    log_scale: float = 0.0
    whole: bool = True

    def log_cells(self, eps: ArrayLike) -> Floats:
        """`log c`, `c = ceil(B / eta(eps))` cells per coordinate; eps > 0, broadcast with B."""
        half_width = np.log(np.asarray(self.eta(eps), dtype=np.float64))
        exact = np.log(np.asarray(self.B, dtype=np.float64)) + self.log_scale - half_width
        if not self.whole:
            return np.maximum(exact, 0)
        # A hair off, so that rounding does not turn 8 cells into 9; see `gap` for its counterpart.
        cells = np.ceil(np.exp(np.minimum(exact, _LOG_EXACT)) * (1 - 1e-12))
        return np.where(exact < _LOG_EXACT, np.log(np.maximum(cells, 1.0)), np.maximum(exact, 0))

    def gap(self, log_cells: ArrayLike) -> Floats:
        """The eps that c cells per coordinate reach, `epsilon(B / c)`; log_cells >= 0."""
        half_width = np.log(np.asarray(self.B, dtype=np.float64)) + self.log_scale
        # Too few cells may give an infinite gap: a useless bracket, not an error.
        with np.errstate(over="ignore"):
            return np.asarray(
                self.epsilon(np.exp(half_width - np.asarray(log_cells))), dtype=np.float64
            )

    def number_of_cells(self, log_cells: ArrayLike) -> Floats:
        """`log N` of c cells per coordinate, `m log c`; log_cells >= 0, broadcast with m."""
        log_c = np.asarray(log_cells, dtype=np.float64)
        sparse = np.asarray(self.m, dtype=np.float64) * log_c
        sparse = sparse + np.asarray(self.log_choices, dtype=np.float64)
        if self.m_dense is None:
            return sparse
        return np.minimum(sparse, np.asarray(self.m_dense, dtype=np.float64) * log_c)

    def log_number(self, eps: ArrayLike) -> Floats:
        """`log N(eps)`, the log bracketing number; eps > 0, broadcast with m and B."""
        return self.number_of_cells(self.log_cells(eps))
