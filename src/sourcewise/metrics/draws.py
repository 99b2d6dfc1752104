"""Points of draws, source by source: what all metrics of samples begin with.

Strategies draw by the same streams of noise, so that the errors of two of them are much the same.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from sourcewise.families.partitioned import PartitionedModel
from sourcewise.forms import X
from sourcewise.metrics.base import HeldOut, Trained
from sourcewise.metrics.features.base import Features
from sourcewise.randomness import Noise

__all__ = ["as_points", "points_by_source", "points_of_draws", "usual_counts"]

DRAWS, FEWEST, MOST = 8, 1024, 4000  # for each held-out row; of a source, at least and at most
SLOW_DRAWS, FEWEST_SLOW = 4, 128  # likewise, of models whose draws take long
AT_ONCE = 1 << 15  # draws of several sources


def as_points(features: Features, x: X, c: Tensor | None) -> Tensor:
    """Of rows with what is given beside them: the distance is between laws of both."""
    points = features(x)
    return points if c is None else torch.cat([points, c], 1)


def usual_counts(model: PartitionedModel, rows: Tensor) -> Tensor:
    """How many draws (K',) a deciding metric takes for so many held-out rows (K',) of sources."""
    slow = model.block(0).slow_draws
    each, fewest = (SLOW_DRAWS, FEWEST_SLOW) if slow else (DRAWS, FEWEST)
    return (each * rows).clamp(fewest, MOST)


def points_of_draws(
    trained: Trained, features: Features, sources: Tensor, m: Tensor, noise: Noise
) -> Iterator[tuple[int, Tensor]]:
    """Every source (K',) with the points of its m draws; some sources are drawn at a time."""
    for part in torch.arange(len(sources)).split(max(1, AT_ONCE // int(m.max()))):
        of = sources[part].repeat_interleave(m[part])
        number = torch.cat([torch.arange(n) for n in m[part].tolist()])  # of a source's draws
        drawn = as_points(features, *trained.draw(of, noise.each(of, number)))
        points = drawn.split(m[part].tolist())
        yield from zip(sources[part].tolist(), points, strict=True)


def points_by_source(
    trained: Trained, held_out: HeldOut, noise: Noise
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Every source with the points of its held-out rows, and of as many draws."""
    y, features = held_out.batch.y, trained.features
    assert features is not None
    points = as_points(features, held_out.x, held_out.batch.c)
    sources, counts = y.unique(return_counts=True)
    for k, drawn in points_of_draws(trained, features, sources, counts, noise.of("draws")):
        yield k, points[y == k], drawn
