"""What is read back from files is of a type, and whatever is wrong with it is one refusal.

Anybody may have written a file: a digest tells of damage, not of intent. So documents become
types, whose limits hold every number that is computed with, and what fails while a place is read
is said of that place.
"""

import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from sourcewise.errors import Damaged, InputError
from sourcewise.files import plain

__all__ = ["Count", "Positive", "Real", "Size", "from_json", "reading", "typed"]

T = TypeVar("T")

HUGE = 1e100  # squares and their sums do not overflow
Real = Annotated[float, Field(ge=-HUGE, le=HUGE)]
Positive = Annotated[float, Field(gt=0, le=HUGE)]
Count = Annotated[int, Field(ge=0, le=2**53)]  # of what has happened
Size = Annotated[int, Field(ge=1, le=2**24)]  # of what memory is taken for


def typed(kind: type[T], value: object) -> T:
    """Plain values as a type.

    Raises:
        ValidationError: they are none of it.
    """
    return _adapter(kind).validate_python(plain(value))


def from_json(kind: type[T], value: object, where: str) -> T:
    """The inverse of `to_json`.

    `where` is the file, for the message.

    Raises:
        InputError: one line that names the file and the key with a wrong or no value.
    """
    with reading(where):
        return typed(kind, value)


@contextlib.contextmanager
def reading(where: str | Path) -> Iterator[None]:
    """Whatever fails within is the fault of what stands there.

    >>> with reading("model.json"):
    ...     {"width": 3}["depth"]
    Traceback (most recent call last):
    ...
    sourcewise.errors.Damaged: model.json is damaged: KeyError: 'depth'

    Raises:
        InputError: one line that names the place.
    """
    try:
        yield
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(" ".join(f"{where} is damaged: {_words(error)}".split())) from None


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(_brief, first["loc"]))
        if first["type"] == "missing":
            return f"it lacks {key}"
        return f"{key and f'{key}: '}{first['msg'].removeprefix('Value error, ')}"
    told = _brief(next(iter(str(error).splitlines()), ""), 200)
    return told if isinstance(error, InputError) else f"{type(error).__name__}: {told}"


def _brief(value: object, most: int = 40) -> str:
    text = "".join(c if c.isprintable() else "?" for c in str(value))
    return text if len(text) <= most else text[: most - 1] + "…"


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
