"""Do verdicts hold under a sceptic? Coverage, one-sided errors, wrong verdicts, power, regret.

Each setting (`populations`) draws fresh data sets. Each goes through the whole of `compare`:
pooled and separate, and where sources come in halves the two groups as well. The true value of a
strategy is its expected log-likelihood over training samples of the size that a fold has, exact
for each sample by the moments of the truth, averaged over many. What a recommendation loses
against the truly best strategy is its regret.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field

from sourcewise.comparison.compare import compare
from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.scores import FOLDS
from sourcewise.encoders.numeric import NumericEncoder
from sourcewise.fitting.job import Work as FitWork
from sourcewise.fitting.strategy import fit_all
from sourcewise.metrics.likelihood import expected_log_likelihood
from sourcewise.randomness import Noise
from sourcewise.results.comparison import ComparisonResult
from sourcewise.settings import Seed, Settings
from sourcewise.studies.audit.populations import POPULATIONS, Population, chosen
from sourcewise.studies.grid import Grid, Progress, Work, within
from sourcewise.studies.result import Result

__all__ = ["Audit", "AuditPoint", "AuditSettings", "grid"]

KEY = "log_likelihood"


class AuditSettings(Settings):
    """How much is simulated."""

    repetitions: int = Field(default=100, ge=2, le=1_000_000, description="data sets per setting")
    truth_samples: int = Field(
        default=500,
        ge=2,
        le=1_000_000,
        description="data sets per setting that tell the true values",
    )
    only: tuple[str, ...] = Field(
        default=(), description="settings whose names hold one of these; none: all"
    )
    seeds: int = Field(default=1, ge=1, le=1000, description="repetitions of the cross-validation")
    seed: Seed = 0


@dataclass(frozen=True)
class AuditPoint:
    """What was found in a setting; shares of its data sets, but for what says otherwise."""

    name: str
    true_difference: float  # pooled minus separate, nats per row, on average over the sources
    coverage: float  # of the sources' intervals
    above: float  # of the sources' intervals, that lie above the true difference
    below: float
    coverage_worst: float  # of the source that is covered least
    coverage_macro: float
    above_macro: float
    below_macro: float
    width_macro: float  # nats per row
    right: float  # a verdict for the better side, where that matters
    wrong: float  # a verdict for the worse side
    equivalent: float
    equivalent_wrong: float  # some source is called so whose true difference is outside the region
    undecided: float
    regret: float  # of the recommendation, nats per row
    regret_best: float  # of taking the best estimate
    regret_fewest: float  # of always taking the fewest models
    contradicted: float  # a recommendation below the region, or with an interval that excludes 0
    conditional: float  # a verdict that holds under a condition
    claimed: bool  # whether coverage is: not where rows of a patient are taken for patients

    def __str__(self) -> str:
        sides = f"{100 * self.above:.1f} / {100 * self.below:.1f}"
        macro = f"{100 * self.above_macro:.1f} / {100 * self.below_macro:.1f}"
        words = (100 * x for x in (self.right, self.wrong, self.equivalent, self.undecided))
        return (
            f"| {self.name} | {self.true_difference:+.4f} "
            f"| {100 * self.coverage:.1f} ({100 * self.coverage_worst:.1f}) | {sides} "
            f"| {100 * self.coverage_macro:.1f} | {macro} "
            f"| {' / '.join(f'{x:.1f}' for x in words)} | {100 * self.equivalent_wrong:.1f} "
            f"| {self.regret:.4f} | {self.regret_best:.4f} | {self.regret_fewest:.4f} "
            f"| {100 * self.conditional:.1f} |"
        )


_NUMBERS = {field.name for field in fields(AuditPoint)} - {"name", "claimed"}


@dataclass(frozen=True)
class Audit(Result):
    """The study's table."""

    settings: AuditSettings
    points: tuple[AuditPoint, ...]

    def __str__(self) -> str:
        """A Markdown table; its last line is the mean of the settings that claim coverage."""
        head = (
            "| setting | true difference | covers, per source (worst) | above / below "
            "| covers, macro | above / below | right / wrong / equivalent / undecided "
            "| wrongly equivalent | regret | best estimate | fewest models | conditional |\n"
            "|---|---|---|---|---|---|---|---|---|---|---|---|"
        )
        lines = [head, *map(str, self.points)]
        if claimed := self.select(claimed=True):
            means = {n: float(np.mean([getattr(p, n) for p in claimed])) for n in _NUMBERS}
            lines.append(str(AuditPoint(name="mean", claimed=True, **means)))
        return "\n".join(lines)


def grid(settings: AuditSettings) -> Grid[Population, AuditPoint, Audit]:
    """All settings, or those that are named."""
    s = settings
    cells = chosen(POPULATIONS, s.only)
    few = {"repetitions": 2, "truth_samples": 10}
    return Grid(
        cells=cells,
        compute=partial(_measure, settings),
        found=AuditPoint,
        fold=lambda found: Audit(s, tuple(found[cell.name] for cell in cells)),
        work=lambda cell: Work(s.repetitions, sum(cell.sizes) * cell.d**2),
        short=lambda: grid(s.model_copy(update=few)),
    )


def strategies(population: Population) -> str:
    """What is compared: where the sources come in halves, these are a rival."""
    names = [f"source {k + 1}" for k in range(population.K)]
    half = population.K // 2
    groups = "+".join(names[:half]) + "|" + "+".join(names[half:])
    return (
        f"pooled,separate,groups:{groups}"
        if half > 1 and _in_halves(population)
        else ("pooled,separate")
    )


