"""Every public formula of the theory says what it is, what it takes and where it is from."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from types import UnionType
from typing import Union, get_args, get_origin

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from sourcewise import theory

HOME = "sourcewise.theory."
SERVANTS = {"checks"}  # no formulas: they check arguments
# Made by functions and methods, never by users: what their fields hold is no range of arguments.
RESULTS = {"Bound", "Change", "LearningCurve", "Cells", "Groups", "Counts", "Shares", "Block"}
SOURCE = re.compile(
    r"Theorem|Lemma|Definition|Proposition|[Ss]ections? \d|[Aa]ppendix|arXiv|\((19|20)\d\d\)"
)
RANGE = re.compile(r"[<>]|\bin [\[({0-9-]|\([^)]*,[^)]*\)|\bone of\b|\bany number|\bfinite\b")
NUMBERS = (int, float, ArrayLike, NDArray[np.float64])
EXAMPLE = re.compile(r"^ *(?:>>>|\.\.\.) (.*)$", re.MULTILINE)
SECTION = re.compile(r"^(Args|Raises|Returns):$", re.MULTILINE)


def find_members():
    """Of all files, folders included; what a folder hands out is in its files."""
    for info in pkgutil.walk_packages(theory.__path__, HOME):
        if info.ispkg or info.name.removeprefix(HOME) in SERVANTS:
            continue
        module = importlib.import_module(info.name)
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isclass(found) or inspect.isfunction(found):
                yield pytest.param(module, found, id=f"{info.name.removeprefix(HOME)}.{name}")


MEMBERS = list(find_members())


def find_methods():
    for param in MEMBERS:
        module, found = param.values
        for name, part in vars(found).items() if inspect.isclass(found) else ():
            part = getattr(part, "__func__", getattr(part, "fget", part))
            if inspect.isfunction(part) and not name.startswith("_"):
                yield pytest.param(module, part, id=f"{param.id}.{name}")


METHODS = list(find_methods())


def arguments(text: str) -> dict[str, str]:
    """The Args section: {name: what is said of it}."""
    parts = SECTION.split(inspect.cleandoc(text))
    section = parts[parts.index("Args") + 1] if "Args" in parts else ""
    entries = re.split(r"^    (?=\w[\w, ]*:)", section, flags=re.MULTILINE)[1:]
    said = {}
    for entry in entries:
        names, _, words = entry.partition(":")
        said |= dict.fromkeys((name.strip() for name in names.split(",")), words)
    return said


def said_of_arguments(module, found) -> dict[str, str]:
    """Own section, and what another one says, for `arguments as for`."""
    said = arguments(found.__doc__)
    for other in re.findall(r"[Aa]rguments\s+as\s+for\s+`(\w+)`", found.__doc__):
        said = said_of_arguments(module, getattr(module, other)) | said
    return said


def parameters(found) -> dict[str, bool]:
    """{name: whether it holds numbers} of what is passed."""
    if dataclasses.is_dataclass(found):
        hints = {field.name: field.type for field in dataclasses.fields(found)}
    else:
        signature = inspect.signature(found).parameters
        hints = {name: p.annotation for name, p in signature.items() if name != "self"}
    hints.pop("cls", None)
    return {name: hint in NUMBERS or _holds_numbers(hint) for name, hint in hints.items()}


def _holds_numbers(hint) -> bool:
    """`int | None` and its like."""
    wanted = {*NUMBERS[:2], type(None), *get_args(ArrayLike)}
    return get_origin(hint) in (UnionType, Union) and set(get_args(hint)) <= wanted


@pytest.mark.parametrize(("module", "found"), MEMBERS)
def test_arguments_are_named_with_their_range(module, found):
    if found.__name__ in RESULTS:
        return
    said = said_of_arguments(module, found)
    for name, holds_numbers in parameters(found).items():
        assert name in said, f"{name} is not under Args:"
        assert not holds_numbers or RANGE.search(said[name]), f"{name} has no range"


@pytest.mark.parametrize(("module", "found"), METHODS)
def test_methods_say_the_range_of_each_number(module, found):
    """Under Args, or in the sentence: `eps > 0`, `x (n, D)`."""
    said = arguments(found.__doc__)
    text = " ".join(found.__doc__.split())
    for name, holds_numbers in parameters(found).items():
        stated = re.search(rf"\b{name}`? (>|<|in \[|in \d|\()", text)
        inside = name in said and RANGE.search(said[name])
        assert not holds_numbers or stated or inside, f"{name} has no range"


@pytest.mark.parametrize(("module", "found"), MEMBERS)
def test_formula_and_source_are_given(module, found):
    texts = [found.__doc__, *(p.values[1].__doc__ for p in methods_of(module, found))]
    assert "`" in "".join(texts), "no formula"
    assert SOURCE.search(found.__doc__ + module.__doc__), "no theorem, section or reference"


@pytest.mark.parametrize(("module", "found"), MEMBERS)
def test_an_example_runs(module, found):
    """A doctest of its own, or one beside it in the file that calls or names it."""
    if found.__name__ in RESULTS:
        return
    parts = [p.values[1] for p in (*MEMBERS, *METHODS) if p.values[0] is module]
    examples = EXAMPLE.findall("\n".join(part.__doc__ or "" for part in parts))
    called = any(re.search(rf"\b{found.__name__}[(.)]", line) for line in examples)
    assert called, "no doctest"


def methods_of(module, found):
    prefix = f"{module.__name__.removeprefix(HOME)}.{found.__name__}."
    return [p for p in METHODS if str(p.id).startswith(prefix)]


def test_the_rules_reach_the_theory():
    assert len(MEMBERS) > 80
    assert sum(str(p.id).startswith("gaussian.") for p in MEMBERS) > 40
