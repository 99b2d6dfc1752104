"""New rows that are among those which the models of a run come from."""

from pathlib import Path

import torch
from torch import Tensor

from sourcewise.documents import reading
from sourcewise.files import read_tensors
from sourcewise.fitting.run import Run
from sourcewise.forms import Ragged
from sourcewise.metrics.base import Metric
from sourcewise.sources import Sources

__all__ = ["known_rows", "marks_of"]


def marks_of(run: Run) -> Tensor | None:
    """(N,) marks of the rows that the models come from (see `Sources.marks`), if it kept any."""
    place = run.result.run and Path(run.result.run) / "rows.safetensors"
    if not place or not place.exists():
        return None
    with reading(place):
        return read_tensors(place)["mark"].to(torch.int64).flatten()


def known_rows(run: Run, data: Sources, fingerprint: str, metric: Metric) -> str | None:
    """A warning if rows of the data were among those that the models come from."""
    better = "high" if metric.higher_is_better else "low"
    same = (
        f"these are the very rows that the models come from: their {metric.name} is too {better} "
        "for new rows"
    )
    if run.result.data.fingerprint == fingerprint:
        return same
    theirs = marks_of(run)
    if theirs is None:
        return None
    mine = data.marks
    # The fingerprint is of all columns; the marks are of those that the models use.
    if torch.equal(mine.sort().values, theirs.sort().values):
        return same
    known = torch.isin(mine, theirs)
    share = float(known.double().mean())
    if not share:
        return None
    what = "texts" if isinstance(data.x, Ragged) else "rows"
    return (
        f"{int(known.sum())} of {len(data)} {what} ({share:.0%}) equal one of the same source "
        "that the models come from: copies, or chance where few values are possible"
    )
