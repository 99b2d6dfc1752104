"""What `sourcewise bound` prints: one document per case, as JSON, as a table, as curves.

    {"settings", "pooled": {"parameters", "paper", "simple", "refined", "localized"?, "asymptotic",
     "law"?, "exact"?}, "grouped"?: {...}, "separate": {...}, "ratio", "beta", "details",
     "sample_size"?, "changes", "reasons"}

`ratio` is `sqrt(m_pooled / m_separate)`. A value that does not exist is null, and `reasons` says
why. `details` holds, for each form of each strategy, the best eps and s, log N and the terms.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from sourcewise.errors import InputError
from sourcewise.theory import general
from sourcewise.theory.asymptotic import asymptotic_bound, sample_size_for_tv
from sourcewise.theory.cases import Case
from sourcewise.theory.general import Bound
from sourcewise.theory.planning import sample_size, what_helps
from sourcewise.theory.sharing import parameters, predicted_ratio, similarity

__all__ = ["LABELS", "curves", "document", "table"]

LABELS = {
    "paper": "the paper's Theorem 3.2",
    "simple": "its proof, two lines of care",
    "refined": "its proof, exact worst case",
    "localized": "labels in exact shares",
    "asymptotic": "sqrt(p / (2 pi n))",
    "law": "the same, without its last step",
    "exact": "exact expectation",
}

_MOST = 1e15  # examples, as in `planning.sample_size`


def document(case: Case, target: float | None = None) -> dict[str, Any]:
    """All numbers of a case.

    >>> from sourcewise.theory.cases import build
    >>> sizes = {"dim": 10, "specific": 5, "mean_bound": 5}
    >>> found = document(build("gaussian", {"sources": 5, "samples": 500, **sizes}))
    >>> round(found["pooled"]["paper"], 4), round(found["ratio"], 4), found["beta"]
    (2.3501, 0.7746, 0.5)

    Args:
        case: from `cases.build`.
        target: average TV to find sample sizes for, in (0, 1); none if None.
    """
    beta, reasons = similarity(case.shared, case.specific), {}
    result: dict[str, Any] = {"settings": dict(case.settings)}
    details: dict[str, Any] = {}
    for name, J in _strategies(case).items():
        result[name], details[name] = _strategy(case, J)
    result |= {"ratio": predicted_ratio(beta, case.K), "beta": beta}
    if "grouped" in result:
        result["ratio_grouped"] = predicted_ratio(beta, case.K, case.settings["groups"])
    if target is not None:
        sizes = {name: _sample_sizes(case, J, target) for name, J in _strategies(case).items()}
        result["sample_size"] = {"target": target} | sizes
        if any(None in found.values() for found in sizes.values()):
            reasons["sample_size"] = f"null stands for more than {_MOST:g} examples"
    if case.delta > 0.5:
        reasons["paper"] = "Theorem 3.2 is stated for delta up to 0.5"
    if case.localized is None:
        reasons["localized"] = "known for the gaussian family only"
    changes = [asdict(change) for change in _changes(case)]
    return result | {"details": details, "changes": changes, "reasons": reasons}


def _strategies(case: Case) -> dict[str, int]:
    groups = case.settings.get("groups")
    between = {} if groups is None else {"grouped": groups}
    return {"pooled": 1, **between, "separate": case.K}


def _bounds(case: Case, K: Any, n: Any, J: Any) -> dict[str, Bound]:
    """Each form at K sources, n examples, J blocks; these may be arrays."""
    m = parameters(case.shared, case.specific, K, J)
    found = {}
    if case.delta <= 0.5:
        found["paper"] = general.paper(case.loose(m, J), n, case.delta)
    found["simple"] = general.simple(case.loose(m, J), n, case.delta)
    found["refined"] = general.refined(case.sharp(m, J), n, case.delta)
    if case.localized is not None:
        found["localized"] = case.localized(K, n, J)
    return found


def _strategy(case: Case, J: int) -> tuple[dict[str, Any], dict[str, Any]]:
    m = parameters(case.shared, case.specific, case.K, J)
    bounds = _bounds(case, case.K, case.n, J)
    values: dict[str, Any] = {"blocks": J, "parameters": int(m), "paper": None}
    values |= {form: bound.value for form, bound in bounds.items()}
    values["asymptotic"] = asymptotic_bound(m, case.n)
    for name, compute in (("law", case.law), ("exact", case.exact)):
        if compute is not None:
            values[name] = compute(case.K, case.n, J)
    details = {form: asdict(b) | {"vacuous": bool(b.vacuous)} for form, b in bounds.items()}
    return values, details


def _sample_sizes(case: Case, J: int, target: float) -> dict[str, Any]:
    # With shares, counts follow n one by one; the other forms take many n at once.
    forms = [f for f in _bounds(case, case.K, case.n, J) if f != "localized" or not _unequal(case)]
    found = {form: _size(case, J, form, target) for form in forms}
    m = parameters(case.shared, case.specific, case.K, J)
    by_law = sample_size_for_tv(m, target)
    return found | {"asymptotic": math.ceil(by_law) if by_law <= _MOST else None}


def _unequal(case: Case) -> bool:
    return "shares" in case.settings


def _size(case: Case, J: int, form: str, target: float) -> int | None:
    m = parameters(case.shared, case.specific, case.K, J)
    bound = {
        "paper": lambda n: general.paper(case.loose(m, J), n, case.delta),
        "simple": lambda n: general.simple(case.loose(m, J), n, case.delta),
        "refined": lambda n: general.refined(case.sharp(m, J), n, case.delta),
        "localized": lambda n: case.localized(case.K, n, J),  # pyright: ignore[reportOptionalCall]
    }[form]
    try:
        return sample_size(bound, target)
    except InputError:  # more than anybody has
        return None


def _changes(case: Case) -> list[Any]:
    return what_helps(
        lambda m, J, n: general.refined(case.sharp(m, J), n, case.delta),
        case.shared,
        case.specific,
        case.K,
        case.n,
    )


def curves(case: Case, over: str) -> tuple[list[float], dict[str, dict[str, list[float]]]]:
    """Places and values: {strategy: {form: values}} over n or K, for a plot.

    Args:
        case: from `cases.build`; its own place lies among the places.
        over: "n" or "K".
    """
    if over not in ("n", "K"):
        raise InputError(f"--over must be n or K, got {over}")
    if over == "K" and (_unequal(case) or "groups" in case.settings):
        raise InputError(
            "--over K is for equal sources, pooled and separate: no --shares, --groups"
        )
    at = case.n if over == "n" else case.K
    low, high = (max(1, at / 30), at * 300) if over == "n" else (1, max(10, at * 4))
    places = np.unique(np.append(np.geomspace(low, high, 60).round(), at))
    found = {name: _curve(case, over, places, name, J) for name, J in _strategies(case).items()}
    return places.tolist(), found


def _curve(case: Case, over: str, places: Any, name: str, J: int) -> dict[str, list[float]]:
    K, n = (case.K, places) if over == "n" else (places, case.n)
    blocks = K if name == "separate" else J
    if _unequal(case):
        rows = [_bounds(case, case.K, float(size), J) for size in places]
        values = {form: [row[form].value for row in rows] for form in rows[0]}
    else:
        values = {f: b.value.tolist() for f, b in _bounds(case, K, n, blocks).items()}
    m = parameters(case.shared, case.specific, K, blocks)
    values["asymptotic"] = asymptotic_bound(m, np.broadcast_to(n, places.shape)).tolist()
    return values


def table(found: Mapping[str, Any], words: str) -> str:
    """The document as a readable table; a bound of 1 or more says nothing and is marked."""
    s = found["settings"]
    names = [name for name in ("separate", "grouped", "pooled") if name in found]
    groups = {"grouped": f"{s.get('groups')} groups", "separate": "separate", "pooled": "pooled"}
    sure = f"bound on average TV, probability {1 - s['delta']:g}"
    lines = [
        f"{s['family']}: {s['sources']} sources, {s['samples']} examples; {words}",
        "",
        _line(sure, [groups[name] for name in names], "ratio"),
    ]
    for form, label in LABELS.items():
        if form == "asymptotic":
            lines += ["", "average TV to expect if the model is right and n is large"]
        if any(found[name].get(form) is not None for name in names):
            lines.append(_row(f"{form:<11}{label}", [found[name][form] for name in names]))
    counts = [f"{found[name]['parameters']:.0f}" for name in names]
    lines += ["", _line("parameters", counts, "")]
    lines.append(f"predicted ratio {found['ratio']:.4f} at similarity beta = {found['beta']:.4f}")
    lines += _sizes(found.get("sample_size"), names) + _helps(found["changes"])
    lines += ["", "* says nothing: no total variation is above 1"] * _any_vacuous(found, names)
    return "\n".join(lines) + "\n"


def _line(title: str, cells: list[str], last: str) -> str:
    return f"{title:<44}" + "".join(f"{cell:>13}" for cell in cells) + f"{last:>9}".rstrip()


def _row(title: str, values: list[float]) -> str:
    ratio = f"{values[-1] / values[0]:.4f}" if values[0] > 0 and max(values) < 1 else ""
    return _line(title, [_number(value) for value in values], ratio)


def _number(value: float) -> str:
    shown = f"{value:.4f}" if 0.001 <= value < 1000 else f"{value:.3g}"
    return f"{shown} *" if value >= 1 else shown


def _any_vacuous(found: Mapping[str, Any], names: list[str]) -> bool:
    forms = (*general.FORMS, "asymptotic")
    return any((found[name].get(form) or 0) >= 1 for name in names for form in forms)


def _sizes(sizes: Mapping[str, Any] | None, names: list[str]) -> list[str]:
    if sizes is None:
        return []
    lines = ["", f"examples needed for an average TV of {sizes['target']:g}"]
    for form in sizes[names[0]]:
        values = [sizes[name][form] for name in names]
        cells = ["over 1e15" if value is None else f"{value:,}" for value in values]
        lines.append(_line(f"{form:<11}{LABELS[form]}", cells, ""))
    return lines


def _helps(changes: list[dict[str, Any]]) -> list[str]:
    lines = [
        "",
        _line("what would help more (refined)", ["separate", "pooled", "law, pooled"], ""),
    ]
    for row in changes:
        values = [_number(row[key]) for key in ("separate", "pooled", "law_pooled")]
        lines.append(_line(row["name"], values, ""))
    return lines
