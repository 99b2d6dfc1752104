"""What the classes of networks have in common: options, and the case from a bracketing."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from sourcewise.bounds.case import BoundClass, Case, Common
from sourcewise.bounds.options import COUNT, Option, Range
from sourcewise.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sourcewise.theory.bracketing import Bracketing
    from sourcewise.theory.embedded import Embedded

__all__ = [
    "Depth",
    "Embedding",
    "Nonzeros",
    "WeightBound",
    "Width",
    "network_case",
    "nonzero_entries",
]

Embedding = Annotated[int, Option("d_e", "numbers per embedding", COUNT)]
Width = Annotated[int, Option("W", "width of the network", COUNT)]
Depth = Annotated[int, Option("L", "number of affine layers of the network", COUNT)]
WeightBound = Annotated[
    float, Option("B", "largest absolute value of a weight, 1 or more", Range(1))
]
Nonzeros = Annotated[
    int | None, Option("S", "how many weights are not 0; the default is all", COUNT)
]


def nonzero_entries(S: int | None, P: int) -> int | None:
    """S itself, if the network has as many entries."""
    if S is not None and S > P:
        raise InputError(f"--nonzeros must be at most the network's entries, {P}, got {S}")
    return S


def network_case(
    common: Common, own: BoundClass, sizes: "Embedded", one: "Bracketing", words: str
) -> Case:
    """The case from the bracketing of a single model.

    Args:
        common: what is asked of every class.
        own: the class's own options, among them depth, width, weight_bound and nonzeros.
        sizes: of one model.
        one: its bracketing.
        words: what x is.
    """
    import numpy as np

    unused = None if one.m_dense is None else float(np.subtract(one.m_dense, one.m))

    def bracketing(m: "ArrayLike", J: "ArrayLike") -> "Bracketing":
        dense = None if unused is None else np.add(m, np.multiply(J, unused))
        choices = np.multiply(J, one.log_choices)
        return replace(one, m=m, log_choices=choices, m_dense=dense)

    own = replace(own, nonzeros=sizes.P if sizes.S is None else sizes.S)
    network = f"network of {sizes.L} layers, width {sizes.W}, weights within {sizes.B:g}"
    shared, specific = sizes.P_shared, sizes.P_src
    return Case(common, own, f"{words}, {network}", shared, specific, bracketing, bracketing)
