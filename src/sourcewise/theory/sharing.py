"""What the sources share: parameters of a partition, similarity beta, and the ratio of errors.

A model of one source has `P_shared + P_src` parameters, of which P_shared could be the same for
all sources; the similarity is `beta = P_shared / (P_shared + P_src)`. With J blocks there are
`m = J P_shared + K P_src` parameters, against `m_separate = K (P_shared + P_src)`. The bounds grow
as sqrt(m), so (arXiv 2502.14583, section 3.3, for J = 1)

    ratio = sqrt(m / m_separate) = sqrt(1 - beta (K-J)/K).

Proposition 3.3 of the paper: `N_pooled <= N_separate`. The pooled class is the part of the
separate one where the shared parameters agree, and a bracket of a class brackets its parts. The
same holds for any partition and any finer one, so every bound is at most that of finer blocks.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.theory.checks import numbers, plain, wholes

__all__ = ["empirical_beta", "parameters", "predicted_ratio", "similarity"]


def parameters(shared: ArrayLike, specific: ArrayLike, K: ArrayLike, J: ArrayLike = 1) -> Any:
    """Free parameters `m = J P_shared + K P_src` of J blocks (theory, section 2); broadcasts.

    >>> parameters(shared=5, specific=5, K=5), parameters(shared=5, specific=5, K=5, J=5)
    (30.0, 50.0)

    Args:
        shared: P_shared, >= 0.
        specific: P_src, >= 0.
        K: sources, whole, >= 1.
        J: blocks, in 1..K.
    """
    K = wholes("K", K, 1)
    return plain(
        wholes("J", J, 1, K) * numbers("shared", shared, 0) + K * numbers("specific", specific, 0)
    )


def similarity(shared: ArrayLike, specific: ArrayLike) -> Any:
    """`beta = P_shared / (P_shared + P_src)`, not both 0; arguments as for `parameters`.

    >>> similarity(shared=5, specific=15)
    0.25
    """
    own = numbers("specific", specific, 0)
    total = numbers("shared + specific", numbers("shared", shared, 0) + own, 1e-300)
    return plain(1 - own / total)


def predicted_ratio(beta: ArrayLike, K: ArrayLike, J: ArrayLike = 1) -> Any:
    """Error with J blocks over separate error, `sqrt(1 - beta (K-J)/K)` (section 3.3); broadcasts.

    Never above 1: the paper's bound cannot express harm by pooling. Arguments as for `parameters`.

    >>> round(predicted_ratio(beta=0.5, K=5), 4)
    0.7746

    Args:
        beta: similarity, in [0, 1].
    """
    K = wholes("K", K, 1)
    return plain(np.sqrt(1 - numbers("beta", beta, 0, 1) * (K - wholes("J", J, 1, K)) / K))


def empirical_beta(ratio: ArrayLike, K: ArrayLike, J: ArrayLike = 1) -> Any:
    """`beta = (1 - ratio^2) K/(K-J)`: `predicted_ratio` solved for beta, on measured errors.

    Not clipped: below 0 means that pooling did harm, and noise goes both ways.

    >>> empirical_beta(1.5, K=5)
    -1.5625

    Args:
        ratio: error with J blocks over separate error, >= 0.
        K: sources, K >= 2.
        J: blocks, in 1..K-1.
    """
    K = wholes("K", K, 2)
    squared = numbers("ratio", ratio, 0) ** 2
    return plain((1 - squared) * K / (K - wholes("J", J, 1, K - 1)))
