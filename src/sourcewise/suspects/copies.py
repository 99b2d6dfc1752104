"""What copies of a row are labelled: they tell what it is better than any model."""

import torch
from torch import Tensor

from sourcewise.sources import Sources

__all__ = ["votes"]


def votes(data: Sources, y: Tensor, J: int) -> Tensor | None:
    """(n, J) how many other rows that equal a row have each label; None: no row has a copy.

    Only of copies that folds keep together with the row: what its model has seen has had its say.
    So there are none where users say what belongs together, and where rows are equal by chance.

    Args:
        data: n rows.
        y: (n,) their labels; -1: one that nobody judges.
        J: number of labels.
    """
    if not torch.equal(data.units, data.same) or int(data.same[-1]) == len(data) - 1:
        return None
    known = (y >= 0).nonzero().squeeze(1)
    count = torch.zeros(int(data.same.max()) + 1, J, dtype=torch.float64)
    one = torch.ones(len(known), dtype=torch.float64)
    count.index_put_((data.same[known], y[known]), one, accumulate=True)
    found = count[data.same]
    found[known, y[known]] -= 1
    return found
