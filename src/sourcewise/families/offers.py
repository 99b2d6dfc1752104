"""What a model may offer beside loss and draws: a density, a bound, moments, an exact fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import BatchNoise, Density
from sourcewise.moments import Moments
from sourcewise.partition import Partition
from sourcewise.randomness import ExampleNoise, Noise

__all__ = [
    "BOUND_TERMS",
    "Choosing",
    "ChoosingTogether",
    "HasBound",
    "HasDensity",
    "HasMoments",
    "Judging",
    "LabelFlags",
    "Solvable",
    "Solved",
]

BOUND_TERMS = (  # of a bound: what is lost at noise of so many standard deviations
    "layout: noise 2 or more",
    "shapes: .5 to 2",
    "detail: .05 to .5",
    "finest detail: below .05",
)


@runtime_checkable
class HasDensity(Protocol):
    """A model with a density."""

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Log densities of rows under their sources; `noise` is of what is simulated."""
        ...


@runtime_checkable
class HasBound(Protocol):
    """A model with a bound of its density."""

    def bound(self, batch: Batch, noise: ExampleNoise) -> Tensor:
        """(B, 4) terms whose sums are, in expectation, at most the log densities of rows.

        They are `BOUND_TERMS`. The noise of a row does not depend on the model: two models differ
        by what they know.
        """
        ...


@runtime_checkable
class HasMoments(Protocol):
    """A model that says where each source is: what tables of estimates show."""

    def source_moments(self) -> tuple[Tensor, Tensor]:
        """Encoded means and standard deviations, (K, d) each; given columns are at their means."""
        ...


class Solved(Protocol):
    """All models of a strategy, as sums over their training rows give them."""

    @property
    def free_parameters(self) -> int:
        """Of all models together."""
        ...

    def log_density(self, batch: Batch, noise: Noise) -> Tensor:
        """(B,) of rows under their sources."""
        ...

    def total_log_density(self, rows: Moments) -> Tensor:
        """(K,) log densities summed over each source's rows; NaN for sources without a model."""
        ...


@runtime_checkable
class Solvable(Protocol):
    """A class of models whose fit and density depend on rows by their moments alone.

    Training sets that differ in parts of their rows then cost one pass over the data together.
    """

    @staticmethod
    def solve(
        settings: Any,
        moments: Moments,
        partition: Partition,
        names: tuple[str, ...],
        parts: Moments | None = None,
        partial: bool = False,
    ) -> Solved:
        """The exact fit of every block of the partition.

        Args:
            settings: the family's.
            moments: of the encoded training rows of K sources.
            partition: the blocks.
            names: the K sources' names, for messages.
            parts: of the same rows in P parts, (P K) groups: what settings leave open is chosen as
                `Choosing` says.
            partial: sources of a block are pooled partially; asked of families that can.

        Raises:
            InputError: what `fit_exactly` would refuse.
        """
        ...


@runtime_checkable
class Choosing(Protocol):
    """A model that settles what its settings leave open by rows that a fit has not seen.

    Its training rows come in parts, and each part is predicted by fits to the others: test rows
    have no part in it. The rule is the same for every strategy and every block.
    """

    def choose(self, rows: Batch, part: Tensor, names: tuple[str, ...]) -> None:
        """Settle it, before the model is fitted to all rows.

        Args:
            rows: n training rows.
            part: (n,) the part of each.
            names: the sources' names, for messages.
        """
        ...


@runtime_checkable
class ChoosingTogether(Choosing, Protocol):
    """A model that settles it for several blocks in one go, each by its own rows alone."""

    @classmethod
    def choose_together(
        cls, models: Sequence[Any], rows: Sequence[Batch], parts: Sequence[Tensor]
    ) -> None:
        """What `choose` does for each of some models of this class, with its rows and parts."""
        ...


@dataclass(frozen=True)
class LabelFlags:
    """What became of the labels of n training rows whose model judged them, (n,) float64 each.

    Args:
        looks: how often a row's label was judged.
        flagged: how often it was flagged: held to be wrong.
        excess: the sum of what it was judged by, which is above 0 where a label is flagged.
    """

    looks: Tensor
    flagged: Tensor
    excess: Tensor

    @property
    def share(self) -> Tensor:
        """(n,) of the looks at which a row was flagged; NaN where there were none."""
        return self.flagged / self.looks

    @property
    def mean_excess(self) -> Tensor:
        """(n,) over the looks; NaN where there were none."""
        return self.excess / self.looks


@runtime_checkable
class Judging(Protocol):
    """A model that judges the labels of its training rows; rows with y = -1 have none for it."""

    flags: LabelFlags | None  # of its training rows, in their order, once it is trained

    @property
    def judged_after(self) -> float | None:
        """The share of the updates after which labels are judged; None: there is no other label
        than the one, and nothing to judge."""
        ...

    @property
    def label_memory(self) -> float:
        """The weight, in [0, 1), of what a training row was judged by before; 0: none."""
        ...

    def label_excess(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) above 0 of rows whose label is flagged; without a gradient, stackable."""
        ...

    def keep_flags(self, flags: LabelFlags) -> None:
        """After training."""
        ...
