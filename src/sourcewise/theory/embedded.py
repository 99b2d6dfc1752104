"""Classes of networks that are told the source by an embedding: their counts and brackets.

Of their parameters, all in [-B, B], the row V_Y[y] of d_e numbers belongs to source y alone
(arXiv 2502.14583, section 4: `theory.arm`, `theory.energy`). J blocks have
`m = J P_shared + K P_src` parameters, and if parameters that differ by at most eta move what the
network returns by at most `C eta`, and moves by `tau(eps)` keep a bracket's gap at eps,

    log N(eps) <= m log ceil(B C / tau(eps)).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sourcewise.theory.bracketing import Bracketing
from sourcewise.theory.layer_norms import LocalConstant, local_bracketing
from sourcewise.theory.mlp import log_subsets
from sourcewise.theory.sharing import parameters, similarity

__all__ = ["Embedded", "Move", "brackets", "m", "m_pooled", "m_separate"]

Move = Callable[[ArrayLike], NDArray[np.float64]]


class Embedded(ABC):
    """Sizes of such a class, for one source. A class adds its own sizes as a dataclass.

    >>> from sourcewise.theory import energy
    >>> sizes = energy.Sizes(D=2, d_e=8, W=64, L=3, B=1)
    >>> isinstance(sizes, Embedded), sizes.P_shared, sizes.P_src, round(sizes.beta, 4)
    (True, 4928, 8, 0.9984)
    """

    d_e: int  # numbers per embedding
    W: int  # width of the network
    L: int  # affine layers
    B: float  # bound on every parameter
    S: int | None  # most non-zero entries of the network; all P if None

    @property
    @abstractmethod
    def P(self) -> int:
        """Entries of the network that count."""

    @property
    @abstractmethod
    def P_shared(self) -> int:
        """Parameters that could be the same for all sources."""

    @property
    @abstractmethod
    def log_C(self) -> float:
        """Logarithm of what the network returns per parameter move."""

    @property
    def P_src(self) -> int:
        """`d_e`: a source's own row of V_Y."""
        return self.d_e

    @property
    def beta(self) -> float:
        """Similarity, `P_shared / (P_shared + P_src)`."""
        return similarity(self.P_shared, self.P_src)

    @property
    def unused(self) -> int:
        """`P - S`, the entries of the network that are zero."""
        return 0 if self.S is None else self.P - self.S


def m(sizes: Embedded, K: ArrayLike, J: ArrayLike = 1) -> Any:
    """Parameters of J models for K sources in all, `J P_shared + K P_src`; broadcasts.

    Arguments as for `brackets`.

    >>> from sourcewise.theory import arm
    >>> sizes = arm.Sizes(M=2, D=10, d_e=8, W=64, L=3, B=1)
    >>> m_pooled(sizes, K=5), m(sizes, K=5, J=2), m_separate(sizes, K=5)
    (5140.0, 10240.0, 25540.0)
    """
    return parameters(sizes.P_shared, sizes.P_src, K, J)


def m_pooled(sizes: Embedded, K: ArrayLike) -> Any:
    """`P_shared + K P_src` (Theorems 4.3 and 4.4); arguments as for `m`."""
    return m(sizes, K)


def m_separate(sizes: Embedded, K: ArrayLike) -> Any:
    """`K (P_shared + P_src)` (Theorems 4.3 and 4.4); arguments as for `m`."""
    return m(sizes, K, K)


def brackets(
    sizes: Embedded,
    K: ArrayLike,
    J: ArrayLike,
    tau: Move,
    epsilon: Move,
    name: str,
    local: LocalConstant | None = None,
) -> Bracketing:
    """Brackets of a partition of K sources in J blocks; K and J may be arrays.

    With S below P, the smaller of that for all entries and `J log C(P, S) + m log c`.

    >>> from sourcewise.theory import energy
    >>> sizes = energy.Sizes(D=2, d_e=8, W=64, L=3, B=1)
    >>> [float(brackets(sizes, 5, J, energy.tau, energy.epsilon, "energy").m) for J in (1, 5)]
    [4968.0, 24680.0]

    Args:
        sizes: of the class.
        K: sources, K >= 1.
        J: blocks, in 1..K: pooled 1, separate K.
        tau: gap -> largest move of what the network returns.
        epsilon: the inverse of tau.
        name: which bracket, in words.
        local: Lipschitz constant around trained parameters, see `local_constant` of the class.
    """
    count, blocks = m(sizes, K, J), np.asarray(J, dtype=np.float64)
    worst = Bracketing(
        m=count,
        B=sizes.B,
        eta=tau,
        epsilon=epsilon,
        name=name,
        log_choices=blocks * log_subsets(sizes.P, sizes.P - sizes.unused),
        m_dense=np.asarray(count) + blocks * sizes.unused,
        log_scale=sizes.log_C,
    )
    return worst if local is None else local_bracketing(worst, local)
