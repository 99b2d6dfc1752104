"""How the result of a comparison prints: tables of differences, budgets, the verdict in words."""

from collections.abc import Iterator
from typing import Any

from sourcewise.errors import counted
from sourcewise.results import text
from sourcewise.results.comparison import (
    MACRO,
    ComparisonResult,
    Difference,
    Level,
    Searched,
    StrategyResult,
)
from sourcewise.results.families_text import families_lines

__all__ = ["comparison_lines"]


def comparison_lines(result: ComparisonResult) -> Iterator[str]:
    """All of it, line by line."""
    data, verdict = result.data, result.verdict
    yield (
        f"{data.name}: {data.rows} rows, {len(data.sources)} sources, {text.extent(data)}; "
        f"scope: {result.scope}"
    )
    if result.best is not None:
        yield from text.wrapped(f"family: {result.best.family}, the best of those below")
    yield from text.note_lines(result.warnings)
    for strategy in result.rivals:
        yield ""
        yield from _difference_lines(result, strategy)
        yield from _term_lines(result, strategy)
    yield ""
    for name, strategy in result.strategies.items():
        yield from _budget_lines(result, name, strategy)
    yield from text.resolved_lines({name: s.resolved for name, s in result.strategies.items()})
    for key in result.shown:
        yield ""
        yield from _shown_lines(result, key)
    yield from families_lines(result)
    yield ""
    told = [f"verdict: {verdict.overall}"]
    if verdict.condition:  # which the reason begins with
        told.append("conditional")
    if result.scope != "procedure":
        told.append("of these models")
    if verdict.overall == "undecided":
        told.append(text.leaning(verdict.lead, result.metric.unit))
    which = verdict.recommended + (f" {result.best.family}" if result.best else "")
    yield from text.wrapped(f"{', '.join(told)}; recommended: {which}")
    yield from text.wrapped(verdict.reason, "  ")


def _difference_lines(result: ComparisonResult, strategy: str) -> Iterator[str]:
    """A strategy against the baseline: all sources, or the most certain if there are very many."""
    rows = [d for d in result.differences if d.strategy == strategy]
    sources = [d for d in rows if not d.average]
    more = len(sources) - text.MOST_LINES
    if more > 0:
        sources = sorted(sources, key=lambda d: 1.0 if d.p is None else d.p)[: text.MOST_LINES]
    baseline, region = rows[0].baseline, result.metric.region
    first, second = text.in_order(strategy, baseline, result.metric.higher_is_better)
    inside = "" if region is None else f", within ±{region:.3g} is equivalent"
    yield from text.wrapped(
        f"{first} - {second}, {rows[0].unit}: above 0 favours {strategy}{inside}", then=""
    )
    yield from text.wrapped(
        f"saw: training examples seen by {strategy} / {baseline}, repeats counted; {MACRO}: the "
        "mean of the sources",
        then="",
    )
    head = ("source", "rows", "saw", "difference", "95 % interval", "p (Holm)", "verdict")
    cells = [_cells(result, d) for d in [*sources, *(d for d in rows if d.average)]]
    lines = text.aligned(head, cells, numbers=5)
    yield from lines[: len(sources) + 1]
    if more > 0:
        yield f"  ... {more} less certain ones in the report"
    yield from lines[len(sources) + 1 :]


def _term_lines(result: ComparisonResult, strategy: str) -> Iterator[str]:
    """What the mean of the sources is the sum of."""
    terms = [term for term in result.terms or () if term.strategy == strategy]
    if terms:
        rows = [
            (t.name, text.figure(t.difference, "+.4f"), text.ends(t.low, t.high)) for t in terms
        ]
        yield from text.aligned((f"{MACRO}, of which", "difference", "95 % interval"), rows)


def _cells(result: ComparisonResult, d: Difference) -> tuple[str, ...]:
    rows = next(
        (str(source.rows) for source in result.data.sources if source.name == d.source), ""
    )
    entries = [result.of(name, d.source) for name in (d.strategy, d.baseline)]
    seen = " / ".join(f"{entry.examples_seen:.0f}" for entry in entries if entry)
    return (
        text.brief(d.source),
        "".join(rows),
        seen,
        text.figure(d.difference, "+.4f"),
        text.ends(d.low, d.high),
        "<.0001" if d.p_holm is not None and d.p_holm < 1e-4 else text.figure(d.p_holm),
        d.verdict + (f" ({d.would_decide})" if d.would_decide else ""),
    )


def _budget_lines(result: ComparisonResult, name: str, strategy: StrategyResult) -> Iterator[str]:
    """What a strategy was given, and how well it does."""
    entries = strategy.per_source.values()
    updates = max((entry.updates for entry in entries), default=0.0)
    over = result.splits.averaged_over if updates else ""
    best = [entry.best for entry in entries if entry.best is not None]
    parts = [
        counted(len(strategy.blocks), "model"),
        f"{strategy.parameters:.0f} parameters",
        f"{updates:.0f} updates"
        + (f" (mean of {over})" if over else "")
        + (f" (weights of update {text.span(best, '.0f')} kept)" if best else ""),
        *text.findings(strategy.diagnostics),
    ]
    yield f"{name}: {', '.join(parts)}"
    if strategy.searched:
        yield f"  {_searched(strategy.searched)}"
    key, worst = result.primary_metric, strategy.worst[result.primary_metric]
    direction = "" if result.metric.higher_is_better else f"; {result.metric.direction}"
    mean = strategy.macro[key].mean
    bits = f" ({told})" if (told := text.bits(mean, result.metric.unit)) else ""
    yield (
        f"  held-out {text.metric_name(key)} {text.figure(mean)} on average{bits}, "
        f"worst {text.figure(worst.mean)} ({text.brief(text.quoted(worst.source))}){direction}"
    )


def _searched(searched: Searched) -> str:
    """What a search over settings found."""
    chosen = ", ".join(f"{key}={_setting(value)}" for key, value in searched.chosen.items())
    return f"{counted(searched.trials, 'trial')}, chose {chosen or 'the settings as given'}"


def _setting(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _shown_lines(result: ComparisonResult, key: str) -> Iterator[str]:
    """A metric that decides nothing."""
    facts, strategies = result.shown[key], result.strategies.values()
    repeated = any(len(s.macro[key].replicates or ()) > 1 for s in strategies if key in s.macro)
    spread = "; in brackets the smallest and largest of the repetitions" if repeated else ""
    yield from text.wrapped(
        f"{text.metric_name(key)}, {facts.unit}, {facts.direction}: shown beside the metric that "
        f"decides, never part of the verdict{spread}"
    )
    rows = [
        (text.brief(source), *(_level(e and e.metrics.get(key)) for e in entries))
        for source in result.sources[: text.MOST_LINES]
        for entries in [[result.of(strategy, source) for strategy in result.names]]
    ]
    average = (MACRO, *(_level(s.macro.get(key)) for s in strategies))
    yield from text.aligned(("source", *result.strategies), [*rows, average])


def _level(level: Level | None) -> str:
    if level is None:
        return "-"
    values = [value for value in level.replicates or () if value is not None]
    return text.figure(level.mean) + (f" ({text.span(values, '.4f')})" if len(values) > 1 else "")
