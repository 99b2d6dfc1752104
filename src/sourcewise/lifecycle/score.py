"""New rows under saved models, scored.

The score of a source is the sum of what its rows contribute to the metric, over the sum of their
sizes (rows or symbols). Errors that all rows of a source share widen its interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sourcewise.encoders.base import Rows
from sourcewise.errors import listing
from sourcewise.families.base import Diagnosed
from sourcewise.fitting.facts import diagnostics_of, fitted_of
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.metrics.base import Metric
from sourcewise.randomness import Noise
from sourcewise.results.comparison import Worst
from sourcewise.results.evaluation import ScoredSource, ScoredStrategy
from sourcewise.results.evaluation_score import Score
from sourcewise.screening.base import Screened
from sourcewise.sources import Sources
from sourcewise.statistics import Interval, rows_and_seeds, with_shared_errors

__all__ = ["SMALLEST", "Scored", "baseline_of", "rough", "score_of"]

FEW = 10
BASELINE = "separate"
SMALLEST = 1e-6  # error of a normaliser that is worth a word, nats


def rough(data: Sources) -> str | None:
    """A warning about sources with so few rows that their intervals mean little."""
    few = [data.names[k] for k in range(data.K) if 0 < int(data.counts[k]) < FEW]
    names = listing(map(repr, few), 5)
    return f"fewer than {FEW} rows of {names}: a rough interval, if any" if few else None


def _new_characters(rows: Rows, fitted: TrainedStrategy) -> str | None:
    """A warning that counts the characters which the models have no symbol for."""
    unknown = fitted.encoder.unknown(rows)
    if unknown is None:
        return None
    found = listing(map(repr, unknown.symbols), 6)
    return (
        f"{unknown.count} of {unknown.among} characters are unknown to the models ({found}): each "
        "scored as any character outside the vocabulary, alike under all strategies"
    )


@dataclass(frozen=True)
class Scored:
    """The rows under the models of one strategy."""

    data: Sources  # sources numbered as in the run
    metric: Metric
    unit: str
    sizes: np.ndarray  # (n,) what a row's score is divided by
    rows: np.ndarray  # (n,) contributions to the metric, NaN where there is no model of the source
    warnings: list[str]
    error: np.ndarray  # (K, 3) that rows of a source share, see `metrics.base.Contributions`
    diagnosed: Diagnosed
    coordinates: int  # of a row

    @classmethod
    def of(
        cls, trained: TrainedStrategy, screened: Screened, metric: Metric, seed: int
    ) -> "Scored":
        """Encode and score rows that are matched to the models."""
        model = trained.model
        data, coding = screened.data, trained.encoder.coding
        sizes, noise = metric.sizes(coding, data.x), Noise(seed).of("evaluate")
        with data.places.named():
            prepared = coding.prepare(data.x, noise.of("encode").each(data.y))
        inside = (model.routes[data.y, 0] >= 0).nonzero().squeeze(1)
        rows = torch.full((len(data),), torch.nan, dtype=torch.float64)
        error = torch.zeros(data.K, 3, dtype=torch.float64)
        if len(inside):
            at = data.take(inside), prepared.take(inside), sizes[inside]
            found = metric.measure(trained, trained.held_out(*at), noise.of("metric"))
            rows[inside], error = found.rows, found.shared
        bad = inside[~rows[inside].isfinite()].tolist()
        if bad:
            told = f"{len(bad)} of {len(inside)} scores are not finite"
            raise FloatingPointError(f"{told} (first: {data.places(bad[0])})")
        notes = (*screened.warnings, rough(data), _new_characters(prepared, trained))
        warnings = [text for text in notes if text]
        arrays = sizes.numpy(), rows.numpy(), warnings, error.numpy()
        return cls(
            data, metric, metric.unit(coding), *arrays, trained.diagnosed, coding.coordinates
        )

    @property
    def scored(self) -> list[int]:
        """The sources with scores."""
        return sorted(set(self.data.y.numpy()[~np.isnan(self.rows)].tolist()))

    def without_model(self, name: str) -> str | None:
        """What to say of rows that are not scored."""
        left = self.data.y[torch.from_numpy(np.isnan(self.rows))].unique().tolist()
        sources = listing((repr(self.data.names[k]) for k in left), 5)
        return f"{name} has no model of {sources}: these rows are not scored" if left else None

    def result(self, common: Sequence[int]) -> ScoredStrategy:
        """Per source, on average over the common sources, and the worst."""
        key, names = self.metric.key, self.data.names
        scores = {k: score_of(self.interval([k])) for k in self.scored}
        means = {k: score.mean for k, score in scores.items() if score.mean is not None}
        worst = min(means, key=lambda k: self.metric.sign * means[k]) if means else None
        macro = score_of(self.interval(common))
        return ScoredStrategy(
            fitted=fitted_of(self.diagnosed),
            resolved=self.diagnosed.resolved,
            diagnostics=diagnostics_of(self.diagnosed),
            per_source={
                names[k]: ScoredSource(int((self.data.y == k).sum()), {key: score})
                for k, score in scores.items()
            },
            macro={key: macro, "sources": tuple(names[k] for k in common)},
            worst={key: None if worst is None else Worst(names[worst], means[worst])},
        )

    def interval(
        self, sources: Sequence[int], less: "Scored | None" = None
    ) -> Interval | float | None:
        """Of the equal-weight mean over sources; the mean alone if there are too few rows.

        Compared with the scores that are `less`, above 0 favours these models.
        """
        if not sources:
            return None
        rows = self.rows if less is None else self.gains(less)
        y = self.data.y.numpy()
        used = np.isin(y, sources) & ~np.isnan(rows)
        weights = np.zeros(self.data.K)
        weights[list(sources)] = 1 / len(sources)
        units = self.data.units.numpy()[used]
        if any(len(np.unique(units[y[used] == k])) < 2 for k in sources):
            masks = [used & (y == k) for k in sources]
            return float(np.mean([rows[m].sum() / self.sizes[m].sum() for m in masks]))
        sizes = self.sizes[used]
        interval = rows_and_seeds(rows[None, used], units, weights, y[used], sizes=sizes)
        if less is None:
            return with_shared_errors(interval, weights, [(1.0, self.error)])
        for k in sources:  # one model in both, but for rounding: its log Z cancels
            alike = np.array_equal(self.error[k], less.error[k])
            if alike and bool((abs(rows[used & (y == k)]) < SMALLEST).all()):
                weights[k] = 0.0
        sign = self.metric.sign
        return with_shared_errors(interval, weights, [(sign, self.error), (-sign, less.error)])

    def gains(self, less: "Scored") -> np.ndarray:
        """(n,) what each row gains under these models, NaN where either has none of its source."""
        return self.metric.sign * (self.rows - less.rows)


def score_of(interval: Interval | float | None) -> Score:
    """As results have it, with a reason where there is no interval."""
    if isinstance(interval, Interval):
        return Score(interval.value, interval.low, interval.high, interval.standard_error)
    reason = "no rows" if interval is None else "fewer than two different rows of a source"
    return Score(interval, None, None, None, reason)


def baseline_of(scored: Mapping[str, Scored]) -> str:
    """What other strategies are compared with: `separate`, or the first where it is not there."""
    return BASELINE if BASELINE in scored else next(iter(scored))
