"""The house stands: data flows one way."""

import ast
from pathlib import Path

import sourcewise

ROOT = Path(sourcewise.__file__).parent
# Top to bottom; a file imports only from its own row and the rows above.
ROWS = [
    "errors",
    "files",
    "randomness",
    "settings",
    "theory",
    "quadrature",
    "forms",
    "batch",
    "splits",
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


def test_theory_is_numbers_only():
    for path in (ROOT / "theory").rglob("*.py"):
        assert "torch" not in path.read_text().replace("no torch", "")
