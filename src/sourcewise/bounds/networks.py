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

__all__ = ["Depth", "Embedding", "Nonzeros", "WeightBound", "Width", "case_of", "nonzero_entries"]

Embedding = Annotated[int, Option("d_e", "numbers per embedding", COUNT)]
Width = Annotated[int, Option("W", "width of the network", COUNT)]
Depth = Annotated[int, Option("L", "number of affine layers of the network", COUNT)]
WeightBound = Annotated[
    float, Option("B", "largest absolute value of a weight, 1 or more", Range(1))
]
Nonzeros = Annotated[
    int | None, Option("S", "how many weights are not 0; the default is all", COUNT)
]


def nonzero_entries(S: int | None, P: int) -> int:
    """S itself, if the network has as many entries; all P if None."""
    if S is not None and S > P:
        raise InputError(f"--nonzeros must be at most the network's entries, {P}, got {S}")
    return P if S is None else S


def case_of(
    common: Common, own: BoundClass, words: str, sizes: "Embedded", one: "Bracketing"
) -> Case:
    """The case from the sizes and the bracketing of a single model; words say what x is."""
    import numpy as np

    unused = None if one.m_dense is None else float(np.subtract(one.m_dense, one.m))

    def bracketing(m: "ArrayLike", J: "ArrayLike") -> "Bracketing":
        dense = None if unused is None else np.add(m, np.multiply(J, unused))
        choices = np.multiply(J, one.log_choices)
        return replace(one, m=m, log_choices=choices, m_dense=dense)

    words += f", network of {sizes.L} layers, width {sizes.W}, weights within {sizes.B:g}"
    return Case(common, own, words, sizes.P_shared, sizes.P_src, bracketing, bracketing)
