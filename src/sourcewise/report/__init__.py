"""From a result document to one HTML file and its figures. Nothing here computes or trains."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from sourcewise.errors import InputError

__all__ = ["report"]


class HasDocument(Protocol):
    """What a comparison gives back."""

    @property
    def document(self) -> Mapping[str, Any]:
        """The JSON document."""
        ...


def report(result: HasDocument | Mapping[str, Any], path: str | Path = "report.html") -> Path:
    """Write the HTML report of a result, or of its document, and give back its path.

    A path that ends in .png or .svg gets the forest plot alone.
    """
    document = dict(result if isinstance(result, Mapping) else result.document)
    path = Path(path)
    if path.suffix not in (".html", ".png", ".svg"):
        raise InputError(f"cannot write {path}: the name must end in .html, .png or .svg")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: no folder {path.parent}")
    if path.suffix != ".html":
        from sourcewise.report.forest import draw

        draw(document, path)
    else:
        from sourcewise.report.html import write_report

        write_report(document, path)
    return path


class _CallablePackage(ModuleType):
    """Importing this package hides the function of the same name in `sourcewise`.

    So the package itself can be called: `sourcewise.report(result, path)` means one thing,
    whatever was imported before.
    """

    def __call__(self, *args: Any, **how: Any) -> Path:
        return report(*args, **how)


sys.modules[__name__].__class__ = _CallablePackage
