"""Every strategy against the baseline, per source and on average, with tests."""

from dataclasses import dataclass

from sourcewise.comparison.summary import Summary
from sourcewise.results.comparison import MACRO, Difference
from sourcewise.statistics import Interval, holm, judge, would_decide
from sourcewise.strategies import Strategy

__all__ = ["differences"]


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
    """Per source and macro, for every rival; Holm over all tests that are no controls."""
    rivals = [s for s in summary.plan.job.strategies if s.name != baseline]
    rows = [row for strategy in rivals for row in _rows(summary, strategy, baseline)]
    adjusted: dict[int, tuple[float, int]] = {}
    for tests in dict.fromkeys(row.tests for row in rows):
        chosen = [i for i, row in enumerate(rows) if row.tests == tests and row.tested]
        stepped = holm([rows[i].interval.p for i in chosen])
        adjusted |= {i: (p, len(chosen)) for i, p in zip(chosen, stepped, strict=True)}
    return [
        _difference(summary, row, baseline, *adjusted.get(i, (1.0, 1)))
        for i, row in enumerate(rows)
    ]


def _rows(summary: Summary, strategy: Strategy, baseline: str) -> list[_Row]:
    name, job, rows = strategy.name, summary.plan.job, []
    for k in job.tested:
        interval = summary.difference(name, baseline, summary.source(k))
        tested = not summary.same_model(name, baseline, k)
        rows.append(_Row(strategy, job.names[k], interval, tested))
    macro = summary.difference(name, baseline, summary.macro)
    return [*rows, _Row(strategy, MACRO, macro, any(row.tested for row in rows))]


def _difference(
    summary: Summary, row: _Row, baseline: str, p_holm: float, tests: int
) -> Difference:
    """A row with its verdict; `tests` were adjusted together."""
    job, interval, region = summary.plan.job, row.interval, summary.region
    verdict = judge(interval, p_holm, region)
    lacks = would_decide(interval, region, tests) if verdict == "undecided" else None
    head = row.source, row.strategy.name, baseline, job.metric.key, job.unit
    ends = interval.value, interval.low, interval.high, interval.standard_error
    return Difference(*head, *ends, float(interval.df), interval.p, p_holm, verdict, lacks)
