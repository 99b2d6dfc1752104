"""The rates of samplers as a readable table."""

from sourcewise.bounds.options import count
from sourcewise.bounds.rates import Document, Rate

__all__ = ["table"]

_NOT_KNOWN = "C stands for what is unknown: these are rates, and no bounds on an error"
_VACUOUS = "* says nothing: no total variation is above 1"


def table(found: Document) -> str:
    """A line for each result, then what each of them needs; unknown constants are named so."""
    own, target = found.case.own, found.target
    heads = f"T = {count(own.steps)}", "" if target is None else f"T for {target:g}"
    lines = [found.case.title, found.case.words, ""]
    lines.append(_line("sampler", "arXiv", "", *heads, "known"))
    lines += [_row(rate, target is not None) for rate in found.rates]
    lines += ["", "each needs"]
    lines += [f"{rate.result.name:<19}{rate.result.needs}" for rate in found.rates]
    lines += ["", *(f"{name:<19}{reason}" for name, reason in found.reasons.items())]
    lines += [_NOT_KNOWN, *[_VACUOUS] * any(rate.vacuous for rate in found.rates)]
    return "\n".join(lines) + "\n"


def _row(rate: Rate, sized: bool) -> str:
    result, steps = rate.result, ""
    if sized:
        steps = "none" if rate.steps is None else count(rate.steps)
    value = f"{_number(rate.value)} *" if rate.vacuous else f"{_number(rate.value)}  "
    return _line(result.name, result.paper, result.distance, value, steps, str(result.open))


def _line(name: str, paper: str, distance: str, value: str, steps: str, known: str) -> str:
    return f"{name:<19}{paper:<12}{distance:<4}{value:>14}{steps:>13}  {known}"


def _number(value: float) -> str:
    return f"{value:.4f}" if 0.001 <= value < 1000 else f"{value:.3g}"
