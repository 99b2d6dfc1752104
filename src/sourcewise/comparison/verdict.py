"""Every strategy against the baseline, per source and on average, with tests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from sourcewise.comparison.summary import Summary
from sourcewise.errors import listing
from sourcewise.results.comparison import MACRO, Difference, Lead, Verdict
from sourcewise.results.text import few_degrees, in_order, quoted, within
from sourcewise.statistics import Interval, holm, judge, judge_overall, would_decide
from sourcewise.statistics import Verdict as Judged
from sourcewise.strategies import Strategy

__all__ = ["differences", "total_variation", "verdict_of"]


@dataclass(frozen=True)
class _Row:
    """A difference before tests are adjusted for each other."""

    strategy: Strategy
    source: str
    interval: Interval
    tested: bool  # the same model in both strategies is no test

    @property
    def tests(self) -> tuple[bool, bool]:
        """Tests are adjusted together: of sources or averages, of rivals or controls."""
        return self.source == MACRO, self.strategy.shuffled


def differences(summary: Summary, baseline: str) -> list[Difference]:
    """Per source and macro, for every rival; Holm over all tests that are no controls.

    Tests of a difference and tests of equivalence are adjusted alike, each among themselves.
    """
    rivals = [s for s in summary.plan.job.strategies if s.name != baseline]
    rows = [row for strategy in rivals for row in _rows(summary, strategy, baseline)]
    adjusted = [_Adjusted(1.0, row.interval.outside(summary.region), 1) for row in rows]
    for tests in dict.fromkeys(row.tests for row in rows):
        chosen = [i for i, row in enumerate(rows) if row.tests == tests and row.tested]
        unequal = holm([rows[i].interval.p for i in chosen])
        outside = holm([adjusted[i].outside for i in chosen])
        for i, p, q in zip(chosen, unequal, outside, strict=True):
            adjusted[i] = _Adjusted(p, q, len(chosen))
    return [_difference(summary, row, baseline, p) for row, p in zip(rows, adjusted, strict=True)]


@dataclass(frozen=True)
class _Adjusted:
    """p-values of a row after Holm's correction."""

    unequal: float  # against no difference
    outside: float  # against one that matters
    tests: int  # that were adjusted together


def _rows(summary: Summary, strategy: Strategy, baseline: str) -> list[_Row]:
    name, job, rows = strategy.name, summary.plan.job, []
    for k in job.tested:
        interval = summary.difference(name, baseline, summary.source(k))
        tested = not summary.same_model(name, baseline, k)
        rows.append(_Row(strategy, job.names[k], interval, tested))
    macro = summary.difference(name, baseline, summary.macro)
    return [*rows, _Row(strategy, MACRO, macro, any(row.tested for row in rows))]


def _difference(summary: Summary, row: _Row, baseline: str, adjusted: _Adjusted) -> Difference:
    """A row with its verdict."""
    job, interval, region, name = summary.plan.job, row.interval, summary.region, row.strategy.name
    verdict, lacks = judge(interval, adjusted.unequal, region, adjusted.outside), None
    if verdict == "undecided":
        at = summary.macro if row.source == MACRO else summary.source(job.names.index(row.source))
        fading = summary.fading(name, baseline, at)
        lacks = would_decide(interval, region, adjusted.tests, job.metric.remedy, fading)
    head = row.source, name, baseline, job.metric.key, job.unit
    ends = interval.value, interval.low, interval.high, interval.standard_error
    p = interval.p, adjusted.unequal, adjusted.outside
    return Difference(*head, *ends, float(interval.df), *p, verdict, lacks)


