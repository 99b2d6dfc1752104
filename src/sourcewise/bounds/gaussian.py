"""Conditional Gaussians (section 4.1 of the paper), of which most is known."""

from dataclasses import dataclass
from typing import Annotated

from sourcewise.bounds.case import BoundClass, Case, Common
from sourcewise.bounds.options import DIM, POSITIVE, SPECIFIC, Fractions, Option
from sourcewise.errors import InputError

__all__ = ["Gaussian"]


@dataclass(frozen=True)
class Gaussian(BoundClass):
    """Sizes of the class, and the shares of the sources."""

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
