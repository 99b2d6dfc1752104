"""The report's sentences and facts, from a result."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sourcewise.errors import listing
from sourcewise.report import families
from sourcewise.report.words import clean, decimals, interval, number, phrase, sentence, signed
from sourcewise.results.comparison import ComparisonResult, Difference
from sourcewise.results.contract import to_json
from sourcewise.results.data import Column
from sourcewise.results.text import metric_name

__all__ = [
    "Headline",
    "averages",
    "column_note",
    "data",
    "details",
    "headline",
    "not_drawn",
    "resolved",
    "splits",
]

Facts = dict[str, str]

HEADLINES = {
    "pool": "Train one model for all sources.",
    "separate": "Train one model per source.",
    "equivalent": "Either will do: the difference is too small to matter.",
    "undecided": "These data do not decide it.",
    "mixed": "It depends on the source.",
}
OF_THESE = {  # where a verdict is about the models that were trained, on one split
    "pool": "Of these trained models, use the one for all sources.",
    "separate": "Of these trained models, use those of each source.",
    "equivalent": "Of these trained models any will do: the difference is too small to matter.",
    "undecided": "These data do not decide between these trained models.",
    "mixed": "Which of these trained models to use depends on the source.",
}
SCOPES = {
    "procedure": "The intervals hold for new training samples of this size and new test rows.",
    "these models": "The intervals hold for these data: new test rows and new training seeds.",
    "one seed": "The intervals hold for these data and this one training seed: new test rows. "
    "What another seed would give is not covered.",
    "exact": "The intervals hold for these data: new test rows.",
}
MISSING = {
    "refuse": "refused; there are none",
    "drop": "rows that have any are dropped",
    "impute": "imputed, as fitted on the training rows",
    "own": "a value of their own",
    "unscored": "left out of scores; draws have none",
}
GAPS = ("own", "impute", "unscored")  # policies under which cells stay missing
ERRORS = {
    "quadrature error": "Normalisers are sums by quadrature, with errors of",
    "annealing error": "Normalisers are simulated, log-likelihoods overstated by at most about",
}
USUAL = {"pool": "pooled", "separate": "separate"}  # the strategy that a headline speaks of
MEANING = {
    "pooled": "one model for all sources",
    "separate": "one model per source",
    "partial": "each source's own parameters, drawn towards those of all",
    "fine-tuned": "one model per source, trained on from the pooled one and drawn towards it",
    "shuffled": "one model, with source labels permuted (a control)",
}


@dataclass(frozen=True)
class Headline:
    """The answer: in one line, its reason, and what was asked of which data how surely."""

    kind: str
    line: str
    reason: str
    facts: Facts


def headline(result: ComparisonResult) -> Headline:
    """The answer."""
    verdict, best = result.verdict, result.recommended
    facts = {
        "Recommended": f"{best}: {MEANING[best]}" if best in MEANING else best,
        "Best family": families.lead(result),
        "Compared": _compared(result),
        "For whom": _whom(result),
        "How sure": " ".join(filter(None, [_sure(result), _scope(result), *_doubts(result)])),
        "Rows far out": _far_out(result),
        "What would decide": _decide(result),
    }
    kind = verdict.overall if verdict.overall in HEADLINES else "none"
    return Headline(kind, _line(result), sentence(verdict.reason), _present(facts))


def _present(facts: Mapping[str, str]) -> Facts:
    return {key: text for key, text in facts.items() if text}


def _line(result: ComparisonResult) -> str:
    verdict = result.verdict
    overall, best, lead = verdict.overall, verdict.recommended, verdict.lead
    these = result.scope != "procedure"
    line = (OF_THESE if these else HEADLINES).get(overall, "What was found.")
    # The headline speaks of the strategy to use, whichever pair the verdict is about.
    if overall in USUAL and best != USUAL[overall]:
        line = f"Of these trained models, use {best}." if these else f"Use {best}."
    elif overall == "undecided":
        line = f"{line[:-1]}; they lean to {best} ({lead.surely})."
    if result.best is not None and overall in (*USUAL, "undecided"):
        line = f"{line[:-1]}, of the family {result.best.family}."
    if verdict.condition:
        line = sentence(f"{verdict.condition}: {line[0].lower()}{line[1:]}")
    return line


def _compared(result: ComparisonResult) -> str:
    if not result.differences:
        return ""
    what = f"{', '.join(result.rivals)} against {result.differences[0].baseline}"
    what += f", given {phrase(result.data.given)}" if result.data.given else ""
    return (
        f"{what}, by {metric_name(result.primary_metric)} on held-out rows ({result.metric.unit})."
    )


def _whom(result: ComparisonResult) -> str:
    count = Counter(result.verdict.per_source.values()).most_common()
    verdicts = ", ".join(f"{number(n)} {word}" for word, n in count)
    rows = f"{len(result.data.sources)} sources with {number(result.data.rows)} rows in all."
    return f"{rows} Source by source: {verdicts}." if verdicts else rows


def averages(result: ComparisonResult) -> list[Difference]:
    """Each strategy against the baseline on average."""
    return [d for d in result.differences if d.average]


def _sure(result: ComparisonResult) -> str:
    found = averages(result)
    mine = [d for d in found if d.strategy == result.recommended] or found
    if not mine or mine[0].difference is None:
        return ""
    d, places = mine[0], decimals(found)
    ends = interval(d, places)
    return (
        f"On average over the sources {d.strategy} differs from {d.baseline} by "
        f"{signed(d.difference, places)} {d.unit}{f' (95 % interval {ends})' if ends else ''}."
    )


def _scope(result: ComparisonResult) -> str:
    scope = result.scope
    if scope == "these models" and result.splits.training_seeds == 1:
        scope = "exact" if result.solved_exactly else "one seed"
    return SCOPES.get(scope, scope)


def _doubts(result: ComparisonResult) -> Iterator[str]:
    """Rows far out, training that was not over, and normalisers that are not exact."""
    if result.far_out is not None:
        yield "With rows this far out they may be far too narrow."
    late = [name for name, s in result.strategies.items() if s.still_improving]
    if late:
        verb = "was" if len(late) == 1 else "were"
        yield f"Training was not over: {listing(late)} {verb} still improving."
    found = [item for s in result.strategies.values() for item in s.diagnostics]
    for kind, words in ERRORS.items():
        if known := [item for item in found if item.name == kind]:
            worst = max(
                known, key=lambda item: max(map(float, filter(None, item.values)), default=0)
            )
            yield f"{words} {worst.words.split(' to ')[-1]} nats; intervals allow for it."


def _far_out(result: ComparisonResult) -> str:
    """What the other rows say of the strategy that the verdict is about."""
    far = result.far_out
    if far is None:
        return ""
    told = f"{number(far.rows)} of {number(result.data.rows)} rows."
    mine = [d for d in far.differences or () if d.strategy == result.verdict.strategy]
    found = [d for d in mine if d.average and d.difference is not None]
    if not found:
        return f"{told} {sentence(far.verdict_reason or '')}"
    d, places = found[0], decimals(found)
    return (
        f"{told} Without them {d.strategy} differs from {d.baseline} by "
        f"{signed(d.difference, places)} {d.unit} on average (95 % interval "
        f"{interval(d, places)}): {far.verdict}."
    )


def _decide(result: ComparisonResult) -> str:
    if result.verdict.overall not in ("undecided", "mixed"):
        return ""
    found = averages(result)
    lacking = [d for d in found if d.would_decide]
    if lacking:
        many = len(found) > 1
        words = (f"{d.strategy}: {d.would_decide}" if many else d.would_decide for d in lacking)
        return "; ".join(filter(None, words))
    if any(d.would_decide for d in result.differences):
        return "More rows; the table of differences says how many for which source."
    return ""


def not_drawn(result: ComparisonResult) -> str:
    """The sources without a difference to show."""
    found = {d.source for d in result.differences if d.difference is not None}
    names = (source.name for source in result.data.sources)
    return listing([clean(name) for name in names if name not in found], 12)


def data(result: ComparisonResult) -> Facts:
    """What was compared on: sizes, groups, duplicates, missing values."""
    about = result.data
    tested = sum(source.tested for source in about.sources)
    facts = {
        "Data set": about.name,
        "Rows": number(about.rows),
        "Sources": f"{len(about.sources)}, of which {tested} tested",
        "Given, and not modelled": phrase(about.given) if about.given else "",
        "Rows kept together": f"by {phrase(about.group)}" if about.group else "",
        "Independent units": "" if about.units is None else number(about.units),
        "Duplicate rows": "" if about.duplicate_rows is None else number(about.duplicate_rows),
        "Missing values": _missing(result),
    }
    return _present(facts)


def _missing(result: ComparisonResult) -> str:
    """What became of missing values, and how many there are."""
    about = result.data
    policy = "own" if any(column.missing for column in about.columns) else about.missing
    if policy == "impute" and about.missing_cells and not about.imputed_cells:
        policy = "unscored"
    text, cells = MISSING.get(policy, policy), about.missing_cells
    return f"{text} ({number(cells)} cells)" if cells and policy in GAPS else text


def column_note(column: Column) -> str:
    """How a column is taken."""
    step = f"in steps of {number(column.resolution)}" if column.resolution else ""
    return ", ".join(filter(None, ["logarithm" if column.log else "", step]))


def splits(result: ComparisonResult) -> tuple[Facts, Facts]:
    """How rows were split, and the seeds."""
    facts = {key[:1].upper() + key[1:]: text for key, text in _leaves(to_json(result.splits))}
    seeds = {key: text for key, text in facts.items() if "seed" in key.lower()}
    return {key: text for key, text in facts.items() if key not in seeds}, seeds


def _leaves(values: Mapping[str, object], path: str = "") -> Iterator[tuple[str, str]]:
    for key, item in values.items():
        name = f"{path}{' › ' if path else ''}{key.replace('_', ' ')}"
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, name)
        else:
            yield name, phrase(item)


def resolved(result: ComparisonResult) -> Facts:
    """What settings came to, the strategies apart where they differ."""
    each = {name: strategy.resolved for name, strategy in result.strategies.items()}
    facts = {}
    for key in dict.fromkeys(key for found in each.values() for key in found):
        values = {name: phrase(found[key]) for name, found in each.items() if key in found}
        agreed = len(set(values.values())) == 1
        text = next(iter(values.values())) if agreed else "; ".join(map(" ".join, values.items()))
        facts[key.capitalize()] = text
    return facts


def details(result: ComparisonResult) -> dict[str, Facts]:
    """Settings, versions and what identifies the run, for the last fold of the page."""
    identity = {
        "data fingerprint": result.data.fingerprint,
        "run folder": result.run or "",
        "result schema": str(result.schema_version),
    }
    parts = {
        "Settings": dict(_leaves(result.settings)),
        "Versions": dict(_leaves(result.versions)),
        "Identity": _present(identity),
    }
    return {key: facts for key, facts in parts.items() if facts}