def verdict_of(
    summary: Summary, baseline: str, too_few: Mapping[str, str], differences: Sequence[Difference]
) -> Verdict:
    """The verdict on the main rival (pooled if it runs), and the strategy to use."""
    job = summary.plan.job
    rivals = [s.name for s in job.strategies if not s.shuffled and s.name != baseline]
    main = "pooled" if "pooled" in rivals else rivals[0]
    mine = {d.source: d for d in differences if d.strategy == main}
    average = next(d for d in mine.values() if d.average)
    per_source = {job.names[k]: mine[job.names[k]].verdict for k in job.tested}
    overall = judge_overall(cast(Judged, average.verdict), per_source.values())
    lead = _lead_of(summary, baseline, rivals)
    found = _finding(overall, average, per_source, summary)
    return Verdict(
        overall=overall,
        strategy=main,
        baseline=baseline,
        recommended=lead.strategy,
        lead=lead,
        reason=f"{found}; {_advice(lead, differences, rivals)}",
        per_source=per_source | dict.fromkeys(too_few, "too few rows"),
    )


def _lead_of(summary: Summary, baseline: str, rivals: Sequence[str]) -> Lead:
    """What the best estimate on average gains over the strategy that it is least sure to beat.

    Taking the best estimate minimises the expected regret, what is lost against the best of all,
    wherever the estimates err alike on both sides.
    """
    gains = {name: summary.difference(name, baseline, summary.macro).value for name in rivals}
    gains[baseline] = 0.0
    best = max(gains, key=gains.__getitem__)
    over = {name: summary.difference(best, name, summary.macro) for name in gains if name != best}
    name, d = min(over.items(), key=lambda item: -item[1].above(0.0))
    sure = max(0.5, 1 - d.above(0.0))  # models that are the same are told apart by none
    return Lead(best, name, d.value, d.low, d.high, sure)


def _advice(lead: Lead, differences: Sequence[Difference], rivals: Sequence[str]) -> str:
    """The strategy to use, and how surely it is the best."""
    told = f"recommended: {lead.strategy}, the best estimate on average"
    if len(rivals) > 1:
        much = f"by {lead.difference:.3g}, {lead.surely}"
        told += f" (next to it {lead.over}, {much}; rivals are not tested among each other)"
    mine = [d for d in differences if d.strategy in rivals]
    decided = [d.source for d in mine if not d.average and d.verdict in ("pool", "separate")]
    alone = list(dict.fromkeys(decided))
    if alone and {d.verdict for d in mine if d.average} == {"undecided"}:
        told += f"; significant alone: {listing(map(quoted, alone), 3)}"
    return told


def _finding(
    overall: str, average: Difference, per_source: Mapping[str, str], summary: Summary
) -> str:
    strategy, baseline = average.strategy, average.baseline
    more, less = in_order(strategy, baseline, summary.plan.job.metric.higher_is_better)
    rough = few_degrees(average.df)
    span = (
        f"{more} minus {less} is {average.difference:+.3g} {average.unit} on average over "
        f"the sources (95 % interval {average.low:+.3g} to {average.high:+.3g}"
        f"{', ' + rough if rough else ''})"
    )
    if overall == "mixed":
        better = {
            side: [name for name, verdict in per_source.items() if verdict == side]
            for side in ("pool", "separate")
        }
        names = {side: listing(map(quoted, found), 6) for side, found in better.items()}
        return (
            f"the sources disagree: {strategy} is better for {names['pool']}, "
            f"{baseline} for {names['separate']}; {span}; a next step is to group those that gain "
            f"(groups:{'+'.join(better['pool'])}) and to confirm it on new data"
        )
    words = {
        "pool": f"{strategy} is better than {baseline}",
        "separate": f"{baseline} is better than {strategy}",
        "equivalent": f"{strategy} and {baseline} are equivalent in practice "
        f"({within(summary.region, average.unit, total_variation(summary))})",
        "undecided": f"the data do not decide between {strategy} and {baseline}",
    }
    lacks = f"; what would decide: {average.would_decide}" if average.would_decide else ""
    return f"{words[overall]}; {span}{lacks}"


def total_variation(summary: Summary) -> float | None:
    """The most that distributions differ whose log densities differ by the region on average.

    By Pinsker's inequality `TV <= sqrt(KL / 2)`; of rows alone, since a row of symbols or pixels
    differs by as many regions as it has of them.
    """
    job = summary.plan.job
    if not job.metric.of_log_densities or job.coding.unit != "row":
        return None
    return min(1.0, math.sqrt(summary.region / 2))
