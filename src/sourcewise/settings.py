"""The base of all settings classes: frozen, checked, and strict about names."""

from collections.abc import Mapping
from typing import Any, Self, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from sourcewise.errors import InputError, unknown

__all__ = ["Settings"]


class Settings(BaseModel):
    """A frozen set of named values; an unknown or bad value is an `InputError`.

    >>> class Size(Settings):
    ...     width: int = 3
    >>> Size.parse({"width": "5"})
    Size(width=5)
    >>> class Grid(Settings):
    ...     sizes: tuple[int, ...] = ()
    >>> Grid.parse({"sizes": "10,20"})
    Grid(sizes=(10, 20))
    >>> Size.parse({"widht": 5})
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: no setting 'widht': did you mean 'width'? (allowed: width)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Build from names and values (strings are converted to the field's type)."""
        for name in values:
            if name not in cls.model_fields:
                raise unknown("setting", name, cls.model_fields)
        try:
            return cls(**{name: _split(cls, name, value) for name, value in values.items()})
        except ValidationError as error:
            first = error.errors()[0]
            where = str(first["loc"][0]) if first["loc"] else cls.__name__
            allowed = _allowed(cls, where)
            raise InputError(f"setting {where}: {first['msg']}{allowed}") from None


def _split(cls: type[Settings], field: str, value: Any) -> Any:
    """Text for a field that holds several values is a comma-separated list."""
    several = get_origin(cls.model_fields[field].annotation) is tuple
    return value.split(",") if several and isinstance(value, str) else value


def _allowed(cls: type[Settings], field: str) -> str:
    if field not in cls.model_fields:
        return ""
    text = cls.model_fields[field].description
    return f" (allowed: {text})" if text else ""
