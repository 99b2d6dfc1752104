"""The report's sentences and facts, from a result document; a part that is absent is empty."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sourcewise.comparison.result import averaged_over
from sourcewise.comparison.verdict import few_degrees
from sourcewise.errors import listing
from sourcewise.report.words import (
    clean,
    decimals,
    favours,
    findings,
    fixed,
    interval,
    number,
    p_value,
    phrase,
    real,
    reason,
    sentence,
    signed,
    table,
)

__all__ = [
    "averaged",
    "beta",
    "data",
    "details",
    "macro",
    "metric_names",
    "notes",
    "resolved",
    "solved_exactly",
    "splits",
    "spoken",
    "unit",
    "verdict",
]

HEADLINES = {
    "pool": "Train one model for all sources.",
    "separate": "Train one model per source.",
    "equivalent": "Either will do: the difference is too small to matter.",
    "undecided": "These data do not decide it.",
    "mixed": "It depends on the source.",
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
}
ERRORS = {
    "quadrature error": "Normalisers are sums by quadrature, with errors of",
    "annealing error": "Normalisers are simulated, log-likelihoods overstated by at most about",
}
_ASKED = {"pool": "pooled", "separate": "separate"}
MEANING = {
    "pooled": "one model for all sources",
    "separate": "one model per source",
    "shuffled": "one model, with source labels permuted (a control)",
}


def spoken(name: str) -> str:
    """A metric's name as one says it."""
    return name.replace("_", " ")


def metric_names(result: Mapping[str, Any]) -> list[str]:
    """All metrics that the result holds, in its order."""
    names = dict.fromkeys(table(result.get("metrics")))
    for strategy in table(result.get("strategies")).values():
        for record in table(table(strategy).get("per_source")).values():
            names |= dict.fromkeys(table(table(record).get("metrics")))
    names |= dict.fromkeys(d["metric"] for d in result.get("differences") or [] if "metric" in d)
    return [clean(name) for name in names]


def unit(result: Mapping[str, Any], metric: str) -> str:
    """The unit of a metric, as its definition or one of its differences states it."""
    about = table(table(result.get("metrics")).get(metric))
    found = [d.get("unit") for d in result.get("differences") or [] if d.get("metric") == metric]
    return clean(about.get("unit") or next(iter(found), ""))


def _macro_records(result: Mapping[str, Any], metric: str) -> list[Mapping[str, Any]]:
    records = result.get("differences") or []
    return [d for d in records if d.get("source") == "macro" and d.get("metric", metric) == metric]


def macro(result: Mapping[str, Any], metric: str) -> list[dict[str, str]]:
    """The equal-weight mean difference of each strategy, in words."""
    records = _macro_records(result, metric)
    places = decimals(records)
    return [
        {
            "strategy": clean(d.get("strategy")),
            "baseline": clean(d.get("baseline") or "separate"),
            "value": "" if real(d.get("difference")) is None else signed(d["difference"], places),
            "unit": clean(d.get("unit") or unit(result, metric)),
            "interval": interval(d.get("low"), d.get("high"), places),
            "p": p_value(d["p"]) if real(d.get("p")) is not None else "",
            "reason": reason(d, "difference", "low", "high"),
            "rough": few_degrees(real(d.get("df"))),
            "kind": clean(d.get("verdict")).replace(" ", "-"),
            "verdict": favours(
                clean(d.get("verdict")),
                clean(d.get("strategy")),
                clean(d.get("baseline") or "separate"),
            ),
            "would_decide": clean(d.get("would_decide")),
        }
        for d in records
    ]


