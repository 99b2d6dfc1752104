"""Screening a sample for a family, and which others take data that it cannot take."""

from typing import TYPE_CHECKING

from sourcewise.errors import Unsuited
from sourcewise.families.family import Family
from sourcewise.families.registry import families
from sourcewise.families.settings import FamilySettings
from sourcewise.screening import registry
from sourcewise.screening.options import Rules

if TYPE_CHECKING:
    from sourcewise.screening.base import Screened
    from sourcewise.sources import Sources

__all__ = ["screen"]


def screen(chosen: Family, data: "Sources", settings: FamilySettings, rules: Rules) -> "Screened":
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
