"""What every family offers: a loss per example, and samples per entry of y."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from sourcewise.batch import Batch
from sourcewise.families.family import Recipe
from sourcewise.networks.layers import reset
from sourcewise.randomness import ExampleNoise, Noise

__all__ = [
    "BatchNoise",
    "Carried",
    "ConditionalModel",
    "Density",
    "HasDensity",
    "SharedError",
]

Carried = dict[str, Tensor]  # what training takes along beside the parameters


class ConditionalModel(nn.Module, ABC):
    """A conditional distribution p(x | y, c) that can be trained and sampled.

    A family whose `loss` also runs with a leading axis S on every parameter, on the batch and on
    the result (S models at once, see `networks.layers`) says so by `stackable`.

    Attributes:
        recipe: how it is trained, a name in `training.recipes.registry`; that of its family.
        averages: averages of the weights that training kept: parameters by name.
    """

    stackable: ClassVar[bool] = False
    recipe: ClassVar[Recipe] = "gradient"
    averages: Sequence[Mapping[str, Tensor]] = ()

    @abstractmethod
    def loss(self, batch: Batch, noise: "BatchNoise") -> Tensor:
        """One value per example, (B,): what gradient training minimises the mean of."""

    @abstractmethod
    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Any:
        """One sample per entry of y, (B,), with given columns c (B, C), if there are such.

        A family may take more options, by name and with defaults: see `Family.sampling`.
        """

    def reset(self, noise: Noise) -> None:
        """Draw all parameters anew, from the noise alone."""
        reset(self, noise)

    def constrain(self, parameters: Mapping[str, Tensor]) -> None:
        """Bring parameters back to where they are held, in place; called after every update.

        What is evaluated may be an average of such parameters, which need not be held there.

        Args:
            parameters: (S, *shape) each, by name: those of S models.
        """

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
    @abstractmethod
    def free_parameters(self) -> int:
        """Number of free parameters, as the theory counts them."""


@dataclass(frozen=True)
class SharedError:
    """Errors of log densities that all rows of a source share, (K,) float64 each; NaN: not known.

    Args:
        standard_error: of the log densities.
        overstatement: how much they may be too high beyond that.
        either_way: what they may be wrong by, either way.
    """

    standard_error: Tensor
    overstatement: Tensor
    either_way: Tensor

    @property
    def columns(self) -> Tensor:
        """(K, 3) all of it."""
        return torch.stack([self.standard_error, self.overstatement, self.either_way], 1)

    @classmethod
    def of(cls, columns: Tensor) -> "SharedError":
        """The inverse of `columns`."""
        return cls(*columns.unbind(1))


@dataclass(frozen=True)
class Density:
    """Log densities of the rows of a batch.

    Args:
        value: (B,) natural log.
        kind: what value is.
        shared: errors by source; None: there are none.
    """

    value: Tensor
    kind: Literal["exact", "estimate", "lower bound"] = "exact"
    shared: SharedError | None = None


@runtime_checkable
class HasDensity(Protocol):
    """A model with a density."""

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Log densities of rows under their sources; `noise` is of what is simulated."""
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
