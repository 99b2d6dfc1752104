"""The house stands: data flows one way."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import sourcewise
from sourcewise.families.registry import families

ROOT = Path(sourcewise.__file__).parent
# Top to bottom; a file imports only from its own row and the rows above.
ROWS = [
    "errors",
    "cells",
    "limits",
    "yaml_files",
    "files",
    "run_folders",
    "outputs",
    "documents",
    "randomness",
    "settings",
    "stopping",
    "schema",
    "execution",
    "memory",
    "theory",
    "quadrature",
    "forms",
    "batch",
    "gaps",
    "moments",
    "splits",
    "places",
    "sources",
    "partition",
    "truths",
    "readers",
    "screening",
    "encoders",
    "samplers",
    "networks",
    "families",
    "training",
    "metrics",
    "strategies",
    "statistics",
    "results",
    "fitting",
    "comparison",
    "lifecycle",
    "suspects",
    "similarity",
    "bounds",
    "studies",
    "report",
    "commands",
    "cli",
]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        parts = [name.split(".") for name in names]
        found |= {p[1] for p in parts if p[0] == "sourcewise" and len(p) > 1}
    return found - {"__version__"}


def direct(path: Path) -> set[Path]:
    """The files that a file imports, itself left out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and "sourcewise" in node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            files = {ROOT.parent.joinpath(*name.split(".")).with_suffix(".py") for name in names}
            found |= {file for file in files if file.exists()}
    return found - {path}


def row(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_file_has_its_row_and_imports_only_from_above():
    files = [path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py"]
    assert {row(path) for path in files} == set(ROWS)
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imports(path)
        if ROWS.index(name) > ROWS.index(row(path))
    ]
    assert not wrong


def test_no_files_import_each_other_in_a_circle():
    """Not even for a type, or within a function: of two files one knows nothing of the other."""
    left = {path: direct(path) for path in ROOT.rglob("*.py") if path.name != "__init__.py"}
    while ground := [path for path, wanted in left.items() if not wanted & left.keys()]:
        for path in ground:
            del left[path]
    assert not [str(path.relative_to(ROOT)) for path in left]


def test_the_longest_chain_of_imports_is_short():
    """What must be read before a file: at most 14 files deep, imports within functions too."""
    wanted = {path: direct(path) for path in ROOT.rglob("*.py")}

    @cache
    def chain(path: Path) -> tuple[Path, ...]:
        return (path, *max((chain(other) for other in wanted[path]), key=len, default=()))

    longest = max((chain(path) for path in wanted), key=len)
    shown = " > ".join(str(path.relative_to(ROOT)) for path in longest)
    assert len(longest) <= 14, f"{len(longest)} files: {shown}"


def test_no_file_is_long():
    lengths = {path: len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")}
    assert not {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > 400}


def test_few_values_travel_as_dictionaries_of_anything():
    """A type says what it holds; `dict[str, Any]` is for the edges of files."""
    counts = Counter(
        {
            str(path.relative_to(ROOT)): len(re.findall(r"\b(dict|Mapping)\[str, Any\]", text))
            for path in ROOT.rglob("*.py")
            if (text := path.read_text())
        }
    )
    assert counts.total() <= 60, counts.most_common(10)


def test_comparisons_and_lifecycle_know_nothing_of_each_other():
    """What both need is in `fitting`."""
    rooms = ("comparison", "lifecycle")
    assert not [
        str(path.relative_to(ROOT))
        for room, other in (rooms, rooms[::-1])
        for path in (ROOT / room).rglob("*.py")
        if other in imports(path)
    ]


def test_theory_is_numbers_only():
    for path in (ROOT / "theory").rglob("*.py"):
        assert "torch" not in path.read_text().replace("no torch", "")


# Rooms whose subject is particular families, and files in which the word means something else.
FREE = ("families", "studies", "bounds", "theory", "truths")
OTHER_MEANING = ("readers/builtin.py", "report/bounds_plot.py")  # a data set; a bound of theory


def constants(tree: ast.Module) -> set[str]:
    """The strings of a file, apart from docstrings and `__all__`."""
    skipped = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            skipped.add(body[0].value)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            skipped |= set(ast.walk(node))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {node.value for node in found if isinstance(node.value, str) and node not in skipped}


def test_no_general_room_imports_or_names_a_family():
    folders = {path.name for path in (ROOT / "families").iterdir() if path.is_dir()}
    names = {item.name for item in families().values()}
    wrong = []
    for path in ROOT.rglob("*.py"):
        place = str(path.relative_to(ROOT))
        general = row(path) not in FREE or path.parent == ROOT / "families"
        if not general or path.name in ("registry.py", "__init__.py"):
            continue
        wanted = {p.relative_to(ROOT).parts[1] for p in direct(path) if row(p) == "families"}
        wrong += [f"{place} imports {name}" for name in wanted & folders]
        if place not in OTHER_MEANING:
            said = constants(ast.parse(path.read_text())) & names
            wrong += [f"{place} says {name!r}" for name in said]
    assert not wrong


def test_a_family_and_its_model_agree_on_the_recipe():
    for item in families().values():
        assert item.recipe == item.model_class.recipe
