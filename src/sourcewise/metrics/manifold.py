"""Precision, recall, density and coverage: what of the rows draws reach, and what they invent.

Around each point x_i of a sample stands the ball whose radius is the distance to its k-th nearest
other point. The balls of n rows x are where rows may be, those of m draws y where draws may be:

    precision = share of the y_j in any ball of rows,
    recall    = share of the x_i in any ball of draws,
    density   = 1 / (k m) sum_j (number of balls of rows that y_j is in),
    coverage  = share of the x_i in whose ball there is any draw

(the first two Kynkaanniemi et al., "Improved precision and recall metric for assessing generative
models", 2019; the others Naeem et al., "Reliable fidelity and diversity metrics for generative
models", 2020). A ball includes its edge.

Where both laws are equal, each point is as likely as any other to be a neighbour. So, whatever the
law, E density = 1, and coverage is known too (`expected_coverage`); precision and recall are not,
and are no 1 either: what two halves of the real rows have says what is good.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.metrics.base import HeldOut, Metric, Trained
from sourcewise.metrics.draws import points_by_source
from sourcewise.metrics.pairs import blocks, radii
from sourcewise.randomness import Noise

__all__ = ["METRICS", "Manifold", "expected_coverage", "manifold"]

NEIGHBOURS = 5


@dataclass(frozen=True)
class Manifold:
    """The four numbers; see the module.

    Args:
        precision: in [0, 1].
        recall: in [0, 1].
        density: 0 at least.
        coverage: in [0, 1].
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(x: Tensor, y: Tensor, k: int = NEIGHBOURS) -> Manifold:
    """Of rows and draws, one block of distances at a time.

    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> manifold(x, torch.tensor([[0.5], [9.0]]), 1)
    Manifold(precision=0.5, recall=1.0, density=1.0, coverage=0.6666666666666666)

    Args:
        x: (n, D) points of rows, n > k.
        y: (m, D) points of draws, m > k.
        k: neighbours.

    Raises:
        InputError: no more rows or draws than neighbours.
    """
    if not 0 < k < min(len(x), len(y)):
        raise InputError(
            f"{k} neighbours among {len(x)} rows and {len(y)} draws: at least 1 is allowed, "
            "and fewer than of both"
        )
    around, among = radii(x, k), radii(y, k)
    inside = torch.zeros(len(y), dtype=torch.int64)  # balls of rows that each draw is in
    reached, covered = (torch.zeros(len(x), dtype=torch.bool) for _ in range(2))
    for part, block in blocks(x, y):
        held = block <= around[part, None]
        inside += held.sum(0)
        covered[part], reached[part] = held.any(1), (block <= among).any(1)
    shares = (v.double().mean() for v in (inside > 0, reached, inside.double() / k, covered))
    return Manifold(*(float(share) for share in shares))


def expected_coverage(n: int, m: int, k: int = NEIGHBOURS) -> float:
    """E coverage for n rows and m draws of one law: `1 - prod_i (n - 1 - i) / (n + m - 1 - i)`.

    i is from 0 to k - 1 (Naeem et al., 2020, lemma 2): no draw is among the k nearest of a row.

    >>> expected_coverage(2, 1, 1)
    0.5
    """
    missed = 1.0
    for i in range(k):
        missed *= (n - 1 - i) / (n + m - 1 - i)
    return 1 - missed


def precision(trained: Trained, held_out: HeldOut, noise: Noise) -> Tensor:
    """(K,) see the module; NaN of sources with too few rows."""
    return _values(trained, held_out, noise, "precision")


def recall(trained: Trained, held_out: HeldOut, noise: Noise) -> Tensor:
    """(K,) likewise."""
    return _values(trained, held_out, noise, "recall")


def density(trained: Trained, held_out: HeldOut, noise: Noise) -> Tensor:
    """(K,) likewise."""
    return _values(trained, held_out, noise, "density")


def coverage(trained: Trained, held_out: HeldOut, noise: Noise) -> Tensor:
    """(K,) likewise."""
    return _values(trained, held_out, noise, "coverage")


def _values(trained: Trained, held_out: HeldOut, noise: Noise, name: str) -> Tensor:
    assert isinstance(trained.model, PartitionedModel)
    out = torch.full((len(trained.model.names),), torch.nan, dtype=torch.float64)
    for k, rows, drawn in points_by_source(trained, held_out, noise):
        if len(rows) > NEIGHBOURS:
            out[k] = getattr(manifold(rows, drawn), name)
    return out


def _metric(name: str, about: str) -> Metric:
    return Metric(
        name=name,
        about=about,
        needs="samples",
        higher_is_better=True,
        home=f"sourcewise.metrics.manifold:{name}",
        unit=lambda coding: "per draw" if name == "density" else "share",
        region=lambda coding, baseline: 0.02 * abs(baseline),
        decides=False,
        features=True,
        per_unit=False,
    )


METRICS = (
    _metric("precision", "share of draws that are where rows may be"),
    _metric("recall", "share of held-out rows that are where draws may be"),
    _metric("density", "how many balls of held-out rows a draw is in, of those expected"),
    _metric("coverage", "share of held-out rows with a draw among their neighbours"),
)
