"""What is measured of a trained flow, block by block, and what the scheme and its bounds say."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.jko.model import JKOFlow
from sourcewise.families.jko.residual import AfterBlock, followed
from sourcewise.randomness import Noise
from sourcewise.studies.jko.truths import MEANS, SPREADS, Known, Normal
from sourcewise.theory import jko, jko_normal

__all__ = ["Law", "Place", "measured", "total_variation"]

SIDE, CELLS = 6.0, 121  # half the side of the square that TV is summed over, and cells of a side
STEPS = 8  # of each block, where rows are followed


@dataclass(frozen=True)
class Law:
    """The moments of a law in the axes of its truth, or of the scheme there."""

    mean: tuple[float, ...]
    spread: tuple[float, ...]  # standard deviations

    @property
    def w2(self) -> float:
        """To N(0, I), of a normal law with these moments and axes."""
        return jko_normal.w2(self.mean, self.spread)

    @property
    def kl(self) -> float:
        """Likewise."""
        return jko_normal.kl(self.mean, self.spread)


@dataclass(frozen=True)
class Place:
    """A source after a number of blocks. None: the data themselves, or a truth without a scheme
    in closed form."""

    truth: str
    source: int
    block: int  # so many blocks; 0: data
    gamma: float | None  # size of the last step
    eps: float | None  # its first-order residual, by the block's own way back
    kl: float  # from N(0, I), a mean over rows
    kl_error: float  # its standard error
    fisher: float | None  # half the relative Fisher information, which is at least the KL
    kl_exact: float | None  # of the scheme
    kl_bound: float | None  # by the theory, with the largest residual so far
    w2: float | None  # to N(0, I), of the normal law with the moments found: at most that of p_n
    w2_exact: float | None
    w2_bound: float | None
    mean_error: float | None  # largest difference of means, in standard deviations
    spread_error: float | None  # largest relative difference of standard deviations
    tv: float | None = None  # between the flow's density and the truth's; of all blocks


def measured(
    name: str, truth: Known, model: JKOFlow, n: int, noise: Noise
) -> tuple[list[Place], list[list[list[float]]]]:
    """Places of both sources, and some rows of the first one at each (for pictures).

    Args:
        name: of the truth.
        truth: the law of data.
        model: trained on it.
        n: rows that expectations are taken over.
        noise: of these.
    """
    places, shown = [], []
    for k in range(2):
        y = torch.full((n,), k)
        x = truth.sample(y, noise=noise)

        def log_p(at: Tensor, y: Tensor = y) -> Tensor:
            return truth.log_prob(at, y)

        found = followed(model, Batch.of(x, y), log_p, STEPS)
        places += _places(name, truth, model, k, x, log_p(x), found)
        if k == 0:
            shown = [one[:300].tolist() for one in (x, *(after.x for after in found))]
    return places, shown


def _places(
    name: str,
    truth: Known,
    model: JKOFlow,
    k: int,
    x: Tensor,
    log_p: Tensor,
    found: Sequence[AfterBlock],
) -> Iterator[Place]:
    sizes = model.gamma.tolist()
    exact = Law(MEANS[k], SPREADS[k]) if isinstance(truth, Normal) else None
    start = exact.w2 if exact else math.nan
    eps = 0.0
    for block, after in enumerate((None, *found)):
        at, value = (x, log_p) if after is None else (after.x, after.log_p)
        kl = value + 0.5 * at.square().sum(1) + math.log(2 * math.pi)
        gamma = None if after is None else sizes[block - 1]
        bounds = None, None
        if exact and gamma is not None and after is not None:
            exact = Law(*map(tuple, jko_normal.step(exact.mean, exact.spread, gamma)))
            eps = max(eps, after.eps)
            w2 = jko.w2_bound(start, gamma, 1, eps, block)
            bounds = w2, jko.kl_bound(start, gamma, 1, eps, block)
        law = _moments(truth, at, k)
        yield Place(
            name,
            k,
            block,
            gamma,
            None if after is None else after.eps,
            float(kl.mean()),
            float(kl.std()) / math.sqrt(len(kl)),
            None if after is None else after.relative**2 / 2,
            exact and exact.kl,
            bounds[1],
            law and law.w2,
            exact and exact.w2,
            bounds[0],
            *_apart(law, exact),
        )


def _moments(truth: Known, x: Tensor, k: int) -> Law | None:
    if not isinstance(truth, Normal):
        return None
    own = truth.in_axes(x, k)
    return Law(tuple(own.mean(0).tolist()), tuple(own.std(0, correction=0).tolist()))


def _apart(law: Law | None, exact: Law | None) -> tuple[float | None, float | None]:
    """Largest differences of means, and of standard deviations, in units of the latter."""
    if law is None or exact is None:
        return None, None
    mean, spread, m, s = map(np.array, (law.mean, law.spread, exact.mean, exact.spread))
    return float(np.abs((mean - m) / s).max()), float(np.abs(spread / s - 1).max())


def total_variation(truth: Known, model: JKOFlow, k: int) -> float:
    """`1/2 sum |p - p^|` over the cells of a square, of source k."""
    line = torch.linspace(-SIDE, SIDE, CELLS, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    y = torch.full((len(grid),), k)
    found = model.log_density(Batch.of(grid, y), Noise(0)).value
    apart = (found.exp() - truth.log_prob(grid, y).exp()).abs().sum()
    return 0.5 * float(apart) * float(line[1] - line[0]) ** 2
