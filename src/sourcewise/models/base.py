"""What every family offers: a loss per example, and samples per entry of y."""

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from sourcewise.networks.layers import reset
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["Condensed", "ConditionalModel", "ExactFit", "HasLogProb"]


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
    @abstractmethod
    def free_parameters(self) -> int:
        """Number of free parameters, as the theory counts them."""


class HasLogProb(Protocol):
    """A model with an exact density."""

    def log_prob(self, x: Tensor, y: Tensor, *, c: Tensor | None = None) -> Tensor:
        """Natural log of the density of each row under its source, (B,)."""
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
