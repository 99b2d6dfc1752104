"""Results as types: frozen dataclasses that write the JSON contract; `documents` reads it.

A field is a key; one of the type `Sometimes[T]` is a key that is only there when there is
something to say. There is no NaN: an unknown number is null, often with a reason beside it. Keys
that no type knows are left aside, so that files of later versions can be read.
"""

import math
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Annotated, Any, TypeVar

from sourcewise.files import plain

__all__ = ["Json", "Scalar", "Sometimes", "known", "to_json"]

T = TypeVar("T")

Json = dict[str, Any]  # a document, or a part of it that only its writer knows, such as settings
Scalar = str | int | float | bool | None
SOMETIMES = "sometimes"
# Left out where it is None and no `KEY_reason` stands beside it.
Sometimes = Annotated[T | None, SOMETIMES]


def to_json(value: Any) -> Any:
    """A result, or a part of it, as JSON has it.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Kept:
    ...     updates: int
    ...     best: Sometimes[int] = None
    ...     best_reason: Sometimes[str] = None
    >>> to_json(Kept(5)), to_json(Kept(5, None, "the last"))
    ({'updates': 5}, {'updates': 5, 'best': None, 'best_reason': 'the last'})
    """
    if is_dataclass(value):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value) if _there(value, f)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return plain(value)


def _there(value: Any, key: Field[Any]) -> bool:
    always = SOMETIMES not in getattr(key.type, "__metadata__", ())
    if always or getattr(value, key.name) is not None:
        return True
    return getattr(value, f"{key.name}_reason", None) is not None


def known(value: float) -> float | None:
    """The number, or None if it is not finite."""
    return float(value) if math.isfinite(value) else None
