"""The result of scoring new rows: the contract of `evaluate --json`, and how it prints."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sourcewise.errors import listing
from sourcewise.results import text
from sourcewise.results.comparison import MACRO, Gap, Worst
from sourcewise.results.contract import Json, Sometimes
from sourcewise.results.data import DiagnosticFacts, Fitted, Resolved, SourceFacts
from sourcewise.results.evaluation_draws import DrawsResult, draws_lines
from sourcewise.results.evaluation_score import Score

__all__ = [
    "ALONE",
    "EvaluationResult",
    "NewRows",
    "Score",
    "ScoreDifference",
    "ScoredSource",
    "ScoredStrategy",
    "ScoringMetric",
    "Skipped",
    "UnknownValue",
    "evaluation_lines",
]

ALONE = "standard errors"  # that intervals are made of


@dataclass(frozen=True)
class UnknownValue:
    """A source, category or symbol of new rows that the models do not know."""

    kind: str
    column: str | None  # of a category
    value: str
    rows: int
    first: tuple[int, ...]  # numbers of its first rows, from 1
    place: str = ""  # of the first

    @property
    def words(self) -> str:
        """The value with its rows: their numbers, or the place of the first in a file."""
        if self.place and self.place != f"row {self.first[0]}":
            where = self.place if self.rows == 1 else f"{self.rows} rows, first: {self.place}"
            return f"{text.brief(self.value, 40)!r} ({where})"
        more = self.rows - len(self.first)
        rows = ", ".join(map(str, self.first)) + (f" and {more} more" if more else "")
        return f"{text.brief(self.value, 40)!r} ({'rows' if self.rows > 1 else 'row'} {rows})"


@dataclass(frozen=True)
class Skipped:
    """Rows that were left out because the models do not know their source or a value."""

    rows: int
    unknown: tuple[UnknownValue, ...]

    @property
    def kinds(self) -> list[tuple[str, str | None]]:
        """Kinds and columns of what is unknown."""
        return list(dict.fromkeys((value.kind, value.column) for value in self.unknown))

    def words(self, kind: str, column: str | None, known: Iterable[str] = ()) -> str:
        """What of a kind, or of a column, is unknown, and what is known instead."""
        mine = [v.words for v in self.unknown if (v.kind, v.column) == (kind, column)]
        one, several = _KINDS[kind]
        what = (one if len(mine) == 1 else several).format(repr(text.brief(column or "", 40)))
        names = listing(map(text.brief, known), 12)
        return f"{what}{names and f' (known: {names})'}: {listing(mine, 5)}"


_KINDS = {
    "source": ("a source that no model knows", "sources that no model knows"),
    "category": (
        "a category of {} that training never saw",
        "categories of {} that training never saw",
    ),
    "symbol": ("a symbol that training never saw", "symbols that training never saw"),
}


@dataclass(frozen=True)
class NewRows:
    """The rows that were scored."""

    name: str
    fingerprint: str
    rows: int
    sources: tuple[SourceFacts, ...]


@dataclass(frozen=True)
class ScoringMetric:
    """What rows are scored by, and what standard errors and intervals are made of."""

    unit: str
    higher_is_better: bool
    standard_error: str
    intervals: str


@dataclass(frozen=True)
class ScoredSource:
    """A source under the models of a strategy."""

    n_test: int
    metrics: dict[str, Score]


@dataclass(frozen=True)
class ScoredStrategy:
    """New rows under the models of one strategy; `macro` also says over which `sources` it is."""

    fitted: Fitted
    resolved: Resolved
    diagnostics: tuple[DiagnosticFacts, ...]
    per_source: dict[str, ScoredSource]
    macro: dict[str, Score | tuple[str, ...]]
    worst: dict[str, Worst | None]

    def score(self, metric: str, source: str) -> Score | None:
        """Of a source, or of `macro`."""
        if source != MACRO:
            found = self.per_source.get(source)
            return found and found.metrics[metric]
        average = self.macro[metric]
        return average if isinstance(average, Score) else None


@dataclass(frozen=True)
class ScoreDifference(Gap):
    """A gap on the rows that both strategies score."""

    reason: Sometimes[str] = None
    df: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class EvaluationResult:
    """All of it; `settings` are `missing`, `unknown` and `seed`."""

    schema_version: int
    kind: str
    run: str | None
    data: NewRows
    scope: str
    primary_metric: str
    metrics: dict[str, ScoringMetric]
    warnings: tuple[str, ...]
    strategies: dict[str, ScoredStrategy]
    differences: tuple[ScoreDifference, ...]
    settings: Json
    skipped: Sometimes[Skipped] = None
    draws: Sometimes[DrawsResult] = None


def evaluation_lines(result: EvaluationResult) -> Iterator[str]:
    """Scores by source and strategy, then differences."""
    metric = result.metrics[result.primary_metric]
    yield f"{result.data.name}: {result.data.rows} rows; scope: {result.scope}"
    yield from text.note_lines(result.warnings)
    yield ""
    strategies = result.strategies.items()
    resolved = {name: item.resolved for name, item in strategies}
    yield from text.about_lines(resolved, {name: item.diagnostics for name, item in strategies})
    name = text.metric_name(result.primary_metric)
    made = "" if metric.intervals == ALONE else f"; intervals are made of {metric.intervals}"
    direction = "" if metric.higher_is_better else ", lower is better"
    head = f"{name}, {metric.unit}{direction}, ± standard error {metric.standard_error}{made}"
    yield from text.wrapped(head, then="")
    yield from text.aligned(("source", "rows", *result.strategies), _score_rows(result))
    yield from _bits(result)
    for strategy in dict.fromkeys(d.strategy for d in result.differences):
        mine = [d for d in result.differences if d.strategy == strategy]
        yield ""
        more, less = text.in_order(strategy, mine[0].baseline, metric.higher_is_better)
        yield f"{more} - {less}, {metric.unit}: above 0 favours {strategy}"
        yield from text.aligned(
            ("source", "difference", "95 % interval"),
            [
                (text.brief(d.source), text.figure(d.difference, "+.4f"), text.ends(d.low, d.high))
                for d in [*mine[:-1][: text.MOST_LINES], mine[-1]]
            ],
        )
    if result.draws is not None:
        yield from draws_lines(result.draws)


def _bits(result: EvaluationResult) -> Iterator[str]:
    """Averages of images as they are often told."""
    key = result.primary_metric
    for name, item in result.strategies.items():
        average = item.score(key, MACRO)
        if told := text.bits(average and average.mean, result.metrics[key].unit):
            yield f"{name}: {told} on average"


def _score_rows(result: EvaluationResult) -> list[tuple[str, ...]]:
    strategies, metric = result.strategies.values(), result.primary_metric
    present = [source for source in result.data.sources if source.rows]
    rows = [
        (
            text.brief(s.name),
            str(s.rows),
            *(_score(item.score(metric, s.name)) for item in strategies),
        )
        for s in present[: text.MOST_LINES]
    ]
    if len(present) > text.MOST_LINES:
        rows.append((f"... {len(present) - text.MOST_LINES} more", "", *("" for _ in strategies)))
    # Also where a strategy has no model of some source: the same sources in every column.
    return [*rows, (MACRO, "", *(_score(item.score(metric, MACRO)) for item in strategies))]


def _score(score: Score | None) -> str:
    if score is None:
        return "-"
    error = "" if score.standard_error is None else f" ± {score.standard_error:.4f}"
    return text.figure(score.mean) + error
