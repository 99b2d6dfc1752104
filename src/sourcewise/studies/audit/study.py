"""Do verdicts hold under a sceptic? Coverage, one-sided errors, wrong verdicts, power, regret.

Each setting (`populations`) draws fresh data sets. Each goes through the whole of `compare`:
pooled and separate, where sources come in halves the two groups as well, and partial pooling if
that is what is audited (`strategy`). The true value of a
strategy (`truth`) is its expected log-likelihood over training samples of the size that a fold
has. What a recommendation loses against the truly best strategy is its regret. Where `compare`
looks at the rows that are not far out as well, their intervals are held against their own truth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field

from sourcewise.comparison.compare import compare
from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.results.comparison import ComparisonResult
from sourcewise.settings import Seed, Settings
from sourcewise.studies.audit import truth
from sourcewise.studies.audit.intervals import Intervals, Judged
from sourcewise.studies.audit.populations import POPULATIONS, Population, chosen
from sourcewise.studies.grid import Grid, Progress, Trials, Work, within
from sourcewise.studies.result import Result

__all__ = ["Audit", "AuditPoint", "AuditSettings", "grid"]

MISSED = "level_above", "level_below", "lead_above", "lead_below"
FEWEST = 0.5  # of a setting's data sets compare typical rows, or nothing is said of these


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
    metric: truth.Decides = Field(default="log-likelihood", description="what decides")
    strategy: truth.Audited = Field(
        default="pooled",
        description="whose difference from separate is audited; partial is compared beside pooled",
    )
    seeds: int = Field(default=1, ge=1, le=1000, description="repetitions of the cross-validation")
    seed: Seed = 0


@dataclass(frozen=True)
class AuditPoint:
    """What was found in a setting; shares of its data sets, but for what says otherwise."""

    name: str
    all_rows: Intervals
    equivalent_wrong: float  # some source is called so whose true difference is outside the region
    regret: float  # of the recommendation, nats per row
    regret_best: float  # of taking the best estimate
    regret_fewest: float  # of always taking the fewest models
    contradicted: float  # a recommendation below the region, or with an interval that excludes 0
    conditional: float  # the verdict holds under a condition
    wrong_outright: float  # a verdict for the worse side, under no condition
    claimed: bool  # whether coverage is: not where rows of a patient are taken for patients
    far_out: float  # rows that are not far out are compared as well
    typical: Intervals | None  # of such rows in these data sets; None: in few or none
    # Of the strategy's level on average, the interval lies above the true one; of log-likelihoods.
    level_above: float
    level_below: float
    lead_above: float  # of what the recommended strategy gains over the next, likewise
    lead_below: float

    def __str__(self) -> str:
        return (
            f"| {self.name} | {self.all_rows} | {100 * self.wrong_outright:.1f} "
            f"| {100 * self.equivalent_wrong:.1f} | {100 * self.conditional:.0f} "
            f"| {self.regret:.4f} | {self.regret_best:.4f} "
            f"| {self.regret_fewest:.4f} |"
        )

    @property
    def others(self) -> str:
        """A line of the other intervals: of the strategy's level, and of the lead."""
        ends = (self.level_above, self.level_below), (self.lead_above, self.lead_below)
        told = (f"{100 * (1 - a - b):.1f} | {100 * a:.1f} / {100 * b:.1f}" for a, b in ends)
        return f"| {self.name} | {' | '.join(told)} |"


