"""What the studies of self-purification find: flags, and what conditional draws are of."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from torch import Tensor

from sourcewise.families.offers import LabelFlags
from sourcewise.statistics import Interval
from sourcewise.studies.curves import over_seeds
from sourcewise.studies.result import select

__all__ = [
    "LABELS",
    "Change",
    "Drawn",
    "Flagging",
    "Labels",
    "Probe",
    "SpfmPoint",
    "Trained",
    "changes",
    "flagging",
    "folded",
    "mean_probes",
    "merged",
]

Labels = Literal["right", "wrong", "purified"]
LABELS: tuple[Labels, ...] = ("right", "wrong", "purified")


@dataclass(frozen=True)
class Flagging:
    """Flags of labels of which the truth is known.

    Args:
        update: when, the last update of these looks.
        looks: at labels.
        precision: the share of the looks that flagged that were at wrong labels; None: none did.
        recall: the share of the looks at wrong labels that flagged them.
        false: the share of the looks at right labels that flagged them.
    """

    update: int
    looks: int
    precision: float | None
    recall: float
    false: float


def flagging(flags: LabelFlags, wrong: Tensor, update: int) -> Flagging:
    """Of looks at rows (n,) of which some have wrong labels.

    >>> import torch
    >>> flags = LabelFlags(*torch.tensor([[4.0, 4.0], [3.0, 1.0], [0.0, 0.0]]))
    >>> flagging(flags, torch.tensor([True, False]), 9)
    Flagging(update=9, looks=8, precision=0.75, recall=0.75, false=0.25)
    """
    looks, found = flags.looks, flags.flagged
    every = float(found.sum())
    return Flagging(
        update,
        int(looks.sum()),
        float(found[wrong].sum()) / every if every else None,
        float(found[wrong].sum() / looks[wrong].sum()),
        float(found[~wrong].sum() / looks[~wrong].sum()),
    )


@dataclass(frozen=True)
class Probe:
    """Shares of labels that a trained model flags, each judged once.

    Args:
        R: draws of noise.
        t: the probe time.
        recall: of wrong labels.
        false: of right ones.
    """

    R: int
    t: float
    recall: float
    false: float


@dataclass(frozen=True)
class Drawn:
    """Conditional draws of one strategy.

    Args:
        strategy: pooled or separate.
        guidance: w.
        accuracy: the share of draws that a classifier takes for the class they were drawn as.
        distance: mean energy distance of a class's draws from its own clean rows; None: not taken.
    """

    strategy: str
    guidance: float
    accuracy: float
    distance: float | None


@dataclass(frozen=True)
class Trained:
    """A cell: models of one sample with right labels, with wrong ones, or with purification."""

    drawn: tuple[Drawn, ...]
    flags: tuple[Flagging, ...]  # of the pooled model, in parts of its training
    kept: Flagging | None  # by row: flagged at more than half of its looks
    updates: dict[str, int]  # by strategy: most of a model
    real: float | None = None  # accuracy of the classifier on real rows
    probes: tuple[Probe, ...] = ()  # of a pooled model that was trained on wrong labels


def merged(parts: Sequence[Trained]) -> Trained:
    """One cell of all strategies, from one of each."""
    flags = tuple(flag for part in parts for flag in part.flags)
    kept = next((part.kept for part in parts if part.kept), None)
    updates = {name: count for part in parts for name, count in part.updates.items()}
    probes = tuple(probe for part in parts for probe in part.probes)
    drawn = tuple(draw for part in parts for draw in part.drawn)
    return Trained(drawn, flags, kept, updates, parts[0].real, probes)


@dataclass(frozen=True)
class SpfmPoint:
    """Draws of one strategy trained with one kind of labels, over all seeds."""

    labels: Labels
    strategy: str
    guidance: float
    accuracy: float  # mean over seeds
    low: float | None  # t interval over seeds, 95 %; None: of one seed
    high: float | None
    per_seed: tuple[float, ...]
    distance: float | None
    updates: int


@dataclass(frozen=True)
class Change:
    """A difference of accuracies, paired by seed, with its interval."""

    strategy: str
    guidance: float
    cost: float  # right less wrong labels
    gain: float  # purified less wrong labels
    share: float | None  # gain over cost; None where the cost is not above 0
    low: float | None  # of the share, over seeds
    high: float | None


def folded(found: Mapping[Labels, Sequence[Trained]]) -> tuple[SpfmPoint, ...]:
    """Of what every seed found, by labels."""
    return tuple(
        _point(labels, found[labels], drawn.strategy, drawn.guidance)
        for labels in LABELS
        for drawn in found[labels][0].drawn
    )


def mean_probes(each: Sequence[Trained]) -> tuple[Probe, ...]:
    """Over seeds."""
    parts = zip(*(one.probes for one in each), strict=True)
    return tuple(
        Probe(some[0].R, some[0].t, mean(p.recall for p in some), mean(p.false for p in some))
        for some in parts
    )


def _point(labels: Labels, each: Sequence[Trained], strategy: str, w: float) -> SpfmPoint:
    own = [select(one.drawn, strategy=strategy, guidance=w)[0] for one in each]
    values = [d.accuracy for d in own]
    ends = _interval(values)
    distances = [d.distance for d in own if d.distance is not None]
    return SpfmPoint(
        labels,
        strategy,
        w,
        mean(values),
        ends and ends.low,
        ends and ends.high,
        tuple(values),
        mean(distances) if distances else None,
        max(one.updates[strategy] for one in each),
    )


def changes(points: Sequence[SpfmPoint]) -> Iterator[Change]:
    """What wrong labels cost, and what purification makes of that."""
    for point in select(points, labels="purified"):
        where = {"strategy": point.strategy, "guidance": point.guidance}
        right, wrong = (select(points, labels=name, **where)[0] for name in ("right", "wrong"))
        cost, gain = right.accuracy - wrong.accuracy, point.accuracy - wrong.accuracy
        each = list(zip(right.per_seed, wrong.per_seed, point.per_seed, strict=True))
        known = cost > 0 and all(r > w for r, w, _ in each)
        ends = _interval([(p - w) / (r - w) for r, w, p in each]) if known else None
        yield Change(
            point.strategy,
            point.guidance,
            cost,
            gain,
            gain / cost if cost > 0 else None,
            ends and ends.low,
            ends and ends.high,
        )


def _interval(values: Sequence[float]) -> Interval | None:
    """Over seeds, if there are several that differ."""
    if len(values) < 2:
        return None
    found = over_seeds(values)
    return found if math.isfinite(found.low) else None
