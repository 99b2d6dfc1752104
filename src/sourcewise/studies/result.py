"""What a study finds: points, which are the rows of its JSON document and of its table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

from pydantic import TypeAdapter

from sourcewise.settings import Settings

__all__ = ["Result", "markdown", "number", "row", "select"]

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """The result of a study; as text (`str`) it is the study's table.

    A study says of which types its settings and points are, and may add to what was found.
    """

    settings: Settings  # that it was computed for
    points: tuple[Any, ...]  # dataclasses

    def select(self, **where: object) -> tuple[Any, ...]:
        """The points whose fields have these values, in order."""
        return select(self.points, **where)

    def to_json(self) -> Mapping[str, object]:
        """As plain values; a row of `cells` per point."""
        document = asdict(self)
        settings, cells = self.settings.model_dump(mode="json"), document.pop("points")
        return {**document, "settings": settings, "cells": cells}

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self:
        """The result again from its JSON document; keys unknown here are passed over."""
        return TypeAdapter(cls).validate_python({**document, "points": document["cells"]})


def select(points: Iterable[T], **where: object) -> tuple[T, ...]:
    """Those whose fields have these values, in order.

    >>> select([1 + 2j, 3 + 2j], real=3)
    ((3+2j),)
    """
    return tuple(p for p in points if all(getattr(p, k) == v for k, v in where.items()))


def number(value: float | None) -> str:
    """Four decimals, `-` for none."""
    return "-" if value is None else f"{value:.4f}"


def row(texts: Sequence[str], width: int) -> str:
    """A line: the first text in so many characters, then the strategy and other columns of ten.

    >>> row(["n", "pooled", "0.5"], 4)
    'n   pooled           0.5'
    """
    first, second, *rest = texts
    return f"{first:<{width}}{second:<10}" + "".join(f"{text:>10}" for text in rest)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown.

    >>> markdown(["n", "error"], [["1", "0.5"]])
    ['| n | error |', '|---|---|', '| 1 | 0.5 |']
    """
    first, *rest = (f"| {' | '.join(texts)} |" for texts in (head, *rows))
    return [first, "|---" * len(head) + "|", *rest]
