"""What every family offers: a loss per example, and samples per entry of y."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from sourcewise.networks.layers import reset
from sourcewise.randomness import ExampleNoise, Noise

__all__ = [
    "BatchNoise",
    "Carried",
    "Condensed",
    "ConditionalModel",
    "DensityEstimate",
    "ExactFit",
    "HasLogProb",
    "HasLogProbEstimate",
    "Judged",
    "Staged",
]

Carried = dict[str, Tensor]


class ConditionalModel(nn.Module, ABC):
    """A conditional distribution p(x | y) that can be trained and sampled.

    A family whose `loss` also runs with a leading axis S on every parameter, on x, on y and on the
    result (S models at once, see `networks.layers`) says so by `stackable`.
    """

    stackable: ClassVar[bool] = False

    @abstractmethod
    def loss(self, x: Tensor, y: Tensor, *, c: Tensor | None = None, noise: Noise) -> Tensor:
        """One value per example, (B,): what gradient training minimises the mean of."""

    @abstractmethod
    def sample(self, y: Tensor, *, c: Tensor | None = None, noise: Noise | ExampleNoise) -> Tensor:
        """One sample per entry of y."""

    def reset(self, noise: Noise) -> None:
        """Draw all parameters anew, from the noise alone."""
        reset(self, noise)

    @property
    def fitted(self) -> dict[str, list[float]]:
        """What fitting chose beside the parameters, for tables: a name and its values."""
        return {}

    @property
    def resolved(self) -> dict[str, str | int | float]:
        """What settings given as `auto` became, and what follows from them: a name and its value.

        All models of one encoder and one settings class agree.
        """
        return {}

    @property
    def validated_by(self) -> str:
        """What `loss` is of validation rows, in words; empty: minus the log-likelihood in nats."""
        return ""

    @property
    def density_error(self) -> Tensor | None:
        """(K, 3) of the log densities of a source: the standard error that they share, how much
        they may be overstated beyond it, and what they may be wrong by either way; None where they
        are exact."""
        return None

    @property
    @abstractmethod
    def free_parameters(self) -> int:
        """Number of free parameters, as the theory counts them."""


class HasLogProb(Protocol):
    """A model with an exact density."""

    def log_prob(self, x: Tensor, y: Tensor, *, c: Tensor | None = None) -> Tensor:
        """Natural log of the density of each row under its source, (B,)."""
        ...


@dataclass(frozen=True)
class DensityEstimate:
    """Log densities known up to simulation or quadrature error.

    Args:
        value: (B,) natural log.
        standard_error: (B,) of value; rows of one source share their error.
        method: how, in words.
        bias: what value does in expectation; "overstates" where log Z is understated.
    """

    value: Tensor
    standard_error: Tensor
    method: str
    bias: Literal["none", "overstates"] = "none"


class HasLogProbEstimate(Protocol):
    """A model whose density is known up to simulation or quadrature error."""

    def estimate_log_prob(
        self, x: Tensor, y: Tensor, *, c: Tensor | None = None, noise: Noise
    ) -> DensityEstimate:
        """Log densities (B,) of rows under their sources, with their error."""
        ...


class BatchNoise(Protocol):
    """The noise of one update or look, of one model or of several at once."""

    def of(self, *key: int | str) -> "BatchNoise":
        """The noise of a longer key."""
        ...

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Draws on [0, 1) whose first axis is the batch's rows."""
        ...

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Standard normal draws, likewise."""
        ...

    def whole(
        self, kind: Literal["uniform", "normal"], *shape: int, dtype: torch.dtype = torch.float64
    ) -> Tensor:
        """Draws that belong to no rows; the same in every process."""
        ...


@runtime_checkable
class Staged(Protocol):
    """A model that is trained in phases: a beginning, the updates, an end.

    What it carries through training beside its parameters (chains, a fitted noise distribution)
    are tensors by name, of equal shapes in models that train as one stack, where they have a
    leading axis S like the parameters. They are part of every checkpoint.
    """

    def begin(self, x: Tensor, y: Tensor, noise: Noise) -> Carried:
        """What training starts with, from all training rows (n, ...) and their sources (n,)."""
        ...

    def advance(self, carried: Carried, noise: "BatchNoise") -> Carried:
        """The step before each update, under the parameters of the moment."""
        ...

    def staged_loss(
        self, x: Tensor, y: Tensor, carried: Carried, *, noise: "BatchNoise"
    ) -> Tensor:
        """(B,) as `loss`, with what is carried."""
        ...

    def finish(self, x: Tensor, y: Tensor, carried: Carried, noise: Noise) -> None:
        """After training: whatever scoring and sampling need beside the parameters."""
        ...

    def complaint(self, value: float) -> str | None:
        """What an objective of this value (maybe not finite) means, and what helps; None: fine."""
        ...


@runtime_checkable
class Judged(Protocol):
    """A model that can tell that its training failed though all numbers are finite."""

    def reliable(self) -> bool:
        """Whether losses are those of these parameters, and not of what computes them."""
        ...

    def excess(self, x: Tensor, y: Tensor, carried: Carried, *, noise: "BatchNoise") -> Tensor:
        """(B,) of training rows: how much worse they are than under a model that knows nothing."""
        ...

    def failure(self, start: float, end: float) -> str | None:
        """What a mean excess before and after training means, and what helps; None: fine."""
        ...


class ExactFit(Protocol):
    """A model whose maximum-likelihood solution is computed, not approached."""

    def fit_exactly(self, x: Tensor, y: Tensor, names: tuple[str, ...]) -> None:
        """Set the parameters from all training rows; `names` are for messages."""
        ...


@runtime_checkable
class Condensed(Protocol):
    """A model whose loss over all rows is a shorter sum over sufficient statistics."""

    def condense(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (U, ...) and their sources (U,), whose `condensed_loss` adds up to the whole."""
        ...

    def condensed_loss(self, x: Tensor, y: Tensor, *, noise: Noise) -> Tensor:
        """(U,) the loss of condensed rows; stackable like `loss`."""
        ...
