"""The verdict in words: who is better, for whom, which strategy to use, and what says so."""

from collections.abc import Mapping
from typing import Any

from sourcewise.comparison.summary import Summary
from sourcewise.errors import listing
from sourcewise.statistics import judge_overall
from sourcewise.strategies import Strategy

__all__ = ["few_degrees", "quoted", "verdict_of"]

FEW_DEGREES = 5.0


def quoted(name: str) -> str:
    """A source's name inside a sentence: in quotes where it could be read as a number.

    >>> quoted("north"), quoted("0"), quoted("-1.5")
    ('north', "'0'", "'-1.5'")
    """
    return name if name[:1].isalpha() else repr(name)


def few_degrees(df: float | None) -> str:
    """Degrees of freedom, where they are so few that the interval is a rough one."""
    if df is None or df >= FEW_DEGREES:
        return ""
    told = f"{df:.2g}"
    return f"{told} degree{'' if told == '1' else 's'} of freedom"


def verdict_of(
    summary: Summary,
    rivals: list[Strategy],
    baseline: str,
    too_few: dict[str, str],
    differences: list[dict[str, Any]],
) -> dict[str, Any]:
    """The verdict on the main rival (pooled if it runs), and the strategy to use.

    Args:
        summary: the numbers.
        rivals: all strategies but the baseline.
        baseline: what differences are taken from.
        too_few: names of the sources that are not tested.
        differences: the records of the document.
    """
    candidates = [s for s in rivals if not s.shuffled]
    main = next((s for s in candidates if s.name == "pooled"), candidates[0])
    mine = {d["source"]: d for d in differences if d["strategy"] == main.name}
    tested = [summary.plan.job.names[k] for k in summary.plan.job.tested]
    per_source = {name: mine[name]["verdict"] for name in tested}
    macro = summary.difference(main.name, baseline, summary.macro)
    overall = judge_overall(macro, mine["macro"]["p_holm"], summary.region, per_source)
    recommended, how, why = _recommend(summary, candidates, baseline, differences)
    advice = ", ".join(filter(None, [f"recommended: {recommended}", how, why]))
    return {
        "overall": overall,
        "strategy": main.name,
        "baseline": baseline,
        "recommended": recommended,
        "recommended_how": how or None,
        "reason": f"{_finding(overall, mine['macro'], per_source, main.name)}; {advice}",
        "per_source": per_source | dict.fromkeys(too_few, "too few rows"),
    }


def _finding(
    overall: str, macro: dict[str, Any], per_source: dict[str, str], strategy: str
) -> str:
    baseline, unit = macro["baseline"], macro["unit"]
    rough = few_degrees(macro["df"])
    span = (
        f"{strategy} minus {baseline} is {macro['difference']:+.3g} {unit} on average over the "
        f"sources (95 % interval {macro['low']:+.3g} to {macro['high']:+.3g}"
        f"{', ' + rough if rough else ''})"
    )
    if overall == "mixed":
        sides = {
            word: listing((quoted(n) for n, verdict in per_source.items() if verdict == word), 6)
            for word in ("pool", "separate")
        }
        gain = [name for name, verdict in per_source.items() if verdict == "pool"]
        return (
            f"the sources disagree: {strategy} is better for {sides['pool']}, "
            f"{baseline} for {sides['separate']}; {span}; a next step is to group those that gain "
            f"(groups:{'+'.join(gain)}) and to confirm it on new data"
        )
    words = {
        "pool": f"{strategy} is better than {baseline}",
        "separate": f"{baseline} is better than {strategy}",
        "equivalent": f"{strategy} and {baseline} are equivalent in practice",
        "undecided": f"the data do not decide between {strategy} and {baseline}",
    }
    more = f"; {macro['would_decide']} would decide" if macro["would_decide"] else ""
    return f"{words[overall]}; {span}{more}"


def _recommend(
    summary: Summary,
    candidates: list[Strategy],
    baseline: str,
    differences: list[dict[str, Any]],
) -> tuple[str, str, str]:
    """Who beats the baseline by most; the baseline if it beats all; else the simplest left.

    Where the average does not decide, the sources do, if those that decide agree with each other
    and with its sign. With it comes what says so, unless it is the average, and why.
    """
    names = {s.name for s in candidates}
    macro = {
        d["strategy"]: d for d in differences if d["source"] == "macro" and d["strategy"] in names
    }
    sides = {name: _side(name, d, differences) for name, d in macro.items()}
    better = [name for name, (side, _) in sides.items() if side == "pool"]
    if better:
        best = max(better, key=lambda name: macro[name]["difference"])
        more = " of those that beat it (not tested among each other)" if len(better) > 1 else ""
        how, why = _because(sides[best][1])
        return best, how, why or f"best{more}"
    if all(side == "separate" for side, _ in sides.values()):
        deciding = dict.fromkeys(name for _, found in sides.values() for name in found)
        return baseline, *_because(list(deciding))
    left = [baseline, *(name for name, (side, _) in sides.items() if side != "separate")]
    blocks = {s.name: len(s.partition) for s in summary.plan.job.strategies}
    simplest = min(left, key=blocks.__getitem__)
    against = _against(macro, baseline, sides, differences)
    return simplest, "by default", f"as the one with the fewest models{against}"


def _against(
    macro: Mapping[str, dict[str, Any]],
    baseline: str,
    sides: Mapping[str, tuple[str, list[str]]],
    differences: list[dict[str, Any]],
) -> str:
    """The sources that agree on a side that the average is not on, where it decided nothing."""
    told = []
    for name, (side, _) in sides.items():
        found = _decided(name, differences)
        if side == "undecided" and len(set(found.values())) == 1:
            better = name if next(iter(found.values())) == "pool" else baseline
            who = f"source{'s' if len(found) > 1 else ''} {listing(map(repr, found), 3)}"
            verb = "favours" if len(found) == 1 else "favour"
            told.append(
                f"; {who} {verb} {better}, but the average ({macro[name]['difference']:+.3g}) "
                "points the other way"
            )
    return "".join(told)


def _because(sources: list[str]) -> tuple[str, str]:
    """The sources that decide, where the average does not."""
    if not sources:
        return "", ""
    told = listing(map(repr, sources), 3)
    how = f"because of source {told} alone" if len(sources) == 1 else f"because of sources {told}"
    return how, "where the difference is significant"


def _side(
    strategy: str, macro: Mapping[str, Any], differences: list[dict[str, Any]]
) -> tuple[str, list[str]]:
    """The verdict on the average; where it is undecided, that of the sources that decide, if its
    estimate is on their side."""
    found, overall = _decided(strategy, differences), macro["verdict"]
    likely = "pool" if macro["difference"] > 0 else "separate"
    if overall != "undecided" or set(found.values()) != {likely}:
        return overall, []
    return likely, list(found)


def _decided(strategy: str, differences: list[dict[str, Any]]) -> dict[str, str]:
    """The sources on which there is a verdict for one side."""
    mine = [d for d in differences if d["strategy"] == strategy and d["source"] != "macro"]
    return {d["source"]: d["verdict"] for d in mine if d["verdict"] in ("pool", "separate")}
