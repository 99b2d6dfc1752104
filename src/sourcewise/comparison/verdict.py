"""Every strategy against the baseline, per source and on average, with tests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sourcewise.comparison.summary import Summary
from sourcewise.deciding import would_decide
from sourcewise.errors import listing
from sourcewise.results.comparison import MACRO, Difference, Verdict
from sourcewise.results.text import few_degrees, in_order, quoted
from sourcewise.statistics import Interval, holm, judge, judge_overall
from sourcewise.strategies import Strategy

__all__ = ["Choice", "differences", "recommend", "verdict_of"]


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
    remedy = job.metric.remedy
    lacks = would_decide(interval, region, tests, remedy) if verdict == "undecided" else None
    head = row.source, row.strategy.name, baseline, job.metric.key, job.unit
    ends = interval.value, interval.low, interval.high, interval.standard_error
    return Difference(*head, *ends, float(interval.df), interval.p, p_holm, verdict, lacks)


@dataclass(frozen=True)
class Choice:
    """The strategy to use, what says so unless it is the average, and why."""

    strategy: str
    how: str = ""
    why: str = ""


def verdict_of(
    summary: Summary, baseline: str, too_few: Mapping[str, str], differences: Sequence[Difference]
) -> Verdict:
    """The verdict on the main rival (pooled if it runs), and the strategy to use."""
    job = summary.plan.job
    rivals = [s for s in job.strategies if not s.shuffled and s.name != baseline]
    main = next((s for s in rivals if s.name == "pooled"), rivals[0]).name
    mine = {d.source: d for d in differences if d.strategy == main}
    average = next(d for d in mine.values() if d.average)
    per_source = {job.names[k]: mine[job.names[k]].verdict for k in job.tested}
    macro, p = summary.difference(main, baseline, summary.macro), average.p_holm
    overall = judge_overall(macro, 1.0 if p is None else p, summary.region, per_source)
    choice = recommend(rivals, summary.plan.job.strategies, baseline, differences)
    advice = ", ".join(filter(None, [f"recommended: {choice.strategy}", choice.how, choice.why]))
    return Verdict(
        overall=overall,
        strategy=main,
        baseline=baseline,
        recommended=choice.strategy,
        recommended_how=choice.how or None,
        reason=f"{_finding(overall, average, per_source, job.metric.sign)}; {advice}",
        per_source=per_source | dict.fromkeys(too_few, "too few rows"),
    )


def _finding(overall: str, average: Difference, per_source: Mapping[str, str], sign: float) -> str:
    strategy, baseline = average.strategy, average.baseline
    more, less = in_order(strategy, baseline, sign > 0)
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
        "equivalent": f"{strategy} and {baseline} are equivalent in practice",
        "undecided": f"the data do not decide between {strategy} and {baseline}",
    }
    lacks = f"; {average.would_decide} would decide" if average.would_decide else ""
    return f"{words[overall]}; {span}{lacks}"


@dataclass(frozen=True)
class _Side:
    """Where a rival stands: on average, and by the sources that decide where that does not."""

    average: Difference  # its difference on average
    decided: Mapping[str, str]  # the sources with a verdict for one side, and which

    @classmethod
    def of(cls, strategy: str, differences: Iterable[Difference]) -> "_Side":
        """From the differences of all strategies."""
        mine = [d for d in differences if d.strategy == strategy]
        sources = {d.source: d.verdict for d in mine if not d.average}
        decided = {name: v for name, v in sources.items() if v in ("pool", "separate")}
        return cls(next(d for d in mine if d.average), decided)

    @property
    def gain(self) -> float:
        """On average."""
        return self.average.difference or 0.0

    @property
    def deciding(self) -> list[str]:
        """The sources that decide: they agree with each other and with the average's sign."""
        likely = "pool" if self.gain > 0 else "separate"
        agreed = self.average.verdict == "undecided" and set(self.decided.values()) == {likely}
        return list(self.decided) if agreed else []

    @property
    def verdict(self) -> str:
        """On the average; where it is undecided, that of the sources that decide."""
        return self.decided[self.deciding[0]] if self.deciding else self.average.verdict


def recommend(
    rivals: Sequence[Strategy],
    strategies: Sequence[Strategy],
    baseline: str,
    differences: Sequence[Difference],
) -> Choice:
    """Who beats the baseline by most; the baseline if it beats all; else the simplest left.

    Where the average does not decide, the sources do, if those that decide agree with each other
    and with its sign.

    Rivals are those that may be recommended beside the baseline: no controls.
    """
    sides = {s.name: _Side.of(s.name, differences) for s in rivals}
    better = [name for name, side in sides.items() if side.verdict == "pool"]
    if better:
        best = max(better, key=lambda name: sides[name].gain)
        several = " of those that beat it (not tested among each other)" if len(better) > 1 else ""
        return _because(best, sides[best].deciding, f"best{several}")
    if all(side.verdict == "separate" for side in sides.values()):
        deciding = dict.fromkeys(name for side in sides.values() for name in side.deciding)
        return _because(baseline, list(deciding))
    left = [baseline, *(name for name, side in sides.items() if side.verdict != "separate")]
    blocks = {s.name: len(s.partition) for s in strategies}
    simplest = min(left, key=blocks.__getitem__)
    against = "".join(_against(name, side, baseline) for name, side in sides.items())
    return Choice(simplest, "by default", f"as the one with the fewest models{against}")


def _against(strategy: str, side: _Side, baseline: str) -> str:
    """The sources that agree on a side that the average is not on, where it decided nothing."""
    found = side.decided
    if side.verdict != "undecided" or len(set(found.values())) != 1:
        return ""
    better = strategy if next(iter(found.values())) == "pool" else baseline
    who = f"source{'s' if len(found) > 1 else ''} {listing(map(repr, found), 3)}"
    verb = "favours" if len(found) == 1 else "favour"
    return f"; {who} {verb} {better}, but the average ({side.gain:+.3g}) points the other way"


def _because(strategy: str, sources: Sequence[str], why: str = "") -> Choice:
    """The sources that decide, where the average does not."""
    if not sources:
        return Choice(strategy, "", why)
    names = listing(map(repr, sources), 3)
    how = (
        f"because of source {names} alone" if len(sources) == 1 else f"because of sources {names}"
    )
    return Choice(strategy, how, "where the difference is significant")
