"""Conditional energy-based models on the cube (section 4.3 of the paper)."""

from dataclasses import dataclass, replace
from typing import Annotated

from sourcewise.bounds import networks
from sourcewise.bounds.case import BoundClass, Case, Common
from sourcewise.bounds.options import DIM
from sourcewise.errors import InputError

__all__ = ["Energy"]


@dataclass(frozen=True)
class Energy(BoundClass):
    """Sizes of the class."""

    dim: Annotated[int, DIM]
    embedding: networks.Embedding
    width: networks.Width
    depth: networks.Depth
    weight_bound: networks.WeightBound
    nonzeros: networks.Nonzeros = None

    def case(self, common: Common) -> Case:
        """Bounds from energy brackets."""
        from sourcewise.theory import energy

        D, W, inputs = self.dim, self.width, self.dim + self.embedding
        if W < inputs:
            raise InputError(f"--width must be at least --dim + --embedding, {inputs}, got {W}")
        sizes = energy.Sizes(D, self.embedding, W, self.depth, self.weight_bound)
        sizes = replace(sizes, S=networks.nonzero_entries(self.nonzeros, sizes.P))
        own, words = replace(self, nonzeros=sizes.S), f"{D} coordinates in [0, 1]"
        return networks.case_of(common, own, words, sizes, energy.bracketing(sizes, 1))
