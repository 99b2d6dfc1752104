"""Conditional energy-based models on the cube (section 4.3 of the paper)."""

from dataclasses import dataclass, replace
from typing import Annotated

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
from sourcewise.bounds.options import DIM
from sourcewise.errors import InputError

__all__ = ["Energy"]


@dataclass(frozen=True)
class Energy:
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
        sizes = replace(sizes, S=nonzero_entries(self.nonzeros, sizes.P))
        words = f"{D} coordinates in [0, 1]"
        return network_case(common, self, sizes, energy.bracketing(sizes, 1), words)
