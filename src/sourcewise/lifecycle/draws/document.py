"""Draws of a run beside new rows, as the document of `evaluate` has them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.lifecycle.draws.accuracy import Accuracies, accuracies, fits
from sourcewise.lifecycle.draws.asked import DrawsAsked, TrainingRows
from sourcewise.lifecycle.draws.measured import LINEAR, Measured, Value, measured
from sourcewise.lifecycle.draws.rows import PointRows
from sourcewise.lifecycle.score import Scored, baseline_of, score_of
from sourcewise.metrics.frechet import METRIC as FRECHET
from sourcewise.metrics.manifold import METRICS as MANIFOLD
from sourcewise.randomness import Noise
from sourcewise.results.comparison import MACRO
from sourcewise.results.contract import known
from sourcewise.results.evaluation_draws import (
    DrawnSource,
    DrawnStrategy,
    DrawsDifference,
    DrawsMetric,
    DrawsResult,
    DrawsScore,
)
from sourcewise.statistics import Interval

__all__ = ["Progress", "draws_beside"]

Progress = Callable[[int, int], None]  # called with (done, in all)

ROLE = "shown beside the scores of rows, and nothing is decided by it"
DRAWN = "rows, and draws by their 20 parts"
ONE = "none: an interval of one distance would not cover it, as it is biased; see differences"
SHOWN = "none: a number that is shown"
FEW = "too few rows or draws"
COPIES = "half of the rows of a source equal training rows"
VARIANCES = "variances"


@dataclass
class _Count:
    """How much of the work is done."""

    progress: Progress | None
    total: int
    done: int = 0

    def tick(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)


def draws_beside(
    models: Mapping[str, TrainedStrategy],
    scored: Mapping[str, Scored],
    training: TrainingRows | None,
    asked: DrawsAsked,
    seed: int,
    progress: Progress | None,
) -> DrawsResult:
    """Draw from every strategy and measure the draws.

    Args:
        models: by strategy.
        scored: the new rows under them, which are the same for all.
        training: training rows, if they are given.
        asked: what is wanted.
        seed: of all draws.
        progress: see above.

    Raises:
        InputError: no such features, or rows that are no points.
    """
    noise, baseline = Noise(seed).of("evaluate", "draws"), baseline_of(scored)
    first = next(iter(models))
    real = PointRows.of(scored[first].data, models[first], training, asked, noise)
    more = 0 if training is None else fits(len(models))
    count = _Count(progress, len(real.sources) * len(models) + more)
    found = measured(real, models, scored, baseline, asked, seed, count.tick)
    common = sorted(set.intersection(*(set(item.sources) for item in found.values())))
    kept = {name: item.kept for name, item in found.items()}
    judged = accuracies(real, kept, common, asked.n, noise.of("accuracy"), count.tick)
    return DrawsResult(
        role=ROLE,
        n=asked.n,
        seed=seed,
        features=real.facts,
        metrics=dict(_metrics(found[first], training is not None)),
        strategies={
            name: _strategy(item, real, asked, common, judged, name)
            for name, item in found.items()
        },
        differences=tuple(_differences(found, baseline, common)),
        options=asked.options or None,
        training=None if training is None else training.facts,
        accuracy=judged.facts,
        accuracy_reason=judged.reason,
    )


def _metrics(found: Measured, training: bool) -> Iterator[tuple[str, DrawsMetric]]:
    """What each number says."""
    for key, item in found.linear.items():
        yield key, DrawsMetric(LINEAR[key][0].about, item.unit, False, DRAWN)
    yield FRECHET.key, DrawsMetric(FRECHET.about, VARIANCES, False, ONE)
    halves = "Frechet distance between half of the rows and as many draws; expected: of two halves"
    yield "frechet_of_halves", DrawsMetric(halves, VARIANCES, False, ONE)
    for metric in MANIFOLD:
        unit = "per draw" if metric.name == "density" else "share"
        yield metric.key, DrawsMetric(metric.about, unit, metric.higher_is_better, SHOWN)
    if training:
        ratio = "median distance to the nearest training row, of draws over that of rows; near 1"
        share = "share of draws that are nearer to a training row than 99 % of rows are"
        yield "memorisation_ratio", DrawsMetric(ratio, "ratio", None, SHOWN)
        yield "memorisation_share", DrawsMetric(share, "share", False, SHOWN)


def _strategy(
    item: Measured,
    real: PointRows,
    asked: DrawsAsked,
    common: Sequence[int],
    judged: Accuracies,
    name: str,
) -> DrawnStrategy:
    keys = [key for k in item.sources for key in item.shown[k]]
    shown = list(dict.fromkeys(keys))
    macro: dict[str, DrawsScore | tuple[str, ...]] = {
        key: _linear(scored, common) for key, scored in item.linear.items()
    }
    macro |= {key: _average([item.shown[k].get(key) for k in common]) for key in shown}
    names = tuple(real.data.names[k] for k in common)
    return DrawnStrategy(
        per_source={real.data.names[k]: _source(item, real, asked, k) for k in item.sources},
        macro={**macro, "sources": names},
        accuracy=judged.of.get(name),
    )


def _source(item: Measured, real: PointRows, asked: DrawsAsked, k: int) -> DrawnSource:
    rows, training = int(real.data.counts[k]), real.training
    linear = {key: _linear(scored, [k]) for key, scored in item.linear.items()}
    shown = {key: _average([value]) for key, value in item.shown[k].items()}
    return DrawnSource(
        n_test=rows,
        n_draws=asked.n,
        n_equal=min(rows, asked.n),
        metrics={**linear, **shown},
        n_training=None if training is None else int(training.data.counts[k]),
    )


def _linear(scored: Scored, sources: Sequence[int]) -> DrawsScore:
    found = score_of(scored.interval(sources))
    return DrawsScore(**asdict(found), expected=0.0)


def _average(values: Sequence[Value | None]) -> DrawsScore:
    """With equal weights; unknown where a source lacks it."""
    there = [value for value in values if value is not None]
    if len(there) < len(values) or not there:
        return DrawsScore(None, None, None, None, FEW if values else "no source has draws")
    mean = known(float(np.mean([value.value for value in there])))
    wanted = [value.expected for value in there if value.expected is not None]
    expected = float(np.mean(wanted)) if len(wanted) == len(there) else None
    reason = COPIES if mean is None else None
    return DrawsScore(mean, None, None, None, reason, expected)


def _differences(
    found: Mapping[str, Measured], baseline: str, common: Sequence[int]
) -> Iterator[DrawsDifference]:
    """Of every strategy and the baseline, on every source that both draw, then on average."""
    for name, item in found.items():
        if name == baseline:
            continue
        both = sorted({*item.sources} & {*found[baseline].sources})
        names = next(iter(item.linear.values())).data.names
        for label, chosen in [*((names[k], [k]) for k in both), (MACRO, list(common))]:
            for key, scored in item.linear.items():
                less = found[baseline].linear[key]
                head = label, name, baseline, key, scored.unit
                yield _difference(head, scored.interval(chosen, less))
            head = label, name, baseline, FRECHET.key, VARIANCES
            yield _difference(head, _gap([item.gaps[k] for k in chosen]))


def _difference(
    head: tuple[str, str, str, str, str], found: Interval | float | None
) -> DrawsDifference:
    score = score_of(found)
    ends = score.mean, score.low, score.high, score.standard_error, score.reason
    return DrawsDifference(*head, *ends)


def _gap(gaps: Sequence[Interval | float]) -> Interval | float | None:
    """The mean over sources, which are independent; degrees of freedom by Welch."""
    intervals = [gap for gap in gaps if isinstance(gap, Interval)]
    if len(intervals) < len(gaps) or not gaps:
        values = [gap.value if isinstance(gap, Interval) else gap for gap in gaps]
        return float(np.mean(values)) if values else None
    value, K = float(np.mean([gap.value for gap in intervals])), len(intervals)
    squares = [(gap.standard_error / K) ** 2 for gap in intervals]
    total = sum(squares)
    parts = sum(s * s / gap.df for s, gap in zip(squares, intervals, strict=True))
    return Interval(value, math.sqrt(total), total**2 / parts if parts else intervals[0].df)