def verdict(result: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """The answer: a headline, its reason, and what was asked of which data how surely."""
    found = table(result.get("verdict"))
    overall, best = clean(found.get("overall")), clean(found.get("recommended"))
    headline = HEADLINES.get(overall, "What was found.")
    # The headline speaks of the strategy to use, whichever pair the verdict is about.
    if overall in ("pool", "separate") and best and best != _ASKED[overall]:
        headline = f"Use {best}."
    elif overall == "undecided" and best:
        how = clean(found.get("recommended_how")) or "by default"
        headline = f"{headline[:-1]}; {how}, {best}."
    if holds := clean(found.get("condition")):
        headline = sentence(f"{holds}: {headline[0].lower()}{headline[1:]}")
    facts = {
        "Recommended": f"{best}: {MEANING[best]}" if best in MEANING else best,
        "Compared": _compared(result, metric),
        "For whom": _whom(result),
        "How sure": " ".join(
            filter(None, [_sure(result, metric), _scope(result), *_doubts(result)])
        ),
        "What would decide": _decide(result, metric) if overall in ("undecided", "mixed") else "",
    }
    return {
        "kind": overall if overall in HEADLINES else "none",
        "headline": headline,
        "reason": sentence(clean(found.get("reason"))),
        "facts": {key: text for key, text in facts.items() if text},
    }


def _compared(result: Mapping[str, Any], metric: str) -> str:
    differences = result.get("differences") or []
    names = list(dict.fromkeys(clean(d.get("strategy")) for d in differences))
    if not names:
        return ""
    baseline = clean(differences[0].get("baseline") or "separate")
    what = f"{', '.join(names)} against {baseline}"
    of = unit(result, metric)
    return f"{what}, by {spoken(metric)} on held-out rows" + (f" ({of})." if of else ".")


def _whom(result: Mapping[str, Any]) -> str:
    about = table(result.get("data"))
    per = Counter(map(clean, table(table(result.get("verdict")).get("per_source")).values()))
    total = len(about.get("sources") or []) or sum(per.values())
    if not total:
        return ""
    rows = f" with {number(about['rows'])} rows in all" if real(about.get("rows")) else ""
    text = f"{number(total)} sources{rows}."
    counts = ", ".join(f"{number(count)} {word}" for word, count in per.most_common())
    return f"{text} Source by source: {counts}." if counts else text


def _sure(result: Mapping[str, Any], metric: str) -> str:
    best = clean(table(result.get("verdict")).get("recommended"))
    records = macro(result, metric)
    found = [d for d in records if d["strategy"] == best] or records
    if not found or not found[0]["value"]:
        return ""
    d = found[0]
    text = f"On average over the sources {d['strategy']} differs from {d['baseline']} by "
    text += " ".join(filter(None, [d["value"], d["unit"]]))
    return f"{text} (95 % interval {d['interval']})." if d["interval"] else f"{text}."


def _scope(result: Mapping[str, Any]) -> str:
    scope = clean(result.get("scope"))
    if scope == "these models" and table(result.get("splits")).get("training_seeds") == 1:
        scope = "exact" if solved_exactly(result) else "one seed"
    return SCOPES.get(scope, scope)


def _doubts(result: Mapping[str, Any]) -> Iterator[str]:
    """Training that was not over, and normalisers that are not exact."""
    strategies = {clean(name): table(s) for name, s in table(result.get("strategies")).items()}
    late = [name for name, strategy in strategies.items() if strategy.get("still_improving")]
    if late:
        verb = "was" if len(late) == 1 else "were"
        yield f"Training was not over: {listing(late)} {verb} still improving."
    for kind, told in ERRORS.items():
        found = [item for s in strategies.values() for item in findings(s) if item["name"] == kind]
        if found:
            worst = max(found, key=lambda item: max(map(float, item["values"])))
            yield f"{told} {worst['words'].split(' to ')[-1]} nats; intervals allow for it."


def _decide(result: Mapping[str, Any], metric: str) -> str:
    records = macro(result, metric)
    found = [(d["strategy"], d["would_decide"]) for d in records if d["would_decide"]]
    if found:
        many = len(records) > 1
        return "; ".join(f"{name}: {what}" if many else what for name, what in found)
    if any(d.get("would_decide") for d in result.get("differences") or []):
        return "More rows; the table of differences says how many for which source."
    return ""


def notes(result: Mapping[str, Any]) -> list[str]:
    """The warnings."""
    return [clean(warning) for warning in result.get("warnings") or []]


def data(result: Mapping[str, Any]) -> dict[str, Any]:
    """What was compared on: sizes, columns used and left out, groups, duplicates, missing."""
    about = table(result.get("data"))
    found = about.get("sources") or []
    tested = sum(source.get("tested", True) is not False for source in found)
    group = phrase(about["group"]) if about.get("group") else ""
    units = real(about.get("units"))
    facts = {
        "Data set": clean(about.get("name")),
        "Rows": number(about["rows"]) if real(about.get("rows")) is not None else "",
        "Sources": f"{len(found)}, of which {tested} tested" if found else "",
        "Rows kept together": f"by {group}" if group else "",
        "Independent units": "" if units is None else number(units),
        "Duplicate rows": number(about["duplicate_rows"]) if "duplicate_rows" in about else "",
        "Missing values": _missing(about),
    }
    return {
        "facts": {key: text for key, text in facts.items() if text},
        "columns": [_column(column) for column in about.get("columns") or []],
        "left_out": [
            (clean(column.get("column")), clean(column.get("reason")))
            for column in about.get("left_out") or []
        ],
    }


def _missing(about: Mapping[str, Any]) -> str:
    """What became of missing values, and how many there are."""
    columns = about.get("columns") or []
    own = any(table(column).get("missing") is True for column in columns)
    told = "own" if own else clean(about.get("missing"))
    text, cells = MISSING.get(told, told), real(about.get("missing_cells"))
    return f"{text} ({number(cells)} cells)" if cells and told in ("own", "impute") else text


def _column(column: Mapping[str, Any]) -> tuple[str, str]:
    step = real(column.get("resolution"))
    notes = [
        "logarithm" if column.get("log") else "",
        f"in steps of {number(step)}" if step else "",
    ]
    return clean(column.get("name")), ", ".join(filter(None, notes))


def splits(result: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """How rows were split, and the seeds."""
    leaves = _leaves(table(result.get("splits")))
    facts = {key[:1].upper() + key[1:]: text for key, text in leaves}
    seeds = {key: text for key, text in facts.items() if "seed" in key.lower()}
    return {key: text for key, text in facts.items() if key not in seeds}, seeds


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        name = f"{path}{' › ' if path else ''}{clean(key).replace('_', ' ')}"
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, name)
        else:
            yield name, phrase(item or None) if isinstance(item, Mapping) else phrase(item)


def resolved(result: Mapping[str, Any]) -> dict[str, str]:
    """What settings came to, the strategies apart where they differ."""
    each = {
        clean(name): table(table(strategy).get("resolved"))
        for name, strategy in table(result.get("strategies")).items()
    }
    out = {}
    for key in dict.fromkeys(key for found in each.values() for key in found):
        values = {name: phrase(found[key]) for name, found in each.items() if key in found}
        agreed = len(set(values.values())) == 1
        told = next(iter(values.values())) if agreed else "; ".join(map(" ".join, values.items()))
        out[clean(key).capitalize()] = told
    return out


def solved_exactly(result: Mapping[str, Any]) -> bool:
    """Whether no model took a gradient step."""
    strategies = [table(s) for s in table(result.get("strategies")).values()]
    records = [table(r) for s in strategies for r in table(s.get("per_source")).values()]
    updates = [record["updates"] for record in records if "updates" in record]
    return bool(updates) and not any(updates)


def averaged(result: Mapping[str, Any]) -> str:
    """What the counts of the budgets are means of; empty if each model was trained once."""
    return clean(averaged_over(result))


def beta(result: Mapping[str, Any]) -> dict[str, str]:
    """The empirical sharing factor as it came out, never clipped; empty if not computed."""
    found = table(result.get("beta_hat"))
    if not found:
        return {}
    places = max(2, decimals([found]))
    value = real(found.get("value"))
    return {
        "value": "" if value is None else fixed(value, places),
        "interval": interval(found.get("low"), found.get("high"), places),
        "reason": reason(found, "value", "low", "high"),
        "note": sentence(clean(found.get("note"))),
        "outside": "" if value is None or 0 <= value <= 1 else "yes",
        "reading": clean(found.get("reading")),
    }


def details(result: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Settings, versions and what identifies the run, for the last fold of the page."""
    identity = {
        "data fingerprint": table(result.get("data")).get("fingerprint"),
        "run folder": result.get("run"),
        "result schema": result.get("schema_version"),
    }
    parts = {
        "Settings": dict(_leaves(table(result.get("settings")))),
        "Versions": dict(_leaves(table(result.get("versions")))),
        "Identity": {key: clean(text) for key, text in identity.items() if text is not None},
    }
    return {key: facts for key, facts in parts.items() if facts}
