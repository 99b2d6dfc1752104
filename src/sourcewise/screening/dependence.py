"""Columns that depend exactly on others, which leave a density of numbers no volume."""

from collections.abc import Sequence

import numpy as np
import torch

from sourcewise.screening.base import Screened, tested_sources

__all__ = ["leave_out_dependent"]

DEPENDENT = 1e-8


def leave_out_dependent(screened: Screened, min_rows: int) -> None:
    """Leave out columns that are exact linear functions of earlier ones within some source."""
    for k in tested_sources(screened, min_rows):
        while (found := _first_dependent(screened, k)) is not None:
            source = screened.data.names[k]
            screened.leave_out(found, f"an exact linear function of the others within {source!r}")


def _first_dependent(screened: Screened, k: int) -> str | None:
    table = screened.table.take((screened.data.y == k).nonzero().squeeze(1))
    columns = [
        table.columns[name].log() if name in screened.log else table.columns[name]
        for name in table.names
    ]
    rows = torch.stack(columns, 1).numpy() if columns else np.empty((0, 0))
    rows = rows[~np.isnan(rows).any(1)]
    if rows.shape[1] < 2 or len(rows) < rows.shape[1] + 2:
        return None
    centred = rows - rows.mean(0)
    norms = np.linalg.norm(centred, axis=0)
    if not (norms > 0).all():  # constant among the complete rows: says nothing about the others
        return None
    return _first_beyond_rank(centred / norms, table.names)


def _first_beyond_rank(rows: np.ndarray, names: Sequence[str]) -> str | None:
    """The first column that adds no rank to those before it (pivoted QR decides if there is one).

    Args:
        rows: (n, d), columns of unit length.
        names: the d columns' names.
    """
    from scipy.linalg import qr

    pivots = np.abs(np.diag(qr(rows, mode="r", pivoting=True)[0]))
    if pivots[-1] > DEPENDENT * pivots[0]:
        return None
    for j in range(1, len(names)):
        pivots = np.abs(np.diag(qr(rows[:, : j + 1], mode="r", pivoting=True)[0]))
        if pivots[-1] <= DEPENDENT * pivots[0]:
            return names[j]
    return None
