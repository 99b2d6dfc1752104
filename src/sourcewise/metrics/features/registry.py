"""Features by the form of the data, and by the "kind" of their documents."""

from typing import Any

from sourcewise.encoders.base import Coding
from sourcewise.errors import InputError
from sourcewise.forms import X
from sourcewise.metrics.features.base import Features
from sourcewise.metrics.features.columns import ColumnFeatures

__all__ = ["fit", "load"]

KINDS = {"columns": ColumnFeatures}


def fit(x: X, coding: Coding) -> Features:
    """Those of the form of x, fitted on training rows of all sources.

    Raises:
        InputError: such rows are no points.
    """
    return ColumnFeatures.fit(x, coding)


def load(document: dict[str, Any]) -> Features:
    """The inverse of `to_json`.

    Raises:
        InputError: it is no document of features.
    """
    if document.get("kind") not in KINDS:
        raise InputError(
            f"no features of kind {document.get('kind')!r} (known: {', '.join(KINDS)})"
        )
    return KINDS[document["kind"]].from_json(document)
