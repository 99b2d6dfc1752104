"""The families by name: ours, and those of other packages. Listing them imports no torch.

Another package adds a family by an entry point of the group `sourcewise.families`, whose object is
a `Family`.
"""

from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from sourcewise.errors import InputError, Unsuited, unknown
from sourcewise.families.family import Family
from sourcewise.screening import registry
from sourcewise.screening.options import Rules

if TYPE_CHECKING:
    from sourcewise.families.settings import FamilySettings
    from sourcewise.screening.base import Screened
    from sourcewise.sources import Sources

__all__ = ["families", "family", "of_numbers", "screen", "suited", "suiting"]

GROUP = "sourcewise.families"
OURS = (
    "sourcewise.families.gaussian.family",
    "sourcewise.families.mixture.family",
    "sourcewise.families.table.family",
    "sourcewise.families.spline_flow.family",
    "sourcewise.families.arm.family",
    "sourcewise.families.transformer.family",
    "sourcewise.families.energy.family",
    "sourcewise.families.diffusion.family",
    "sourcewise.families.flow.family",
    "sourcewise.families.rectified_flow.family",
    "sourcewise.families.jko.family",
    "sourcewise.families.purified_flow.family",
)


@cache
def families() -> dict[str, Family]:
    """All of them by name, in the order in which `auto` asks whether they suit."""
    ours = [import_module(module).FAMILY for module in OURS]
    theirs = [point.load() for point in entry_points(group=GROUP)]
    found: dict[str, Family] = {}
    for item in (*ours, *theirs):
        if item.name in found:
            raise InputError(f"two families are called {item.name!r}: rename one of them")
        found[item.name] = item
    return found


def family(name: str) -> Family:
    """The family called `name`; an unknown name is an `InputError` that suggests the nearest.

    >>> family("gausian")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: no family 'gausian': did you mean 'gaussian'? (there are: ...)
    """
    if name not in families():
        raise unknown("family", name, families())
    return families()[name]


def suiting(data: "Sources") -> tuple[Family, ...]:
    """The families that suit these data, one at least: what `auto` stands for."""
    found = tuple(item for item in families().values() if item.suits(data))
    if not found:
        raise InputError(f"{data.name}: no family suits these data by itself: name one by --model")
    return found


def suited(data: "Sources") -> Family:
    """The first of them."""
    return suiting(data)[0]


def of_numbers(data: "Sources") -> Family | None:
    """The family that suits the columns of numbers of a table alone, if there are two or more."""
    from sourcewise.forms import Table

    assert isinstance(data.x, Table)
    names = [column.name for column in data.x.schema if column.kind == "number"]
    return suited(replace(data, x=data.x.select(names))) if len(names) > 1 else None


def screen(
    chosen: Family, data: "Sources", settings: "FamilySettings", rules: Rules
) -> "Screened":
    """What of a sample a family can use.

    Raises:
        InputError: those of its coding's screening.
    """
    try:
        return registry.screen(chosen.coding, data, rules, settings.coding_options())
    except Unsuited as error:
        others = [item.name for item in families().values() if item.suits(data)]
        told = " or ".join(f"--model {name}" for name in others if name != chosen.name)
        raise Unsuited(f"{error}; {told} takes such data" if told else str(error)) from None
