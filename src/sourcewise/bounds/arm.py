"""Conditional autoregressive models (section 4.2 of the paper)."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from sourcewise.bounds import networks
from sourcewise.bounds.case import BoundClass, Case, Common
from sourcewise.bounds.options import COUNT, Choice, Option, Range
from sourcewise.errors import InputError

__all__ = ["Arm"]

_ENCODERS = Choice(("per position", "shared"))


@dataclass(frozen=True)
class Arm(BoundClass):
    """Sizes of the class."""

    vocabulary: Annotated[int, Option("M", "number of symbols", Range(2, whole=True))]
    length: Annotated[int, Option("D", "number of positions", COUNT)]
    embedding: networks.Embedding
    width: networks.Width
    depth: networks.Depth
    weight_bound: networks.WeightBound
    encoder: Annotated[
        Literal["per position", "shared"],
        Option("NAME", "weights of the encoder, per-position (the default) or shared", _ENCODERS),
    ] = "per position"
    nonzeros: networks.Nonzeros = None

    def case(self, common: Common) -> Case:
        """Bounds from logit brackets."""
        from sourcewise.theory import arm

        M, D, W, d_e = self.vocabulary, self.length, self.width, self.embedding
        if W < D:
            raise InputError(f"--width must be at least --length, {D}, got {W}")
        sizes = arm.Sizes(M, D, d_e, W, self.depth, self.weight_bound, encoder=self.encoder)
        sizes = replace(sizes, S=networks.nonzero_entries(self.nonzeros, sizes.P))
        own, words = replace(self, nonzeros=sizes.S), f"{D} symbols out of {M}"
        return networks.case_of(common, own, words, sizes, arm.bracketing(sizes, 1))
