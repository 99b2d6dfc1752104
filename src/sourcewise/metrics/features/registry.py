"""Features by the form of the data, and by the "kind" of their documents."""

from importlib import import_module

from sourcewise.encoders.base import Coding, Document
from sourcewise.errors import InputError, listing
from sourcewise.forms import X, form
from sourcewise.metrics.features.base import Features, Fitted, Kept
from sourcewise.metrics.features.columns import ColumnFeatures
from sourcewise.metrics.features.images import ImageFeatures

__all__ = ["fit", "load"]

# The form of rows: their features. The "kind" of a document: "module:class" of its features.
FORMS: dict[str, type[Fitted]] = {"table": ColumnFeatures, "images": ImageFeatures}
KINDS = {
    "columns": "sourcewise.metrics.features.columns:ColumnFeatures",
    "images": "sourcewise.metrics.features.images:ImageFeatures",
    "principal": "sourcewise.metrics.features.principal:PrincipalFeatures",
    "classifier": "sourcewise.metrics.features.classified:ClassifierFeatures",
    "torchscript": "sourcewise.metrics.features.script:ScriptFeatures",
    "transformers": "sourcewise.metrics.features.pretrained:PretrainedFeatures",
}


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


def load(document: Document) -> Features:
    """The inverse of `to_json`.

    Raises:
        InputError: it is no document of features.
    """
    home = KINDS.get(document.get("kind", ""))
    if home is None:
        raise InputError(
            f"no features of kind {document.get('kind')!r} (known: {', '.join(KINDS)})"
        )
    module, name = home.split(":")
    kind: type[Kept] = getattr(import_module(module), name)  # networks take long to import
    return kind.from_json(document)
