"""Features by the form of the data, and by the "kind" of their documents."""

from typing import Any

from sourcewise.encoders.base import Coding
from sourcewise.errors import InputError, listing
from sourcewise.forms import X, form
from sourcewise.metrics.features.base import Features, Fitted
from sourcewise.metrics.features.columns import ColumnFeatures
from sourcewise.metrics.features.images import ImageFeatures

__all__ = ["fit", "load"]

# The form of rows: their features. The "kind" of a document: likewise.
FORMS: dict[str, type[Fitted]] = {"table": ColumnFeatures, "images": ImageFeatures}
KINDS: dict[str, type[Fitted]] = {"columns": ColumnFeatures, "images": ImageFeatures}


def fit(x: X, coding: Coding) -> Features:
    """Those of the form of x, fitted on training rows of all sources.

    Raises:
        InputError: such rows are no points.
    """
    if form(x) not in FORMS:
        raise InputError(
            f"examples of the form {form(x)!r} are no points: distances need {listing(FORMS)}"
        )
    return FORMS[form(x)].fit(x, coding)


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