@dataclass(frozen=True)
class Audit(Result):
    """The study's tables."""

    settings: AuditSettings
    points: tuple[AuditPoint, ...]

    def __str__(self) -> str:
        """In Markdown: all rows, last the mean of claims of coverage; and rows not far out.

        Of partial pooling also what else a result states of it, when three strategies are ranked.
        """
        lines = [
            f"| setting | {Intervals.HEAD} | wrong outright | wrongly equivalent "
            "| conditional | regret | best estimate | fewest models |",
            "|---" * 13 + "|",
            *map(str, self.points),
        ]
        if claimed := self.select(claimed=True):
            lines.append(str(_mean(claimed)))
        if self.settings.strategy == "partial":
            lines += [
                "",
                "Its level on average, and the lead of the recommended strategy over the next:",
                "",
                "| setting | covers, level | above / below | covers, lead | above / below |",
                "|---" * 5 + "|",
                *(
                    point.others
                    for point in [*self.points, *([_mean(claimed)] if claimed else [])]
                ),
            ]
        typical = [point for point in self.points if point.typical]
        if typical:
            lines += [
                "",
                "Of rows that are not far out:",
                "",
                f"| setting | data sets | {Intervals.HEAD} |",
                "|---" * 8 + "|",
                *(f"| {p.name} | {100 * p.far_out:.0f} | {p.typical} |" for p in typical),
            ]
        return "\n".join(lines)


def _mean(points: Sequence[AuditPoint]) -> AuditPoint:
    """Of what all settings have."""
    keys = [field.name for field in fields(AuditPoint) if field.type is float]
    means = {key: float(np.mean([getattr(point, key) for point in points])) for key in keys}
    every = Intervals.mean([point.all_rows for point in points])
    return AuditPoint(name="mean", all_rows=every, claimed=True, typical=None, **means)


def grid(settings: AuditSettings) -> Grid[Population, AuditPoint, Audit]:
    """All settings, or those that are named."""
    s = settings
    cells = chosen(POPULATIONS, s.only)
    if s.metric != "log-likelihood" and any(p.tails == "lognormal" for p in cells):
        raise InputError(f"setting metric: {s.metric} has no exact truth of lognormal rows")
    if s.metric != "log-likelihood" and s.strategy == "partial":
        raise InputError(f"setting metric: levels of {s.metric} have no exact truth")
    few = {"repetitions": 2, "truth_samples": 10}
    return Grid(
        cells=cells,
        compute=partial(_measure, settings),
        found=AuditPoint,
        fold=lambda found: Audit(s, tuple(found[cell.name] for cell in cells)),
        time=Trials(
            lambda cell: Work(s.repetitions, sum(cell.sizes) * cell.d**2),
            lambda: grid(s.model_copy(update=few)),
        ),
    )


def _measure(
    s: AuditSettings, population: Population, progress: Progress | None, folder: Path | None
) -> AuditPoint:
    """The true values, and what each data set's comparison makes of them."""
    noise = Noise(s.seed).of("audit", population.name)
    first, settings = within(progress, 0, 0.1), truth.compared(population, s.metric, s.strategy)
    values = truth.of_all_rows(population, settings, s.truth_samples, noise.of("truth"), first)
    found = []
    for r in range(s.repetitions):
        data = population.draw(noise.of("data", r))
        result = compare(data, settings, seeds=s.seeds, seed=r).result
        found.append(_Outcome.of(result, values, s.strategy))
        if progress:
            progress(s.repetitions + 9 * (r + 1), 10 * s.repetitions)
    return _point(s, population, values, found, noise.of("typical"))


@dataclass(frozen=True)
class _Outcome:
    """What came of one data set."""

    all_rows: Judged
    typical: Judged | None
    equivalent_wrong: bool
    regrets: tuple[float, float, float]  # of the recommendation, the best estimate, the fewest
    contradicted: bool
    conditional: bool
    missed: tuple[bool, bool, bool, bool]  # see `AuditPoint.level_above` and what follows

    @classmethod
    def of(
        cls, result: ComparisonResult, values: Mapping[str, np.ndarray], audited: truth.Audited
    ) -> "_Outcome":
        far, true = result.far_out, {name: float(value.mean()) for name, value in values.items()}
        return cls(
            Judged.of(result.differences, audited),
            Judged.of(far.differences, audited) if far and far.differences else None,
            _wrongly_equivalent(result, truth.differences(values, audited), audited),
            _regrets(result, true),
            _contradicted(result),
            result.verdict.condition is not None,
            (*_level_missed(result, true, audited), *_lead_missed(result, true)),
        )


