"""Whether draws are copies of training rows: how near these are, by what is usual.

Of each draw and each held-out row let t be the distance to its nearest training row, as points.

    ratio = median of t over draws / median of t over held-out rows
    share = share of draws whose t is below the r-th smallest t of the h held-out rows,
            r = max(1, floor((h + 1) / 100))

A model that has learned the law draws as near as held-out rows are: each t of a draw is as likely
as any of theirs to be the smallest, so that E share = r / (h + 1), about 1 % (exactly so for
continuous laws), and the log of the ratio is around 0. Copies have ratio 0 and share 1. A ratio
well above 1 is no merit: such draws are far from all rows.

Neither is a deciding metric, and a small ratio alone is no proof: draws that are too alike, near
where rows are dense, have one too. `share` looks at what is nearer than rows ever are.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.metrics.pairs import nearest

__all__ = ["Memorisation", "memorisation"]

QUANTILE = 100  # one of so many held-out rows is nearer


@dataclass(frozen=True)
class Memorisation:
    """How near draws are to training rows; see the module.

    Args:
        ratio: of the medians; NaN where half of the held-out rows are copies of training rows.
        share: of the draws that are nearer than held-out rows are.
        expected_share: its expectation for draws from the truth.
        nearer: P(t of a draw < t of a held-out row), ties counting half: 1/2 for the truth.
    """

    ratio: float
    share: float
    expected_share: float
    nearer: float


def memorisation(draws: Tensor, training: Tensor, held_out: Tensor) -> Memorisation:
    """Of the draws of a source, by its rows; all as points of one space.

    Args:
        draws: (m, D).
        training: (n, D) rows that the model was trained on: of all sources of its block, or of
            this source alone.
        held_out: (h, D) other rows of the source.

    Raises:
        InputError: one of them is empty.
    """
    sizes = {"draws": len(draws), "training rows": len(training), "held-out rows": len(held_out)}
    if missing := [name for name, size in sizes.items() if not size]:
        raise InputError(
            f"no {missing[0]}: memorisation compares draws, training and held-out rows"
        )
    drawn, usual = nearest(draws, training), nearest(held_out, training).sort().values
    h, typical = len(usual), float(usual.quantile(0.5))
    r = max(1, (h + 1) // QUANTILE)
    return Memorisation(
        ratio=float(drawn.quantile(0.5)) / typical if typical else math.nan,
        share=float((drawn < usual[r - 1]).double().mean()),
        expected_share=r / (h + 1),
        nearer=_nearer(drawn, usual),
    )


def _nearer(drawn: Tensor, usual: Tensor) -> float:
    """P(drawn < usual) + P(drawn = usual) / 2; `usual` is in order."""
    below = torch.searchsorted(usual, drawn).double()
    upto = torch.searchsorted(usual, drawn, right=True).double()
    return 1 - float((below + upto).mean()) / (2 * len(usual))
