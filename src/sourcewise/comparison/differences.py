"""Every strategy against the baseline, per source and on average, with tests."""

from dataclasses import dataclass

from sourcewise.comparison.summary import Summary
from sourcewise.results.comparison import MACRO, Difference
from sourcewise.statistics import Interval, holm, judge, would_decide
from sourcewise.strategies import Strategy

__all__ = ["differences"]


@dataclass(frozen=True)
class _Row:
    """A difference before tests are adjusted for each other.

    Args:
        strategy: what is compared.
        source: its name, or `macro`.
        interval: of the difference.
        tested: whether models differ: the same model in both strategies is no test.
    """

    strategy: Strategy
    source: str
    interval: Interval
    tested: bool

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
    """A row with its verdict.

    Args:
        summary: the numbers.
        row: of which.
        baseline: what it is taken from.
        p_holm: its adjusted p.
        tests: how many tests were adjusted together.
    """
    job, interval, region = summary.plan.job, row.interval, summary.region
    verdict = judge(interval, p_holm, region)
    lacks = would_decide(interval, region, tests) if verdict == "undecided" else None
    return Difference(
        source=row.source,
        strategy=row.strategy.name,
        baseline=baseline,
        metric=job.metric.key,
        unit=job.unit,
        difference=interval.value,
        low=interval.low,
        high=interval.high,
        standard_error=interval.standard_error,
        df=float(interval.df),
        p=interval.p,
        p_holm=p_holm,
        verdict=verdict,
        would_decide=lacks,
    )
