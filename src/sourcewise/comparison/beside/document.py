"""From the results of several families to one: that of the best, with all beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sourcewise.comparison.beside.best import Contest
from sourcewise.comparison.summary import Summary
from sourcewise.errors import listing
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.families import Best, FamilyVerdict
from sourcewise.results.text import ends, figure

__all__ = ["beside"]


def beside(
    results: Mapping[str, ComparisonResult],
    summaries: Mapping[str, Summary],
    notes: Sequence[str],
) -> tuple[str, ComparisonResult]:
    """The best family's name, and its result with the others' numbers and verdicts.

    Args:
        results: of every family, by its name; the first is what the best is held against.
        summaries: likewise.
        notes: on how they were made ready, one line each.
    """
    recommended = {name: result.recommended for name, result in results.items()}
    contest = Contest(summaries, recommended)
    best = contest.best(next(iter(recommended.items())))
    verdicts = tuple(_verdict(name, result) for name, result in results.items())
    mine = results[best.family]
    reason = "; ".join([*_told(best, verdicts, mine.metric.unit), mine.verdict.reason])
    return best.family, replace(
        mine,
        warnings=(*notes, *mine.warnings),
        verdict=replace(mine.verdict, reason=reason),
        families=tuple(contest.levels()),
        family_verdicts=verdicts,
        best=best,
    )


def _verdict(name: str, result: ComparisonResult) -> FamilyVerdict:
    v = result.verdict
    d = next(d for d in result.differences if d.average and d.strategy == v.strategy)
    ends = d.difference, d.low, d.high
    pair = v.overall, v.recommended, v.strategy, v.baseline
    return FamilyVerdict(name, *pair, *ends, v.condition)


def _told(best: Best, verdicts: Sequence[FamilyVerdict], unit: str) -> list[str]:
    """The best pair and its lead in words, and where families disagree."""
    over, much = best.runner_up, figure(best.difference, "+.3g")
    span = f"{much} {unit}; 95 % interval, whichever pair is best, {ends(best.low, best.high)}"
    said = f"{best.strategy} {best.family} models are the best"
    if best.told_apart:
        lead = f"{said}, before {over.strategy} {over.family} ({span})"
    else:
        lead = f"{said}, not told apart from {over.strategy} {over.family} ({span})"
    return [lead, *_disagreement(best, verdicts)]


def _disagreement(best: Best, verdicts: Sequence[FamilyVerdict]) -> list[str]:
    """What other families alone decide for, where that is another verdict."""
    own = next(v.overall for v in verdicts if v.family == best.family)
    others = [v for v in verdicts if v.overall not in (own, "undecided")]
    if not others or own == "undecided":
        return []
    told = listing((f"{v.family} {v.overall!r}" for v in others), 6)
    return [f"the families disagree: alone, {best.family} says {own!r}, and {told}"]
