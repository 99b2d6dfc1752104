"""All numbers of a case: bounds and laws for each strategy, and the same along n or K.

As JSON, a document is

    {"settings", "pooled": {"blocks", "parameters", "paper", "simple", "refined", "localized"?,
     "localized_drawn"?, "asymptotic", "law"?, "exact"?}, "grouped"?: {...}, "separate": {...},
     "ratio", "beta", "ratio_grouped"?, "sample_size"?, "details", "changes", "reasons"}

`ratio` is `sqrt(m_pooled / m_separate)`. A value that does not exist is null, and `reasons` says
why; it also says what `exact` stands for where many sources draw no example. `settings.groups`
are the sizes of consecutive groups of sources. `details` holds, for each form of each strategy,
the best eps and s, log N and the terms.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sourcewise.bounds.base import Curves
from sourcewise.bounds.case import Case
from sourcewise.errors import InputError
from sourcewise.theory import general
from sourcewise.theory.asymptotic import asymptotic_bound, sample_size_for_tv
from sourcewise.theory.general import Bound
from sourcewise.theory.planning import Change, sample_size, what_helps
from sourcewise.theory.sharing import parameters, predicted_ratio, similarity

if TYPE_CHECKING:
    from sourcewise.bounds.case import Form

__all__ = ["Document", "Strategy", "curves", "document"]

_MOST = 1e15  # examples, as in `planning.sample_size`


@dataclass(frozen=True)
class Strategy:
    """The numbers of one strategy."""

    blocks: int  # J
    parameters: int  # m
    bounds: Mapping[str, Bound]  # {form: bound}; its value is nan where there is none
    # {"asymptotic", "law", "exact": average TV to expect}, where known
    expected: Mapping[str, float]

    def values(self) -> dict[str, float | None]:
        """{form: value}, bounds first; None stands for a value that does not exist."""
        bounds = {form: _or_none(bound.value) for form, bound in self.bounds.items()}
        return {"paper": None} | bounds | dict(self.expected)

    def details(self) -> Mapping[str, object]:
        """{form: what the bound is made of}."""
        known = {form: b for form, b in self.bounds.items() if _or_none(b.value) is not None}
        return {form: asdict(b) | {"vacuous": bool(b.vacuous)} for form, b in known.items()}


@dataclass(frozen=True)
class Document:
    """All numbers of a case."""

    case: Case  # what was asked
    strategies: Mapping[str, Strategy]  # by name
    changes: list[Change]  # what would help more
    target: float | None  # average TV that sample sizes are for; None without them
    # {strategy: {form: examples, None for more than 10^15}}
    sample_sizes: Mapping[str, Mapping[str, int | None]]
    reasons: Mapping[str, str]  # {form: why it does not exist, or what to know of it}

    @property
    def beta(self) -> float:
        """Similarity."""
        return similarity(self.case.shared, self.case.specific)

    @property
    def ratio(self) -> float:
        """Predicted ratio of pooled to separate errors."""
        return predicted_ratio(self.beta, self.case.K)

    def to_json(self) -> Mapping[str, object]:
        """The document of the file's head."""
        found: dict[str, object] = {"settings": self.case.settings()}
        for name, s in self.strategies.items():
            found[name] = {"blocks": s.blocks, "parameters": s.parameters} | s.values()
        found |= {"ratio": self.ratio, "beta": self.beta}
        if "grouped" in self.strategies:
            J = self.strategies["grouped"].blocks
            found["ratio_grouped"] = predicted_ratio(self.beta, self.case.K, J)
        if self.target is not None:
            found["sample_size"] = {"target": self.target, **self.sample_sizes}
        found["details"] = {name: s.details() for name, s in self.strategies.items()}
        changes = [asdict(change) for change in self.changes]
        return found | {"changes": changes, "reasons": dict(self.reasons)}


