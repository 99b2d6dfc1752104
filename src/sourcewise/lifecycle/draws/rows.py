"""New rows and training rows as points, and draws beside them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Images, X, take
from sourcewise.lifecycle.draws.asked import DrawsAsked, TrainingRows
from sourcewise.metrics.draws import as_points
from sourcewise.metrics.features.base import Features
from sourcewise.metrics.features.choice import NAMES, features_of
from sourcewise.randomness import Noise
from sourcewise.results.evaluation_draws import FeatureFacts
from sourcewise.sources import Sources

__all__ = ["Examples", "PointRows", "Tick", "drawn"]

Tick = Callable[[], None]  # called after each step of the work
LEAST = 2  # rows of a source that are measured


@dataclass(frozen=True)
class Examples:
    """Rows or draws of a source.

    Args:
        points: (n, D) float64, given columns among them.
        x: n of them, in original units.
    """

    points: Tensor
    x: X

    def classified(self, index: Tensor) -> Tensor | Images:
        """What a classifier takes of those at `index`: images as they are, others as points."""
        return take(self.x if isinstance(self.x, Images) else self.points, index)


@dataclass(frozen=True)
class PointRows:
    """New rows and training rows, as points of one space.

    Args:
        data: new rows, sources numbered as in the run.
        points: (n, D) of them.
        training: training rows, if they are given.
        training_points: (N, D) of them.
        features: what made the points.
        facts: what results say of features.
    """

    data: Sources
    points: Tensor
    training: TrainingRows | None
    training_points: Tensor | None
    features: Features
    facts: FeatureFacts

    @classmethod
    def of(
        cls,
        data: Sources,
        trained: TrainedStrategy,
        training: TrainingRows | None,
        asked: DrawsAsked,
        noise: Noise,
    ) -> "PointRows":
        """Fit the features; see `_features`.

        Raises:
            InputError: no such features, or rows that are no points.
        """
        fitted, features = _features(data, trained, training, asked, noise)
        points = _points(features, trained, data)
        others = None if training is None else _points(features, trained, training.data)
        told = features.to_json()
        coordinates, sha256 = points.shape[1], told.get("sha256")
        facts = FeatureFacts(asked.features, told["kind"], coordinates, fitted, sha256)
        return cls(data, points, training, others, features, facts)

    @property
    def sources(self) -> list[int]:
        """Those that are measured."""
        return (self.data.counts >= LEAST).nonzero().squeeze(1).tolist()

    def of_source(self, k: int) -> Examples:
        """Its new rows."""
        at = (self.data.y == k).nonzero().squeeze(1)
        return Examples(self.points[at], take(self.data.x, at))

    def training_of(self, k: int) -> Examples | None:
        """Its training rows, if they are given and there are some."""
        if self.training is None or self.training_points is None:
            return None
        at = (self.training.data.y == k).nonzero().squeeze(1)
        found = Examples(self.training_points[at], take(self.training.data.x, at))
        return found if len(at) else None


def _features(
    data: Sources,
    trained: TrainedStrategy,
    training: TrainingRows | None,
    asked: DrawsAsked,
    noise: Noise,
) -> tuple[str | None, Features]:
    """What they were fitted on, and the features.

    `auto` are those of the run, where its metric has some. Others are fitted on training rows
    where these are given. Without them `auto` is fitted on the new rows: it takes scales alone
    from them, the same for all strategies.
    """
    if asked.features == "auto" and trained.features is not None:
        return "the rows that the run trained on", trained.features
    rows = data if training is None else training.data
    which = "these rows" if training is None else "the training rows"
    coding = trained.encoder.coding
    found = features_of(asked.features, rows.x, coding, rows.y, noise.of("features"))
    return which if asked.features in NAMES else None, found


def _points(features: Features, trained: TrainedStrategy, data: Sources) -> Tensor:
    if data.c is None or trained.given is None:
        return as_points(features, data.x, None)
    return as_points(features, data.x, trained.given.encode(data.c))


def drawn(
    trained: TrainedStrategy, features: Features, k: int, asked: DrawsAsked, seed: int
) -> Examples:
    """The draws of a source: those that `sample` makes with this seed."""
    y = torch.full((asked.n,), k)
    noise = Noise(seed).of("samples").each(y, torch.arange(asked.n))
    x, c = trained.draw(y, noise, **asked.options)
    return Examples(as_points(features, x, c), x)
