"""What every family offers: a loss per example, and samples per entry of y."""

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn

from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["ConditionalModel", "ExactFit", "HasLogProb"]


class ConditionalModel(nn.Module, ABC):
    """A conditional distribution p(x | y) that can be trained and sampled."""

    @abstractmethod
    def loss(self, x: Tensor, y: Tensor, *, c: Tensor | None = None, noise: Noise) -> Tensor:
        """One value per example, (B,): what gradient training minimises the mean of."""

    @abstractmethod
    def sample(self, y: Tensor, *, c: Tensor | None = None, noise: Noise | ExampleNoise) -> Tensor:
        """One sample per entry of y."""

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