def document(case: Case, target: float | None = None) -> Document:
    """All numbers of a case, with sample sizes for an average TV of `target`, in (0, 1), if given.

    >>> from sourcewise.bounds.registry import build
    >>> sizes = {"dim": 10, "specific": 5, "mean_bound": 5}
    >>> found = document(build("gaussian", {"sources": 5, "samples": 500, **sizes}))
    >>> round(found.strategies["pooled"].bounds["paper"].value, 4), round(found.ratio, 4)
    (2.3501, 0.7746)
    """
    strategies = {name: _strategy(case, J) for name, J in case.strategies.items()}
    sizes = {}
    if target is not None:
        sizes = {name: _sample_sizes(case, J, target) for name, J in case.strategies.items()}
    reasons = dict(case.notes)
    if any(None in found.values() for found in sizes.values()):
        reasons["sample_size"] = f"null stands for more than {_MOST:g} examples"
    if case.delta > 0.5:
        reasons["paper"] = "Theorem 3.2 is stated for delta up to 0.5"
    for form in ("localized", "localized_drawn"):
        if form not in case.forms:
            reasons[form] = f"not known for the {case.common.family} family"

    def sharp(m: ArrayLike, J: ArrayLike, n: ArrayLike) -> Bound:
        return general.refined(case.sharp(m, J), n, case.delta)

    changes = what_helps(sharp, case.shared, case.specific, case.K, case.n)
    return Document(case, strategies, changes, target, sizes, reasons)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _forms(case: Case) -> "dict[str, Form]":
    """Each form of the bound at K sources, n examples, J blocks; these may be arrays."""

    def m(K: ArrayLike, J: ArrayLike) -> ArrayLike:
        return parameters(case.shared, case.specific, K, J)

    found: dict[str, Form] = {
        "paper": lambda K, n, J: general.paper(case.loose(m(K, J), J), n, case.delta),
        "simple": lambda K, n, J: general.simple(case.loose(m(K, J), J), n, case.delta),
        "refined": lambda K, n, J: general.refined(case.sharp(m(K, J), J), n, case.delta),
    }
    if case.delta > 0.5:
        del found["paper"]
    return found | dict(case.forms)


def _strategy(case: Case, J: int) -> Strategy:
    m = parameters(case.shared, case.specific, case.K, J)
    bounds = {form: bound(case.K, case.n, J) for form, bound in _forms(case).items()}
    expected = {"asymptotic": asymptotic_bound(m, case.n)}
    expected |= {name: law(case.K, case.n, J) for name, law in case.expected.items()}
    return Strategy(J, int(m), bounds, expected)


def _sample_sizes(case: Case, J: int, target: float) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for form, bound in _forms(case).items():
        near = found["localized"] if form == "localized_drawn" else None
        # With shares, counts follow n one by one; few n are enough near a guess.
        single = form == "localized" and case.unequal
        at_once = 1 if single else 24 if near is None else 2
        try:
            found[form] = sample_size(
                lambda n, bound=bound: bound(case.K, n, J), target, at_once, near
            )
        except InputError:  # more than anybody has
            found[form] = None
    by_law = sample_size_for_tv(parameters(case.shared, case.specific, case.K, J), target)
    return found | {"asymptotic": math.ceil(by_law) if by_law <= _MOST else None}


def curves(case: Case, over: str) -> Curves:
    """Bounds and laws of a case over n or K; its own place lies among the places."""
    if over == "K" and (case.unequal or case.common.groups is not None):
        raise InputError(
            "--over K is for equal sources, pooled and separate: no --shares, --groups"
        )
    at = case.n if over == "n" else case.K
    low, high = (max(1, at / 30), at * 300) if over == "n" else (1, max(10, at * 4))
    places = np.unique(np.append(np.geomspace(low, high, 60).round(), at))
    lines = {}
    for name, J in case.strategies.items():
        K, n = (case.K, places) if over == "n" else (places, case.n)
        lines[name] = _lines(case, K, n, K if name == "separate" else J, places.shape)
    return Curves(over, places.tolist(), at, lines)


def _lines(
    case: Case, K: ArrayLike, n: ArrayLike, J: ArrayLike, shape: tuple[int, ...]
) -> dict[str, list[float]]:
    values = {form: bound(K, n, J).value.tolist() for form, bound in _forms(case).items()}
    m = parameters(case.shared, case.specific, K, J)
    values["asymptotic"] = asymptotic_bound(m, np.broadcast_to(n, shape)).tolist()
    rows = np.broadcast_arrays(K, n, J, np.empty(shape))[:3]
    whole: NDArray[np.int64] = np.stack(rows, 1).astype(np.int64)
    for form, law in case.expected.items():
        values[form] = [law(*row) for row in whole.tolist()]
    return values
