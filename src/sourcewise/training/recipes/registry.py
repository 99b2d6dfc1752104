"""The recipes by name."""

from functools import cache
from importlib import import_module

from sourcewise.errors import unknown
from sourcewise.training.recipes.base import Recipe

__all__ = ["recipe"]

HOMES = {
    name: f"sourcewise.training.recipes.{name}"
    for name in ("exact", "gradient", "phased", "greedy", "purified")
}


@cache
def recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        InputError: there is none.
    """
    if name not in HOMES:
        raise unknown("recipe", name, HOMES)
    return import_module(HOMES[name]).RECIPE
