"""The classes of bounds (sections 3 and 4 of the paper): their options, and the case from these.

Declaring them is light: NumPy and the theory are imported by the cases.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from sourcewise.bounds.case import Case, Common, SourcesClass
from sourcewise.bounds.options import (
    COUNT,
    DIM,
    POSITIVE,
    SPECIFIC,
    Choice,
    Fractions,
    Option,
    Range,
)
from sourcewise.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sourcewise.theory.bracketing import Bracketing
    from sourcewise.theory.embedded import Embedded

__all__ = ["Arm", "Energy", "Gaussian", "General"]

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
class Gaussian(SourcesClass):
    """Conditional Gaussians (section 4.1), of which most is known, with shares of the sources."""

    dim: Annotated[int, DIM]
    specific: Annotated[int, SPECIFIC]
    mean_bound: Annotated[float, Option("B", "largest absolute value of a mean", POSITIVE)]
    shares: Annotated[
        list[float] | None,
        Option("A,B", "share of each source; the default is equal shares", Fractions()),
    ] = None

    def case(self, common: Common) -> Case:
        """Bounds from two kinds of brackets, localized bounds, the law, the exact expectation."""
        from sourcewise.bounds.gaussian_partitions import Partitions
        from sourcewise.theory.gaussian.brackets import envelope_bracketing, gaussian_bracketing

        d, d1, B, K = self.dim, self.specific, self.mean_bound, common.sources
        if d1 > d:
            raise InputError(f"--specific must be at most --dim, {d}, got {d1}")
        if self.shares is not None and len(self.shares) != K:
            entries = len(self.shares)
            raise InputError(f"--shares must have one entry per source, {K}, got {entries}")
        known = Partitions(common, d, d1, B, self.shares)
        return Case(
            common,
            self,
            f"{d} coordinates, {d1} of them source-specific, means within {B:g}",
            shared=d - d1,
            specific=d1,
            loose=lambda m, J: gaussian_bracketing(m, d, B),
            sharp=lambda m, J: envelope_bracketing(m, d, B),
            forms={"localized": known.given_labels, "localized_drawn": known.drawn_labels},
            expected={"law": known.law, "exact": known.exact},
            notes=known.notes(),
            unequal=self.shares is not None,
        )


@dataclass(frozen=True)
class Arm(SourcesClass):
    """Conditional autoregressive models (section 4.2)."""

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
class Energy(SourcesClass):
    """Conditional energy-based models on the cube (section 4.3)."""

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


@dataclass(frozen=True)
class General(SourcesClass):
    """Any class of which a bracketing number is known, `log N(eps) = m log(c/eps)` (section 3)."""

    shared: Annotated[
        int, Option("P", "how many numbers all sources can share", Range(0, whole=True))
    ]
    specific: Annotated[int, SPECIFIC]
    constant: Annotated[
        float, Option("c", "the c of log N = m log(c/eps); the default is 1", POSITIVE)
    ] = 1.0

    def case(self, common: Common) -> Case:
        """Bounds from the number as given."""
        import numpy as np

        from sourcewise.theory.bracketing import Bracketing

        shared, specific, c = float(self.shared), float(self.specific), self.constant
        if shared + specific == 0:
            raise InputError("--shared and --specific must not both be 0")

        def bracketing(m: "ArrayLike", J: "ArrayLike") -> "Bracketing":
            return Bracketing(m, c, np.asarray, np.asarray, "m log(c/eps)", whole=False)

        words = f"log N(eps) = m log({c:g}/eps), "
        words += f"{shared:g} shared parameters and {specific:g} per source"
        return Case(common, self, words, shared, specific, bracketing, bracketing)


def _nonzero_entries(S: int | None, P: int) -> int:
    """S itself, if the network has as many entries; all P if None."""
    if S is not None and S > P:
        raise InputError(f"--nonzeros must be at most the network's entries, {P}, got {S}")
    return P if S is None else S


def _case(
    common: Common, own: SourcesClass, words: str, sizes: "Embedded", one: "Bracketing"
) -> Case:
    """The case from the sizes and the bracketing of a single model; words say what x is."""
    import numpy as np

    def bracketing(m: "ArrayLike", J: "ArrayLike") -> "Bracketing":
        dense = np.add(m, np.multiply(J, sizes.unused))
        return replace(one, m=m, log_choices=np.multiply(J, one.log_choices), m_dense=dense)

    words += f", network of {sizes.L} layers, width {sizes.W}, weights within {sizes.B:g}"
    return Case(common, own, words, sizes.P_shared, sizes.P_src, bracketing, bracketing)