def compared(population: Population) -> CompareSettings:
    """The defaults, but for logarithms: truths are known by the moments of the columns."""
    return CompareSettings(model="gaussian", strategies=strategies(population), log=("none",))


def _in_halves(population: Population) -> bool:
    return population.likeness in ("halves", "hidden")


def _measure(
    s: AuditSettings, population: Population, progress: Progress | None, folder: Path | None
) -> AuditPoint:
    """The true values, and what each data set's comparison makes of them."""
    noise = Noise(s.seed).of("audit", population.name)
    truth = true_values(s, population, noise.of("truth"), within(progress, 0, 10))
    found = []
    for r in range(s.repetitions):
        data = population.draw(noise.of("data", r))
        result = compare(
            data, compared(population).model_copy(update={"seeds": s.seeds, "seed": r})
        )
        found.append(_Outcome.of(result.result, truth))
        if progress:
            progress(s.repetitions + 9 * (r + 1), 10 * s.repetitions)
    return _point(population, truth, found)


def true_values(
    s: AuditSettings, population: Population, noise: Noise, progress: Progress | None
) -> dict[str, np.ndarray]:
    """(K,) expected log-likelihoods of each strategy, up to what is the same for all."""
    total: dict[str, np.ndarray] = {}
    mean, covariance = population.moments()
    for i in range(s.truth_samples):
        data = population.draw(noise.of(i), (FOLDS - 1) / FOLDS)
        job = prepare(data, compared(population)).plan.job
        rows = job.coding.prepare(data.x, noise.each(data.y))
        for name, fitted in fit_all(job, rows, data.y, FitWork(noise)).items():
            encoder = fitted.encoder
            assert isinstance(encoder, NumericEncoder)
            at = (mean - encoder.mean) / encoder.scale
            scaled = covariance / (encoder.scale[:, None] * encoder.scale)
            values = np.array(expected_log_likelihood(fitted.model, at, scaled).values)
            # The logarithm of the scales is the same for all strategies, not for all samples.
            total[name] = total.get(name, 0.0) + values - float(encoder.scale.log().sum())
        if progress:
            progress(i + 1, s.truth_samples)
    return {name: values / s.truth_samples for name, values in total.items()}


@dataclass(frozen=True)
class _Outcome:
    """What came of one data set."""

    above: np.ndarray  # (K + 1,) whether intervals lie above the true difference; last: macro
    below: np.ndarray
    width: float
    verdict: str
    equivalent_wrong: bool
    regrets: tuple[float, float, float]  # of the recommendation, the best estimate, the fewest
    contradicted: bool
    conditional: bool

    @classmethod
    def of(cls, result: ComparisonResult, truth: Mapping[str, np.ndarray]) -> "_Outcome":
        rows = [d for d in result.differences if d.strategy == "pooled"]
        true = _differences(truth)
        low, high = (np.array([getattr(d, end) for d in rows], float) for end in ("low", "high"))
        region = result.metric.region or 0.0
        called = np.array([d.verdict == "equivalent" for d in rows])[:-1]
        estimates = {name: s.macro[KEY].mean or 0.0 for name, s in result.strategies.items()}
        best = max(estimates, key=estimates.__getitem__)
        fewest = min(result.strategies, key=lambda name: len(result.strategies[name].blocks))
        value = {name: float(values.mean()) for name, values in truth.items()}
        top = max(value.values())
        chosen = result.recommended
        against = [d for d in result.differences if d.average and d.strategy == chosen]
        bad = any((d.difference or 0) < -region or (d.high or 0) < 0 for d in against)
        if chosen == result.verdict.baseline:
            bad = any((d.low or 0) > 0 for d in result.differences if d.average)
        return cls(
            low > true,
            high < true,
            float(high[-1] - low[-1]),
            result.verdict.overall,
            bool((called & (np.abs(true[:-1]) > region)).any()),
            (top - value[chosen], top - value[best], top - value[fewest]),
            bad,
            result.verdict.condition is not None,
        )


def _differences(truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """(K + 1,) pooled minus separate, per source and on average."""
    found = truth["pooled"] - truth["separate"]
    return np.append(found, found.mean())


def _point(
    population: Population, truth: Mapping[str, np.ndarray], found: Sequence[_Outcome]
) -> AuditPoint:
    above, below = (np.mean([getattr(o, side) for o in found], 0) for side in ("above", "below"))
    covered, true = 1 - above - below, float(_differences(truth)[-1])
    better, worse = ("pool", "separate") if true > 0 else ("separate", "pool")

    def share(*verdicts: str) -> float:
        return float(np.mean([o.verdict in verdicts for o in found]))

    regret = np.mean([o.regrets for o in found], 0).tolist()
    return AuditPoint(
        name=population.name,
        true_difference=true,
        coverage=float(covered[:-1].mean()),
        above=float(above[:-1].mean()),
        below=float(below[:-1].mean()),
        coverage_worst=float(covered[:-1].min()),
        coverage_macro=float(covered[-1]),
        above_macro=float(above[-1]),
        below_macro=float(below[-1]),
        width_macro=float(np.mean([o.width for o in found])),
        right=share(better),
        wrong=share(worse),
        equivalent=share("equivalent"),
        equivalent_wrong=float(np.mean([o.equivalent_wrong for o in found])),
        undecided=share("undecided"),
        regret=regret[0],
        regret_best=regret[1],
        regret_fewest=regret[2],
        contradicted=float(np.mean([o.contradicted for o in found])),
        conditional=float(np.mean([o.conditional for o in found])),
        claimed=population.declared,
    )
