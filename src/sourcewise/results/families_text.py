"""How families beside each other print: a table of levels, and what each alone would say."""

from collections.abc import Iterator, Sequence

from sourcewise.results import text
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.families import Ahead, FamilyLevel, FamilyVerdict

__all__ = ["families_lines", "lead_words"]


def families_lines(result: ComparisonResult) -> Iterator[str]:
    """All of it; nothing where one family was compared."""
    levels, verdicts, best = result.families, result.family_verdicts, result.best
    if levels is None or verdicts is None or best is None:
        return
    strategies = list(dict.fromkeys(level.strategy for level in levels))
    yield ""
    yield from text.wrapped(
        f"families on the same test rows: held-out {text.metric_name(result.primary_metric)}, "
        f"{result.metric.unit}, on average over the sources (95 % interval); "
        f"{result.metric.direction}; alone: what the verdict of each family would be",
        then="",
    )
    rows = [
        (
            verdict.family,
            *(_level(levels, verdict.family, strategy) for strategy in strategies),
            alone(verdict),
        )
        for verdict in verdicts
    ]
    yield from text.aligned(("family", *strategies, "alone"), rows)
    first, *others = map(lead_words, best.behind)
    yield from text.wrapped(f"best: {best.strategy} {best.family}, {first}")
    for words in others:
        yield from text.wrapped(f"  {words}")


def alone(verdict: FamilyVerdict) -> str:
    """What a family alone would have said, in a few words."""
    return verdict.overall + (", conditional" if verdict.condition else "")


def lead_words(ahead: Ahead) -> str:
    """How far the best is ahead of another."""
    span = text.ends(ahead.low, ahead.high)
    told = f"{text.figure(ahead.difference, '+.3g')} over {ahead.strategy} {ahead.family} ({span})"
    apart = ahead.low is not None and ahead.low > 0
    return told if apart else f"{told}, not told apart"


def _level(levels: Sequence[FamilyLevel], family: str, strategy: str) -> str:
    found = (x for x in levels if (x.family, x.strategy) == (family, strategy))
    level = next(found, None)
    if level is None:
        return "-"
    return f"{text.figure(level.mean, '.3f')} ({text.ends(level.low, level.high)})"
