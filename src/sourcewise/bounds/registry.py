"""The classes of bounds by name, and a case from what was typed. Listing them is light."""

from collections.abc import Mapping
from typing import Any

from sourcewise.bounds.base import BoundClass
from sourcewise.bounds.classes import Arm, Energy, Gaussian, General
from sourcewise.bounds.convergence import Sampling
from sourcewise.bounds.flows import Jko, Reflow
from sourcewise.bounds.options import Option, declared
from sourcewise.errors import InputError, listing, unknown

__all__ = ["CLASSES", "bound_class", "build", "options_of"]

CLASSES: Mapping[str, type[BoundClass[Any]]] = {
    "gaussian": Gaussian,
    "arm": Arm,
    "energy": Energy,
    "general": General,
    "sampling": Sampling,
    "jko": Jko,
    "reflow": Reflow,
}


def options_of(name: str) -> list[Option]:
    """All options of a class: those of its kind, its own, and the target."""
    chosen = bound_class(name)
    return [*declared(chosen.kind.asked), *declared(chosen), chosen.kind.target]


def bound_class(name: str) -> type[BoundClass[Any]]:
    """The class of a name; an unknown name is an `InputError` that suggests the nearest."""
    if name not in CLASSES:
        raise unknown("family", name, CLASSES)
    return CLASSES[name]


def build(family: str, given: Mapping[str, object]) -> Any:
    """The case of a class from its options, numbers or texts; None is an option not given.

    Its type is what the class's own method `case` gives: a `base.Case`.

    >>> case = build("general", {"sources": 5, "samples": 500, "shared": 5, "specific": "5"})
    >>> case.settings()["constant"], case.shared
    (1.0, 5.0)

    Raises:
        InputError: an unknown class; an option missing, unknown to it, or out of its range.
    """
    chosen = bound_class(family)
    common, own = declared(chosen.kind.asked), declared(chosen)
    options = {option.name: option for option in (*common, *own)}
    typed = {name: value for name, value in given.items() if value is not None}
    for name in typed:
        if name not in options:
            known = listing([option.written for option in options.values()], 20)
            written = "--" + name.replace("_", "-")
            raise InputError(f"{written} is no option of bound {family} (allowed: {known})")
    absent = [o for o in options.values() if o.needed and o.name not in typed]
    if absent:
        told = f": {absent[0].values}" if len(absent) == 1 else " (-h tells what they are)"
        names = listing([option.written for option in absent], 20)
        raise InputError(f"bound {family} needs {names}{told}")
    values = {name: options[name].read(value) for name, value in typed.items()}
    for_all = {option.name: values.pop(option.name) for option in common if option.name in values}
    return chosen(**values).case(chosen.kind.asked.of(family, **for_all))
