"""Classes of networks: conditional autoregressive models and conditional energy-based models on
the cube (sections 4.2 and 4.3 of the paper)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from sourcewise.bounds.case import BoundClass, Case, Common
from sourcewise.bounds.options import COUNT, DIM, Choice, Option, Range
from sourcewise.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sourcewise.theory.bracketing import Bracketing
    from sourcewise.theory.embedded import Embedded

__all__ = ["Arm", "Energy"]

Embedding = Annotated[int, Option("d_e", "numbers per embedding", COUNT)]
Width = Annotated[int, Option("W", "width of the network", COUNT)]
Depth = Annotated[int, Option("L", "number of affine layers of the network", COUNT)]
WeightBound = Annotated[
    float, Option("B", "largest absolute value of a weight, 1 or more", Range(1))
]
Nonzeros = Annotated[
    int | None, Option("S", "how many weights are not 0; the default is all", COUNT)
]
ENCODER = "weights of the encoder, per-position (the default) or shared"


@dataclass(frozen=True)
class Arm(BoundClass):
    """Sizes of the class."""

    vocabulary: Annotated[int, Option("M", "number of symbols", Range(2, whole=True))]
    length: Annotated[int, Option("D", "number of positions", COUNT)]
    embedding: Embedding
    width: Width
    depth: Depth
    weight_bound: WeightBound
    encoder: Annotated[
        Literal["per position", "shared"],
        Option("NAME", ENCODER, Choice(("per position", "shared"))),
    ] = "per position"
    nonzeros: Nonzeros = None

    def case(self, common: Common) -> Case:
        """Bounds from logit brackets."""
        from sourcewise.theory import arm

        M, D, W, d_e = self.vocabulary, self.length, self.width, self.embedding
        if W < D:
            raise InputError(f"--width must be at least --length, {D}, got {W}")
        sizes = arm.Sizes(M, D, d_e, W, self.depth, self.weight_bound, encoder=self.encoder)
        sizes = replace(sizes, S=_nonzero_entries(self.nonzeros, sizes.P))
        own, words = replace(self, nonzeros=sizes.S), f"{D} symbols out of {M}"
        return _case(common, own, words, sizes, arm.bracketing(sizes, 1))


@dataclass(frozen=True)
class Energy(BoundClass):
    """Sizes of the class."""

    dim: Annotated[int, DIM]
    embedding: Embedding
    width: Width
    depth: Depth
    weight_bound: WeightBound
    nonzeros: Nonzeros = None

    def case(self, common: Common) -> Case:
        """Bounds from energy brackets."""
        from sourcewise.theory import energy

        D, W, inputs = self.dim, self.width, self.dim + self.embedding
        if W < inputs:
            raise InputError(f"--width must be at least --dim + --embedding, {inputs}, got {W}")
        sizes = energy.Sizes(D, self.embedding, W, self.depth, self.weight_bound)
        sizes = replace(sizes, S=_nonzero_entries(self.nonzeros, sizes.P))
        own, words = replace(self, nonzeros=sizes.S), f"{D} coordinates in [0, 1]"
        return _case(common, own, words, sizes, energy.bracketing(sizes, 1))


def _nonzero_entries(S: int | None, P: int) -> int:
    """S itself, if the network has as many entries; all P if None."""
    if S is not None and S > P:
        raise InputError(f"--nonzeros must be at most the network's entries, {P}, got {S}")
    return P if S is None else S


def _case(
    common: Common, own: BoundClass, words: str, sizes: "Embedded", one: "Bracketing"
) -> Case:
    """The case from the sizes and the bracketing of a single model; words say what x is."""
    import numpy as np

    def bracketing(m: "ArrayLike", J: "ArrayLike") -> "Bracketing":
        dense = np.add(m, np.multiply(J, sizes.unused))
        return replace(one, m=m, log_choices=np.multiply(J, one.log_choices), m_dense=dense)

    words += f", network of {sizes.L} layers, width {sizes.W}, weights within {sizes.B:g}"
    return Case(common, own, words, sizes.P_shared, sizes.P_src, bracketing, bracketing)
