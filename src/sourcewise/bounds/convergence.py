"""The kind of bounds that is about samplers: how near their draws come to the data.

What the theorems leave open (constants, powers of logarithms) is never filled in: see
`theory.sampling`. Declaring the class is light; `bounds.rates` computes.
"""

from dataclasses import dataclass
from typing import Annotated

from sourcewise.bounds.base import Asked, BoundClass, Kind, Sized
from sourcewise.bounds.options import COUNT, DIM, POSITIVE, Option, Range
from sourcewise.errors import InputError

__all__ = ["CONVERGENCE", "Sampling", "SamplingCase"]

CONVERGENCE = Kind(
    asked=Asked,
    target=Option("TV", "also how many steps this error needs, TV or W2", POSITIVE, "target"),
    axes=("T",),
    document="rates:document",
    curves="rates:curves",
    table="rates_table:table",
)
STEPS = Range(2, whole=True)
ORDER = Range(1, whole=True)


@dataclass(frozen=True)
class Sampling(BoundClass[Asked]):
    """Samplers of diffusion models, by the theorems on their convergence."""

    kind = CONVERGENCE

    dim: Annotated[int, DIM]
    steps: Annotated[int, Option("T", "number of steps of the sampler", STEPS)]
    score_error: Annotated[
        float, Option("EPS", "root mean square error of the scores; the default is 0", Range(0))
    ] = 0.0
    jacobian_error: Annotated[
        float, Option("EPS", "error of the scores' Jacobians; the default is 0", Range(0))
    ] = 0.0
    intrinsic: Annotated[
        int | None, Option("k", "intrinsic dimension of the data, for what depends on it", COUNT)
    ] = None
    order: Annotated[
        int, Option("K", "order of the higher-order sampler; the default is 2", ORDER)
    ] = 2
    constant: Annotated[
        float, Option("C", "what stands for unknown constants; the default is 1", POSITIVE)
    ] = 1.0

    def case(self, common: Asked) -> "SamplingCase":
        """The sizes, if they go together."""
        k, d = self.intrinsic, self.dim
        if k is not None and k > d:
            raise InputError(f"--intrinsic must be at most --dim, {d}, got {k}")
        return SamplingCase(common, self)


@dataclass(frozen=True)
class SamplingCase(Sized[Sampling]):
    """A sampler's sizes."""

    @property
    def title(self) -> str:
        """One line that says which case a plot shows."""
        own = self.own
        inside = "" if own.intrinsic is None else f", {own.intrinsic} intrinsic"
        return f"{self.common.family}: {own.dim} coordinates{inside}, {own.steps} steps"

    @property
    def words(self) -> str:
        """What the values are."""
        own = self.own
        errors = f"error of scores {own.score_error:g}, of Jacobians {own.jacobian_error:g}"
        return f"{errors}; rates up to unknown constants, C = {own.constant:g}"