def _level_missed(
    result: ComparisonResult, true: Mapping[str, float], audited: truth.Audited
) -> tuple[bool, bool]:
    """Whether the interval of a strategy's level lies above the true one, or below."""
    level = result.strategies[audited].macro[result.primary_metric]
    sign = 1 if result.metric.higher_is_better else -1
    low, high = sorted(sign * end for end in (level.low or 0.0, level.high or 0.0))
    return low > true[audited], high < true[audited]


def _lead_missed(result: ComparisonResult, true: Mapping[str, float]) -> tuple[bool, bool]:
    """Whether the interval of what the recommended strategy gains lies above that, or below."""
    lead = result.verdict.lead
    gain = true[lead.strategy] - true[lead.over]
    return (lead.low or 0.0) > gain, (lead.high or 0.0) < gain


def _wrongly_equivalent(
    result: ComparisonResult, true: np.ndarray, audited: truth.Audited
) -> bool:
    rows = [d for d in result.differences if d.strategy == audited]
    called = np.array([d.verdict == "equivalent" for d in rows])
    outside = np.abs(true) > (result.metric.region or 0.0)
    return bool((called & outside)[:-1].any())


def _regrets(result: ComparisonResult, value: Mapping[str, float]) -> tuple[float, float, float]:
    """Of the recommendation, of the best estimate, and of the fewest models."""
    key, sign = result.primary_metric, 1 if result.metric.higher_is_better else -1
    estimates = {name: sign * (s.macro[key].mean or 0) for name, s in result.strategies.items()}
    best = max(estimates, key=estimates.__getitem__)
    fewest = min(result.strategies, key=lambda name: len(result.strategies[name].blocks))
    top = max(value.values())
    return top - value[result.recommended], top - value[best], top - value[fewest]


def _contradicted(result: ComparisonResult) -> bool:
    """Whether the recommended strategy is below the region, or against its own interval."""
    region, averages = result.metric.region or 0.0, [d for d in result.differences if d.average]
    if result.recommended == result.verdict.baseline:
        return any((d.low or 0) > 0 for d in averages)
    against = [d for d in averages if d.strategy == result.recommended]
    return any((d.difference or 0) < -region or (d.high or 0) < 0 for d in against)


def _outright(one: _Outcome) -> str:
    """The verdict, if it holds under no condition."""
    return "" if one.conditional else one.all_rows.verdict


def _point(
    s: AuditSettings,
    population: Population,
    values: Mapping[str, np.ndarray],
    found: Sequence[_Outcome],
    noise: Noise,
) -> AuditPoint:
    typical, of_typical = [one.typical for one in found if one.typical], None
    if s.metric == "log-likelihood" and len(typical) >= FEWEST * len(found):
        settings = truth.compared(population, s.metric, s.strategy)
        true = truth.of_typical_rows(population, settings, s.truth_samples, noise, None)
        of_typical = Intervals.of(truth.differences(true, s.strategy), typical)
    true = truth.differences(values, s.strategy)
    all_rows = Intervals.of(true, [one.all_rows for one in found])
    regret, regret_best, regret_fewest = np.mean([one.regrets for one in found], 0).tolist()
    missed = np.mean([one.missed for one in found], 0).tolist()
    return AuditPoint(
        name=population.name,
        all_rows=all_rows,
        equivalent_wrong=float(np.mean([one.equivalent_wrong for one in found])),
        regret=regret,
        regret_best=regret_best,
        regret_fewest=regret_fewest,
        contradicted=float(np.mean([one.contradicted for one in found])),
        conditional=float(np.mean([one.conditional for one in found])),
        wrong_outright=float(np.mean([_outright(one) == all_rows.worse for one in found])),
        claimed=population.declared,
        far_out=len(typical) / len(found),
        typical=of_typical,
        **dict(zip(MISSED, missed, strict=True)),
    )
