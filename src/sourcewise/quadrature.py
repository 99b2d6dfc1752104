"""Rules that turn integrals over the cube [0,1]^D into sums, in logarithms.

    integral of f = sum_i w_i f(x_i) + error,    log integral = logsumexp_i (log w_i + log f(x_i))

Each is a tensor product of one rule per axis with positive weights that sum to 1, so that a sum
over a rule is itself the normaliser of a finite distribution. Errors of a rule with n nodes per
axis, N = n^D in all, for functions that are analytic, or that have a kink (along an axis):

| rule | exact for polynomials | analytic | kink | use |
|---|---|---|---|---|
| Gauss-Legendre | degree < 2 n, each axis | exponential | 1/n^2 | the default |
| Clenshaw-Curtis | degree < n | exponential | 1/n^2 | nested: 2 n - 1 hold the nodes of n |
| midpoints | degree < 2 | 1/n^2 | 1/n^2 | the cells of a finite grid, where the sum is exact |

Reference: L. N. Trefethen, "Is Gauss quadrature better than Clenshaw-Curtis?", SIAM Review 50
(2008): for most functions the two differ by less than their degrees of exactness say.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sourcewise.theory.checks import whole

__all__ = ["RULES", "Rule", "clenshaw_curtis", "gauss_legendre", "midpoints"]

Rule = Callable[[int, int], tuple[Tensor, Tensor]]  # nodes per axis, D -> points, log-weights


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # a rule made while scoring must serve training too
def gauss_legendre(nodes: int, D: int) -> tuple[Tensor, Tensor]:
    """Points (N, D) of [0,1]^D and logs (N,) of their weights, `N = nodes^D`; float64.

    The nodes are the zeros of a Legendre polynomial: exact for degrees below `2 nodes`.

    >>> x, log_weight = gauss_legendre(3, 2)
    >>> round(float(log_weight.exp() @ (x[:, 0] ** 5 * x[:, 1] ** 2)), 12)  # 1/6 * 1/3
    0.055555555556

    Args:
        nodes: n per axis, >= 1.
        D: axes, >= 1.

    Raises:
        InputError: fewer nodes or axes.
    """
    u, weight = np.polynomial.legendre.leggauss(whole("nodes", nodes, 1))
    return _product((u + 1) / 2, weight / 2, D)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def clenshaw_curtis(nodes: int, D: int) -> tuple[Tensor, Tensor]:
    """Likewise, with `x_j = (1 - cos(pi j / m)) / 2`, j = 0..m = nodes - 1, both ends included.

    The interpolating polynomial is integrated: with c_j = 1 at the ends and 2 between, and
    b_k = 1 for k = m/2 and 2 otherwise,

        w_j = c_j / (2 m) [1 - sum_{k=1}^{m/2} b_k cos(2 k j pi / m) / (4 k^2 - 1)] > 0.

    Exact for degrees below `nodes`; `2 nodes - 1` contain the nodes of `nodes`.

    >>> x, log_weight = clenshaw_curtis(3, 1)  # Simpson's rule
    >>> [round(w, 12) for w in (6 * log_weight.exp()).tolist()]
    [1.0, 4.0, 1.0]

    Args:
        nodes: per axis, >= 2.
        D: axes, >= 1.

    Raises:
        InputError: fewer nodes or axes.

    Reference: J. Waldvogel, "Fast construction of the Fejér and Clenshaw-Curtis quadrature
    rules", BIT 46 (2006).
    """
    m = whole("nodes", nodes, 2) - 1
    j, k = np.arange(m + 1), np.arange(1, m // 2 + 1)
    b, c = np.where(2 * k == m, 1.0, 2.0), np.where((j == 0) | (j == m), 1.0, 2.0)
    waves = np.cos(2 * math.pi * (k * j[:, None] % m) / m)  # (m + 1, m/2)
    weight = c / (2 * m) * (1 - waves @ (b / (4.0 * k**2 - 1)))
    return _product(np.sin(math.pi * j / (2 * m)) ** 2, weight, D)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def midpoints(nodes: int, D: int) -> tuple[Tensor, Tensor]:
    """Likewise, the centres of `nodes^D` equal cells with equal weights.

    >>> midpoints(2, 1)[0].flatten().tolist()
    [0.25, 0.75]

    Args:
        nodes: per axis, >= 1.
        D: axes, >= 1.

    Raises:
        InputError: fewer nodes or axes.
    """
    n = whole("nodes", nodes, 1)
    return _product((np.arange(n) + 0.5) / n, np.full(n, 1 / n), D)


RULES: dict[str, Rule] = {
    "gauss-legendre": gauss_legendre,
    "clenshaw-curtis": clenshaw_curtis,
    "midpoints": midpoints,
}


def _product(x: np.ndarray, weight: np.ndarray, D: int) -> tuple[Tensor, Tensor]:
    """The tensor product of D times one rule (n,); the last axis runs fastest."""
    axes = [torch.from_numpy(x)] * whole("D", D, 1)
    logs = torch.cartesian_prod(*[torch.from_numpy(weight).log()] * D).view(-1, D)
    return torch.cartesian_prod(*axes).view(-1, D), logs.sum(1)
