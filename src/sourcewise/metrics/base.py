"""A metric: a number per source that says how far a model is from held-out data.

A *deciding* metric is linear in contributions: a source's value is

    sum_i a_i / sum_i s_i   over its rows i,

a_i the contribution and s_i the size of a row. Intervals and verdicts are made of contributions
and never know which metric it was. A metric that is *shown* gives values only, never decides, and
its replicates are those of the training seeds or repetitions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.encoders.base import Coding, Encoder
from sourcewise.families.base import ConditionalModel
from sourcewise.forms import X
from sourcewise.metrics.features.base import Features
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["Contributions", "HeldOut", "Metric", "Trained"]


class Trained(Protocol):
    """A strategy that a metric measures."""

    @property
    def model(self) -> ConditionalModel:
        """Its models behind the face of one: a `PartitionedModel`."""
        ...

    @property
    def encoder(self) -> Encoder:
        """Of its data."""
        ...

    def draw(self, y: Tensor, noise: ExampleNoise) -> tuple[X, Tensor | None]:
        """A draw for each entry of y in original units, and the given columns (B, C) of it."""
        ...

    @property
    def features(self) -> Features | None:
        """What rows are as points, if the metric asks for that."""
        ...


@dataclass(frozen=True)
class HeldOut:
    """Rows that strategies are measured on; they share the encoder."""

    x: X  # n rows, in original units
    batch: Batch  # the same encoded, x being z
    log_det: Tensor  # (n,) log |dz/dx|


@dataclass(frozen=True)
class Contributions:
    """What rows contribute to the values of their sources.

    Args:
        rows: a, (n,) float64.
        shared: (K, 3 + B) errors that all rows of a source share, of the value: the standard
            error, how much it may be overstated beyond that, what it may be wrong by either way;
            and what each of B equal parts of a simulation would make of it (none: B = 0).
        terms: (n, T) what they are sums of, if the metric tells it apart.
    """

    rows: Tensor
    shared: Tensor
    terms: Tensor | None = None


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Args:
        name: what users call it.
        about: one line for lists and help.
        needs: what it asks of a model.
        higher_is_better: its direction.
        home: "module:function", imported when it measures: `(Trained, HeldOut, Noise)` to
            `Contributions`, or (K,) values of a metric that is shown.
        unit: in words, by the coding of the data.
        region: half the width of practical equivalence, by the coding and by the value of the
            baseline, averaged over the tested sources.
        decides: whether verdicts may rest on it.
        of_log_densities: whether a row contributes its log density: their sums are then enough.
        features: whether it takes rows as points: features are then fitted with the encoder.
        per_unit: whether values are per unit of the coding (row, symbol, pixel value), or per row
            whatever it is made of.
        remedy: what makes the errors smaller that all rows of a source share, in words.
        parts: B, into which a simulation is parted that all strategies share the streams of.
        terms: what a row's contribution is the sum of, in words, if that is told apart.
    """

    name: str
    about: str
    needs: Literal["density", "bound", "samples"]
    higher_is_better: bool
    home: str
    unit: Callable[[Coding], str]
    region: Callable[[Coding, float], float]
    decides: bool = True
    of_log_densities: bool = False
    features: bool = False
    per_unit: bool = True
    remedy: str = "normalisers known better"
    parts: int = 0
    terms: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name in documents and files."""
        return self.name.replace("-", "_")

    @property
    def sign(self) -> float:
        """1 or -1: what makes a positive difference favour the strategy."""
        return 1.0 if self.higher_is_better else -1.0

    def sizes(self, coding: Coding, x: X) -> Tensor:
        """(n,) float64 s, what each row counts in its source's value."""
        return coding.sizes(x) if self.per_unit else torch.ones(len(x), dtype=torch.float64)

    def measure(self, trained: Trained, held_out: HeldOut, noise: Noise) -> Contributions:
        """What each row contributes."""
        found = self._function(trained, held_out, noise)
        assert isinstance(found, Contributions)
        return found

    def values(self, trained: Trained, held_out: HeldOut, noise: Noise) -> Tensor:
        """(K,) the values of a metric that is shown, NaN where there are no rows."""
        found = self._function(trained, held_out, noise)
        assert isinstance(found, Tensor)
        return found

    @property
    def _function(self) -> Callable[[Trained, HeldOut, Noise], Contributions | Tensor]:
        module, name = self.home.split(":")
        return getattr(import_module(module), name)
