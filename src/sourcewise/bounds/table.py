"""The document of bounds for several sources as a readable table."""

from collections.abc import Mapping, Sequence

from sourcewise.bounds.calculator import Document
from sourcewise.bounds.options import count, groups_in_words
from sourcewise.theory.planning import Change

__all__ = ["LABELS", "table"]

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


def table(found: Document) -> str:
    """The document as a readable table; a bound of 1 or more says nothing and is marked."""
    case = found.case
    names = [name for name in ("separate", "grouped", "pooled") if name in found.strategies]
    titles = [groups_in_words(case.common.groups or []) if n == "grouped" else n for n in names]
    strategies = [found.strategies[name] for name in names]
    values = [strategy.values() for strategy in strategies]
    lines = [
        f"{case.common.family}: {case.K} sources, {case.n} examples; {case.words}",
        "",
        _line(f"bound on average TV, probability {1 - case.delta:g}", titles, "ratio"),
    ]
    for form in LABELS:
        if form == "asymptotic":
            lines += ["", "average TV to expect if the model is right and n is large"]
        if form in values[0]:
            lines += _form(form, [row[form] for row in values], found.reasons.get(form))
    counts = [count(strategy.parameters) for strategy in strategies]
    lines += ["", _line("parameters", counts, "")]
    lines.append(f"predicted ratio {found.ratio:.4f} at similarity beta = {found.beta:.4f}")
    if found.target is not None:
        lines += ["", f"examples needed for an average TV of {found.target:g}"]
        lines += _sizes([found.sample_sizes[name] for name in names])
    lines += _helps(found.changes)
    vacuous = any((value or 0) >= 1 for row in values for value in row.values())
    lines += ["", "* says nothing: no total variation is above 1"] * vacuous
    return "\n".join(lines) + "\n"


def _form(form: str, values: Sequence[float | None], reason: str | None) -> list[str]:
    """The row of a form, and what there is to say of it."""
    known = [value for value in values if value is not None]
    lines = []
    if known:
        lines.append(_row(f"{_ROWS.get(form, form):<11}{LABELS[form]}", known))
    if reason is not None:  # a row is above; without values there is none
        lines.append(f"{'' if known else form:<11}{reason}")
    return lines


def _line(title: str, cells: list[str], last: str) -> str:
    return f"{title:<44}" + "".join(f"{cell:>13}" for cell in cells) + f"{last:>9}".rstrip()


def _row(title: str, values: list[float]) -> str:
    ratio = f"{values[-1] / values[0]:.4f}" if values[0] > 0 and max(values) < 1 else ""
    return _line(title, [_number(value) for value in values], ratio)


def _number(value: float) -> str:
    shown = f"{value:.4f}" if 0.001 <= value < 1000 else f"{value:.3g}"
    return f"{shown} *" if value >= 1 else shown


def _sizes(sizes: Sequence[Mapping[str, int | None]]) -> list[str]:
    lines = []
    for form in sizes[0]:
        values = [row[form] for row in sizes]
        cells = ["over 1e15" if value is None else count(value) for value in values]
        lines.append(_line(f"{_ROWS.get(form, form):<11}{LABELS[form]}", cells, ""))
    return lines


def _helps(changes: Sequence[Change]) -> list[str]:
    titles = ["separate", "pooled", "law, pooled"]
    lines = ["", _line("what would help more (refined)", titles, "")]
    for change in changes:
        values = [_number(v) for v in (change.separate, change.pooled, change.law_pooled)]
        lines.append(_line(change.name, values, ""))
    return lines
