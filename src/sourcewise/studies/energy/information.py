"""The sharp law of theory, section 3, for a truth whose information matrix may be singular.

    average TV ~ (2 pi n)^(-1/2) sum_k p_k E[sqrt(s' I^+ s) | k],    p_k = 1/K

s is the score of a pair (x, y), `s = -(grad u - E[grad u | y])`, I its second moment and I^+ the
pseudo-inverse: directions that change no density (scale a ReLU unit's inputs by c and its output
by 1/c; move what all embeddings have in common into the offsets) have no score, and drop out. The
rank of I counts the others. Separate models have an information matrix each, from n/K examples.

The law holds where the map from parameters to densities has this rank all around the truth. It
does not around a unit that is off, or linear, on the whole cube: then it is a lower value than
what is to be expected.
"""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.func import functional_call  # pyright: ignore[reportPrivateImportUsage]

from sourcewise.families.energy.model import Energy
from sourcewise.quadrature import midpoints

__all__ = ["Law", "laws", "scores"]

NODES = {1: 1024, 2: 48}  # per axis by D
NEGLIGIBLE = 1e-9  # of the largest eigenvalue


class Law(NamedTuple):
    """What the information says: n^(1/2) times the average TV, and the rank."""

    root_n_tv: float
    rank: int


def laws(truth: Energy) -> tuple[Law, Law]:
    """Of separate and of pooled training.

    Args:
        truth: float64.
    """
    parts = [scores(truth, k) for k in range(truth.K)]
    matrices = [_information(s, p) for s, p in parts]
    K, root = truth.K, 1 / math.sqrt(2 * math.pi)
    alone = [_inverse(matrix) for matrix in matrices]
    together, rank = _inverse(cast(Tensor, sum(matrices)) / K)
    apart = [_mean_root(s, p, inverse) for (s, p), (inverse, _) in zip(parts, alone, strict=True)]
    joint = [_mean_root(s, p, together) for s, p in parts]
    return (
        Law(root * math.sqrt(K) * sum(apart) / K, sum(rank for _, rank in alone)),
        Law(root * sum(joint) / K, rank),
    )


def scores(truth: Energy, k: int) -> tuple[Tensor, Tensor]:
    """(N, P) scores under source k at the midpoints of N cells, and (N,) the cells' masses.

    Every point has its own copy of the parameters, so that one gradient gives all rows.
    """
    points, log_weight = midpoints(NODES[truth.D], truth.D)
    N = len(points)
    copies = {
        name: p.detach().expand(N, *p.shape).clone().requires_grad_()
        for name, p in truth.network.named_parameters()
    }
    y = torch.full((N, 1), k)
    u = cast(Tensor, functional_call(truth.network, copies, (points[:, None], y))).squeeze(1)
    gradients = torch.autograd.grad(u.sum(), list(copies.values()))
    g = torch.cat([gradient.flatten(1) for gradient in gradients], 1)
    p = (log_weight - u.detach()).softmax(0)
    return p @ g - g, p


def _information(s: Tensor, p: Tensor) -> Tensor:
    """(P, P) `E[s s']`."""
    return s.mT @ (p[:, None] * s)


def _inverse(matrix: Tensor) -> tuple[Tensor, int]:
    """The pseudo-inverse and the rank."""
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > NEGLIGIBLE * values[-1]
    inverse = torch.where(kept, 1 / values.where(kept, torch.ones(())), 0.0)
    return (vectors * inverse) @ vectors.mT, int(kept.sum())


def _mean_root(s: Tensor, p: Tensor, inverse: Tensor) -> float:
    """`E sqrt(s' I^+ s)`."""
    return float(p @ ((s @ inverse) * s).sum(1).clamp(min=0).sqrt())
