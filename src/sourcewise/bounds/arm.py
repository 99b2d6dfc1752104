"""Conditional autoregressive models (section 4.2 of the paper)."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from sourcewise.bounds.case import Case, Common
from sourcewise.bounds.networks import (
    Depth,
    Embedding,
    Nonzeros,
    WeightBound,
    Width,
    network_case,
    nonzero_entries,
)
from sourcewise.bounds.options import COUNT, Choice, Option, Range
from sourcewise.errors import InputError

__all__ = ["Arm"]


@dataclass(frozen=True)
class Arm:
    """Sizes of the class."""

    vocabulary: Annotated[int, Option("M", "number of symbols", Range(2, whole=True))]
    length: Annotated[int, Option("D", "number of positions", COUNT)]
    embedding: Embedding
    width: Width
    depth: Depth
    weight_bound: WeightBound
    encoder: Annotated[
        Literal["per position", "shared"],
        Option(
            "NAME",
            "weights of the encoder, per-position (the default) or shared",
            Choice(("per position", "shared")),
        ),
    ] = "per position"
    nonzeros: Nonzeros = None

    def case(self, common: Common) -> Case:
        """Bounds from logit brackets."""
        from sourcewise.theory import arm

        M, D, W = self.vocabulary, self.length, self.width
        if W < D:
            raise InputError(f"--width must be at least --length, {D}, got {W}")
        sizes = arm.Sizes(
            M, D, self.embedding, W, self.depth, self.weight_bound, encoder=self.encoder
        )
        sizes = replace(sizes, S=nonzero_entries(self.nonzeros, sizes.P))
        words = f"{D} symbols out of {M}"
        return network_case(common, self, sizes, arm.bracketing(sizes, 1), words)
