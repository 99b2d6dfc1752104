"""What every family offers: a loss per example, and samples per entry of y."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from sourcewise.batch import Batch
from sourcewise.errors import listing, rounded
from sourcewise.networks.layers import reset
from sourcewise.randomness import ExampleNoise, Noise

__all__ = [
    "BatchNoise",
    "Carried",
    "Caution",
    "ConditionalModel",
    "Density",
    "Diagnosed",
    "Diagnostic",
    "Occasion",
    "SharedError",
]

Carried = dict[str, Tensor]  # what training takes along beside the parameters


class ConditionalModel(nn.Module, ABC):
    """A conditional distribution p(x | y, c) that can be trained and sampled.

    A family whose `loss` also runs with a leading axis S on every parameter, on the batch and on
    the result (S models at once, see `networks.layers`) says so by `stackable`.

    Attributes:
        whole_batches: whether the loss of a row in training depends on the others of its batch,
            which is then not cut.
        recipe: how it is trained, a name in `training.recipes.registry`; that of its family.
        averages: averages of the weights that training kept: parameters by name.
        slow_draws: whether samples take so long that a metric should do with few.
        slow_density: whether log densities take so long that few rows are scored where few do.
        simulated: whether log densities rest on a simulation that follows training; before it
            there are none.
        takes_gaps: whether it is fitted to rows with gaps (NaN); otherwise these are filled in.
        movable: whether draws and scores are computed where its parameters are, wherever sources,
            given columns and noise are.
    """

    stackable: bool = False
    whole_batches: bool = False
    slow_draws: bool = False
    slow_density: bool = False
    simulated: bool = False
    takes_gaps: ClassVar[bool] = False
    movable: ClassVar[bool] = False
    recipe: ClassVar[str] = "gradient"
    averages: Sequence[Mapping[str, Tensor]] = ()

    @abstractmethod
    def loss(self, batch: Batch, noise: "BatchNoise") -> Tensor:
        """One value per example, (B,): what gradient training minimises the mean of."""

    @abstractmethod
    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Any:
        """One sample per entry of y, (B,), with given columns c (B, C), if there are such.

        A family may take more options, by name and with defaults: see `Family.sampling`.
        """

    def refuse_rows(self, rows: Batch) -> None:
        """Before training: raise if density cannot be had for so many rows like these.

        Raises:
            InputError: why, and what helps.
        """

    def reset(self, noise: Noise) -> None:
        """Draw all parameters anew, from the noise alone."""
        reset(self, noise)

    def constrain(self, parameters: Mapping[str, Tensor]) -> None:
        """Bring parameters back to where they are held, in place; called after every update.

        What is evaluated may be an average of such parameters, which need not be held there.

        Args:
            parameters: (S, *shape) each, by name: those of S models that are being trained.
        """

    @property
    def copied(self) -> bool:
        """Whether copies of it help to stop where validation rows are few: see `training`."""
        return self.stackable

    @property
    def fills_core(self) -> bool:
        """Whether one model's batch keeps a core busy, so that a stack on a CPU gains nothing."""
        return False

    @property
    def constrained(self) -> bool:
        """Whether its parameters are held somewhere by `constrain`."""
        return type(self).constrain is not ConditionalModel.constrain

    def diagnostics(self) -> "list[Diagnostic]":
        """What the model says of its own fit, and what settings given as `auto` came to.

        On settings, all models of one encoder and one settings class agree.
        """
        return []

    @property
    def penalty(self) -> str:
        """What draws estimates away from maximum likelihood, in a word; empty: nothing."""
        return ""

    @classmethod
    def cautions(
        cls, strategies: "Mapping[str, Diagnosed]", occasion: "Occasion"
    ) -> "Iterator[Caution]":
        """What a reader must know before believing numbers of these models, one line each.

        The strategies are of this family, by name; the occasion is what they are used for.
        """
        yield from ()

    @property
    def validated_by(self) -> str:
        """What `loss` is of validation rows, in words; empty: minus the log-likelihood in nats."""
        return ""

    @property
    @abstractmethod
    def free_parameters(self) -> int:
        """Number of free parameters, as the theory counts them."""


@dataclass(frozen=True)
class Diagnostic:
    """Something that a trained model says of its own fit.

    Args:
        name: what documents and tables call it.
        values: one per model; of a setting the one that all agree on.
        unit: of the values.
        shown: how one value is written.
        setting: whether it is what a setting came to, and not what fitting found.
    """

    name: str
    values: tuple[str | int | float, ...]
    unit: str = ""
    shown: Callable[[Any], str] = rounded
    setting: bool = False

    @property
    def words(self) -> str:
        """As tables show it: the smallest to the largest of the models' values.

        >>> Diagnostic("shrinkage", (0.03, 0.25, 0.1)).words
        '0.03 to 0.25'
        """
        if self.setting:
            return str(self.values[0])
        return " to ".join(dict.fromkeys(map(self.shown, (min(self.values), max(self.values)))))


class Refusing(Protocol):
    """What training a model took, as far as cautions ask."""

    @property
    def refused(self) -> int:
        """Looks with a lower loss that could not be relied on."""
        ...


@dataclass(frozen=True)
class Diagnosed:
    """What the models of a strategy say of their fits, and what training them took."""

    diagnostics: Sequence[Diagnostic]
    efforts: Sequence[Refusing] = ()

    @property
    def fitted(self) -> dict[str, list[Any]]:
        """What fitting found, by name."""
        return {d.name: list(d.values) for d in self.diagnostics if not d.setting}

    @property
    def resolved(self) -> dict[str, str | int | float]:
        """What settings came to, by name."""
        return {d.name: d.values[0] for d in self.diagnostics if d.setting}


@dataclass(frozen=True)
class Occasion:
    """What models are used for.

    Args:
        purpose: whose reader is to be told.
        region: half the width of practical equivalence; NaN where nothing is compared.
        coordinates: of a row.
        misfits: columns that a density of this coding fits badly, and how.
        scored_by: what scores are of: densities, or samples.
    """

    purpose: Literal["compare", "train", "evaluate", "sample"]
    region: float
    coordinates: int
    misfits: Mapping[str, str] = field(default_factory=dict)
    scored_by: Literal["density", "bound", "samples"] = "density"

    @property
    def told_misfits(self) -> str:
        """The misfits of a comparison in words; empty where there are none to tell."""
        if self.purpose != "compare":
            return ""
        return listing((f"{name!r} ({how})" for name, how in self.misfits.items()), 3)


@dataclass(frozen=True)
class Caution:
    """One line of warning, or what a verdict holds under ("with ..."), asked of no controls."""

    text: str = ""
    condition: str = ""


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

    @classmethod
    def of_steps(cls, change: Tensor, y: Tensor, K: int) -> "SharedError":
        """Of a solver of order 4, by what half as many steps change: an error is 1/15 of it.

        >>> SharedError.of_steps(torch.tensor([0.15, 0.45]), torch.tensor([0, 0]), 1).either_way
        tensor([0.0200], dtype=torch.float64)

        Args:
            change: (B,) of log densities.
            y: (B,) sources.
            K: their number.
        """
        y, sums = y.cpu(), torch.zeros(K, dtype=torch.float64)
        sums.index_add_(0, y, change.double().abs().cpu() / 15)
        error = sums / torch.bincount(y, minlength=K)
        return cls(0 * error, 0 * error, error)


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
