"""What `sourcewise bound` prints: one document per case, as JSON, as a table, as curves.

    {"settings", "pooled": {"parameters", "paper", "simple", "refined", "localized"?,
     "localized_drawn"?, "asymptotic", "law"?, "exact"?}, "grouped"?: {...}, "separate": {...},
     "ratio", "beta", "details", "sample_size"?, "changes", "reasons"}

`ratio` is `sqrt(m_pooled / m_separate)`. A value that does not exist is null, and `reasons` says
why; it also says what `exact` stands for where many sources draw no example. `settings.groups`
are the sizes of consecutive groups of sources. `details` holds, for each form of each strategy,
the best eps and s, log N and the terms.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from sourcewise.errors import InputError
from sourcewise.theory import general
from sourcewise.theory.asymptotic import asymptotic_bound, sample_size_for_tv
from sourcewise.theory.cases import Case, build
from sourcewise.theory.general import Bound
from sourcewise.theory.planning import sample_size, what_helps
from sourcewise.theory.sharing import parameters, predicted_ratio, similarity

__all__ = ["LABELS", "curves", "document", "table", "title"]

LABELS = {
    "paper": "the paper's Theorem 3.2",
    "simple": "its proof, two lines of care",
    "refined": "its proof, exact worst case",
    "localized": "labels in exact shares",
    "localized_drawn": "localized, labels drawn",
    "asymptotic": "sqrt(p / (2 pi n))",
    "law": "the same, without its last step",
    "exact": "exact expectation",
}

_ROWS = {"localized_drawn": "drawn"}  # short names of rows; the others are the forms
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
    beta, reasons = similarity(case.shared, case.specific), dict(case.notes)
    result: dict[str, Any] = {"settings": dict(case.settings)}
    details: dict[str, Any] = {}
    for name, J in _strategies(case).items():
        result[name], details[name] = _strategy(case, J)
    result |= {"ratio": predicted_ratio(beta, case.K), "beta": beta}
    if "grouped" in result:
        result["ratio_grouped"] = predicted_ratio(beta, case.K, len(case.settings["groups"]))
    if target is not None:
        sizes = {name: _sample_sizes(case, J, target) for name, J in _strategies(case).items()}
        result["sample_size"] = {"target": target} | sizes
        if any(None in found.values() for found in sizes.values()):
            reasons["sample_size"] = f"null stands for more than {_MOST:g} examples"
    if case.delta > 0.5:
        reasons["paper"] = "Theorem 3.2 is stated for delta up to 0.5"
    if case.localized is None:
        reasons["localized"] = "known for the gaussian family only"
        reasons["localized_drawn"] = reasons["localized"]
    changes = [asdict(change) for change in _changes(case)]
    return result | {"details": details, "changes": changes, "reasons": reasons}


def _strategies(case: Case) -> dict[str, int]:
    groups = case.settings.get("groups")
    between = {} if groups is None else {"grouped": len(groups)}
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
    if case.localized_drawn is not None:
        found["localized_drawn"] = case.localized_drawn(K, n, J)
    return found


def _strategy(case: Case, J: int) -> tuple[dict[str, Any], dict[str, Any]]:
    m = parameters(case.shared, case.specific, case.K, J)
    bounds = _bounds(case, case.K, case.n, J)
    values: dict[str, Any] = {"blocks": J, "parameters": int(m), "paper": None}
    values |= {form: None if np.isnan(b.value) else b.value for form, b in bounds.items()}
    values["asymptotic"] = asymptotic_bound(m, case.n)
    for name, compute in (("law", case.law), ("exact", case.exact)):
        if compute is not None:
            values[name] = compute(case.K, case.n, J)
    known = {form: b for form, b in bounds.items() if values[form] is not None}
    details = {form: asdict(b) | {"vacuous": bool(b.vacuous)} for form, b in known.items()}
    return values, details


def _sample_sizes(case: Case, J: int, target: float) -> dict[str, Any]:
    forms = _bounds(case, case.K, case.n, J)
    found: dict[str, Any] = {}
    for form in forms:
        near = found["localized"] if form == "localized_drawn" else None
        found[form] = _size(case, J, form, target, near)
    m = parameters(case.shared, case.specific, case.K, J)
    by_law = sample_size_for_tv(m, target)
    return found | {"asymptotic": math.ceil(by_law) if by_law <= _MOST else None}


def _size(case: Case, J: int, form: str, target: float, near: int | None) -> int | None:
    m = parameters(case.shared, case.specific, case.K, J)
    bound = {
        "paper": lambda n: general.paper(case.loose(m, J), n, case.delta),
        "simple": lambda n: general.simple(case.loose(m, J), n, case.delta),
        "refined": lambda n: general.refined(case.sharp(m, J), n, case.delta),
        "localized": lambda n: case.localized(case.K, n, J),  # pyright: ignore[reportOptionalCall]
        "localized_drawn": lambda n: case.localized_drawn(case.K, n, J),  # pyright: ignore[reportOptionalCall]
    }[form]
    # With shares, counts follow n one by one; few n are enough near a guess.
    single = form == "localized" and "shares" in case.settings
    at_once = 1 if single else 24 if near is None else 2
    try:
        return sample_size(bound, target, at_once, near)
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
    if over == "K" and {"shares", "groups"} & case.settings.keys():
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
    values = {f: b.value.tolist() for f, b in _bounds(case, K, n, blocks).items()}
    m = parameters(case.shared, case.specific, K, blocks)
    values["asymptotic"] = asymptotic_bound(m, np.broadcast_to(n, places.shape)).tolist()
    at = [case if over == "n" else _with_sources(case, int(place)) for place in places]
    for form in ("law", "exact"):
        computed = [getattr(one, form) for one in at]
        if None not in computed:
            given = np.broadcast_arrays(K, n, blocks, places)[:3]
            rows = zip(computed, *(part.tolist() for part in given), strict=True)
            values[form] = [float(law(int(K_), int(n_), int(J_))) for law, K_, n_, J_ in rows]
    return values


def _with_sources(case: Case, K: int) -> Case:
    settings = {name: value for name, value in case.settings.items() if name != "family"}
    return build(case.settings["family"], settings | {"sources": K})


def title(case: Case) -> str:
    """One line that says which case a plot shows.

    >>> from sourcewise.theory.cases import build
    >>> sizes = {"sources": 5, "samples": 500, "shared": 5, "specific": 5}
    >>> title(build("general", sizes))
    'general: 5 sources, 500 examples, delta = 0.05'
    """
    sizes = f"{case.settings['family']}: {_count(case.K)} sources, {_count(case.n)} examples"
    groups = case.settings.get("groups")
    between = "" if groups is None else f", {_groups(groups)}"
    return f"{sizes}{between}, delta = {case.delta:g}"


def table(found: Mapping[str, Any], words: str) -> str:
    """The document as a readable table; a bound of 1 or more says nothing and is marked."""
    s = found["settings"]
    names = [name for name in ("separate", "grouped", "pooled") if name in found]
    titles = {"separate": "separate", "grouped": _groups(s.get("groups", [])), "pooled": "pooled"}
    sure = f"bound on average TV, probability {1 - s['delta']:g}"
    lines = [
        f"{s['family']}: {s['sources']} sources, {s['samples']} examples; {words}",
        "",
        _line(sure, [titles[name] for name in names], "ratio"),
    ]
    for form, label in LABELS.items():
        if form == "asymptotic":
            lines += ["", "average TV to expect if the model is right and n is large"]
        if any(found[name].get(form) is not None for name in names):
            lines.append(
                _row(f"{_ROWS.get(form, form):<11}{label}", [found[name][form] for name in names])
            )
        if form in found[names[0]] and form in found["reasons"]:
            # its row is above; without values there is none
            title = form if found[names[0]][form] is None else ""
            lines.append(f"{title:<11}{found['reasons'][form]}")
    counts = [_count(found[name]["parameters"]) for name in names]
    lines += ["", _line("parameters", counts, "")]
    lines.append(f"predicted ratio {found['ratio']:.4f} at similarity beta = {found['beta']:.4f}")
    lines += _sizes(found.get("sample_size"), names) + _helps(found["changes"])
    lines += ["", "* says nothing: no total variation is above 1"] * _any_vacuous(found, names)
    return "\n".join(lines) + "\n"


def _groups(sizes: list[int]) -> str:
    """How many groups, or their sizes where these differ and fit in a column."""
    listed = "groups " + ",".join(map(str, sizes))
    return listed if len(set(sizes)) > 1 and len(listed) <= 12 else f"{len(sizes)} groups"


def _line(title: str, cells: list[str], last: str) -> str:
    return f"{title:<44}" + "".join(f"{cell:>13}" for cell in cells) + f"{last:>9}".rstrip()


def _row(title: str, values: list[float]) -> str:
    ratio = f"{values[-1] / values[0]:.4f}" if values[0] > 0 and max(values) < 1 else ""
    return _line(title, [_number(value) for value in values], ratio)


def _count(value: float) -> str:
    """A whole number that leaves a gap in its column.

    >>> _count(957647), _count(123456789012345)
    ('957,647', '1.235e+14')
    """
    shown = f"{value:,.0f}"
    return shown if len(shown) <= 11 else f"{value:.4g}"


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
        cells = ["over 1e15" if value is None else _count(value) for value in values]
        lines.append(_line(f"{_ROWS.get(form, form):<11}{LABELS[form]}", cells, ""))
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
