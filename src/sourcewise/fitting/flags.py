"""Labels that trained models have judged, row by row: `flags.csv` beside the models."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.cells import csv_text
from sourcewise.families.offers import Judging, LabelFlags
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.files import write_atomic
from sourcewise.sources import Sources

__all__ = ["FlaggedRows", "flagged_rows", "write_flags"]

FIELDS = ["row", "source", "looks", "flagged", "excess"]


@dataclass(frozen=True)
class FlaggedRows:
    """What the models of a strategy found of the labels of their training rows.

    Args:
        row: (m,) the number of each among all rows of the data, increasing.
        label: (m,) the source that it was trained as.
        flags: what became of it.
    """

    row: Tensor
    label: Tensor
    flags: LabelFlags


def flagged_rows(model: PartitionedModel, train: Tensor, y: Tensor) -> FlaggedRows | None:
    """Of all blocks that have judged labels; None: none has.

    Args:
        model: just trained.
        train: (n_train,) numbers of the training rows.
        y: (n_train,) the sources that they were trained as.
    """
    at, parts = [], []
    for j, rows, _ in model.route_known(y):
        block = model.block(j)
        if isinstance(block, Judging) and block.judged_after is not None and block.flags:
            at.append(rows.sort().values)  # in the order in which the block has them
            flags = block.flags
            parts.append(torch.stack([flags.looks, flags.flagged, flags.excess]))
    if not at:
        return None
    rows, order = torch.cat(at).sort()
    return FlaggedRows(train[rows], y[rows], LabelFlags(*torch.cat(parts, 1)[:, order]))


def write_flags(path: Path, found: FlaggedRows, data: Sources) -> None:
    """A line per row: where it stands, its label, and the share of its looks that flagged it.

    `excess` is the mean of what labels are judged by; a row that was never judged has neither.
    """
    flags, lines = found.flags, []
    each = zip(
        found.row.tolist(), found.label.tolist(), flags.looks.tolist(),
        flags.share.tolist(), flags.mean_excess.tolist(), strict=True,
    )  # fmt: skip
    for row, label, looks, share, excess in each:
        told = [f"{share:.6g}", f"{excess:.6g}"] if looks else ["", ""]
        lines.append([data.places(row), data.names[label], f"{looks:.0f}", *told])
    write_atomic(path, csv_text([FIELDS, *lines]))
