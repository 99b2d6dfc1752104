"""What training gives back: a document, the models, and a table to read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from textwrap import wrap
from typing import Any

from sourcewise.comparison.result import extent, finding_words, resolved_lines
from sourcewise.errors import listing
from sourcewise.fitting.strategy import TrainedStrategy

__all__ = ["Trained", "about_lines", "aligned", "brief"]

MOST_LINES = 60


@dataclass(frozen=True)
class Trained:
    """One strategy, trained on all rows. `print(trained)` shows what training took.

    Args:
        document: the JSON document (see docs).
        get_models: fits or loads the models on first use.
    """

    document: dict[str, Any]
    get_models: Callable[[], dict[str, TrainedStrategy]]

    @cached_property
    def models(self) -> dict[str, TrainedStrategy]:
        """The strategy's models, by its name."""
        return self.get_models()

    def __str__(self) -> str:
        return "\n".join(_lines(self.document))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    data, strategy, models = document["data"], document["strategy"], document["models"]
    count = "1 model" if len(models) == 1 else f"{len(models)} models"
    sources = "1 source" if len(data["sources"]) == 1 else f"{len(data['sources'])} sources"
    yield (
        f"{data['name']}: {data['rows']} rows, {sources}, {extent(data)}; "
        f"{document['settings']['model']}, {strategy['name']}: {count}"
    )
    for warning in document["warnings"]:
        yield from wrap(f"note: {warning}", 98, initial_indent="  ", subsequent_indent="        ")
    yield ""
    yield from about_lines({strategy["name"]: document})
    head = (
        "sources",
        "rows",
        "valid",
        "saw",
        "updates",
        "kept",
        "loss",
        "parameters",
        "seconds",
    )
    yield from aligned(head, [_cells(model) for model in models[:MOST_LINES]])
    if len(models) > MOST_LINES:
        yield f"  ... {len(models) - MOST_LINES} more in result.json"
    if any(model["validation"] is not None for model in models):
        told = "loss: of the validation rows (valid) under the weights kept; "
        told += document.get("validated_by") or "minus log-likelihood"
        yield from wrap(told, 98, subsequent_indent="  ")


def _cells(model: dict[str, Any]) -> tuple[str, ...]:
    loss, best = model["validation"], model["best"]
    names = listing([brief(name, 20) for name in model["sources"]], 3)
    return (
        names,
        str(model["n_train"]),
        str(model["n_valid"]),
        str(model["examples_seen"]),
        str(model["updates"]),
        "last" if best is None else str(best),
        "-" if loss is None else f"{loss:.4f}",
        str(model["parameters"]),
        f"{model['seconds']:.2f}",
    )


def about_lines(strategies: Mapping[str, Any]) -> Iterator[str]:
    """What settings came to, and what fitting found beside the parameters."""
    yield from resolved_lines(strategies)
    for name, strategy in strategies.items():
        if told := ", ".join(finding_words(strategy)):
            yield f"{name}: {told}"


def aligned(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """A table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([f"  {row[0]:{widths[0]}}", *cells]).rstrip()


def brief(name: str, limit: int = 28) -> str:
    """A name that fits a table."""
    name = "".join(c if c.isprintable() else " " for c in name)
    return name if len(name) <= limit else name[: limit - 1] + "…"
