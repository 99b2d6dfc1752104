"""The bounds of flows as a readable table."""

import math

from sourcewise.bounds.guarantees import Document, Guarantee
from sourcewise.bounds.options import count

__all__ = ["table"]

_VACUOUS = "* says nothing: no total variation is above 1"


def table(found: Document) -> str:
    """A line for each bound, then its formula and what it needs."""
    target, each = found.target, found.guarantees
    lines = [found.case.title, found.case.words, ""]
    head = "" if target is None else f"steps for {target:g}"
    lines.append(_line("bound", "", "value", head, "known"))
    lines += [_row(one, target is not None) for one in each]
    lines += ["", "the formulas, and what each needs"]
    for one in each:
        lines += [f"{one.name:<20}{one.formula}", f"{'':<20}{one.needs}"]
    lines += [""] * bool(found.reasons)
    lines += [f"{name:<20}{reason}" for name, reason in found.reasons.items()]
    lines += ["", f"the paper is arXiv {found.paper}, whose constants we could not read"]
    lines += found.notes
    lines += [_VACUOUS] * any(one.vacuous for one in each)
    return "\n".join(lines) + "\n"


def _row(one: Guarantee, sized: bool) -> str:
    steps = ""
    if sized and one.sized:
        steps = "none" if one.steps is None else count(one.steps)
    unit = "" if one.distance == "steps" else one.distance
    return _line(one.name, unit, f"{_number(one)} {'*' if one.vacuous else ' '}", steps, one.known)


def _line(name: str, distance: str, value: str, steps: str, known: str) -> str:
    return f"{name:<20}{distance:<4}{value:>14}{steps:>18}  {known}"


def _number(one: Guarantee) -> str:
    if one.distance == "steps":
        return count(one.value)
    if math.isinf(one.value):
        return "over 1e308"
    return f"{one.value:.4g}"
