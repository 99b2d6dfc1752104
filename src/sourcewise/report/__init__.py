"""From a result to one HTML file and its figures. Nothing here computes or trains."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sourcewise.documents import from_json
from sourcewise.errors import InputError
from sourcewise.outputs import check_output
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.contract import Json
from sourcewise.results.labels import LABELS, LabelsResult

if TYPE_CHECKING:
    from sourcewise.fitting.run import Comparison
    from sourcewise.suspects.run import Suspects

__all__ = ["report"]


def report(
    result: "Comparison | Suspects | ComparisonResult | LabelsResult | Json",
    path: str | Path = "report.html",
) -> Path:
    """Write the HTML report of a comparison, or of suspect labels, and give back its path.

    A path that ends in .png or .svg gets the forest plot of a comparison alone.

    Args:
        result: what `compare`, `labels` or `load` gave back, or its JSON document.
        path: the file to write.

    Raises:
        InputError: another ending, no such folder, or no comparison.
    """
    found, path = _reported(result), Path(path)
    if path.suffix not in (".html", ".png", ".svg"):
        raise InputError(f"cannot write {path}: the name must end in .html, .png or .svg")
    if isinstance(found, LabelsResult) and path.suffix != ".html":
        raise InputError(f"cannot write {path}: a report of labels has no plot, and ends in .html")
    check_output(path)
    if isinstance(found, LabelsResult):
        from sourcewise.report.labels import write_labels

        write_labels(found, path)
    elif path.suffix != ".html":
        from sourcewise.report.forest import draw

        draw(found, path)
    else:
        from sourcewise.report.html import write_report

        write_report(found, path)
    return path


def _reported(result: object) -> ComparisonResult | LabelsResult:
    found = getattr(result, "result", result)
    if isinstance(found, Mapping):
        kind = LabelsResult if found.get("kind") == LABELS else ComparisonResult
        found = from_json(kind, found, "the document")
    if not isinstance(found, ComparisonResult | LabelsResult):
        raise InputError(f"a report is of a comparison, not of {type(result).__name__}")
    return found


class _CallablePackage(ModuleType):
    """Importing this package hides the function of the same name in `sourcewise`.

    So the package itself can be called: `sourcewise.report(result, path)` means one thing,
    whatever was imported before.
    """

    def __call__(self, *args: Any, **how: Any) -> Path:
        return report(*args, **how)


sys.modules[__name__].__class__ = _CallablePackage
