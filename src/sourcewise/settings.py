"""The base of all settings classes: frozen, checked, and strict about names."""

from collections.abc import Mapping
from typing import Any, Self, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from sourcewise.errors import InputError, unknown

__all__ = ["Settings"]


class Settings(BaseModel):
    """A frozen set of named values; an unknown or bad value is an `InputError`.

    >>> from pydantic import Field
    >>> class Size(Settings):
    ...     width: int = Field(default=3, ge=1, description="numbers per row, >= 1")
    >>> Size.parse({"width": "5"})
    Size(width=5)
    >>> class Grid(Settings):
    ...     sizes: tuple[int, ...] = ()
    >>> Grid.parse({"sizes": "10,20"})
    Grid(sizes=(10, 20))
    >>> Size.parse({"widht": 5})
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: no setting 'widht': did you mean 'width'? (there are: width)
    >>> Size.parse({"width": "wide"})
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: setting width: not 'wide' (allowed: numbers per row, >= 1)
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
            raise InputError(_explained(cls, error.errors()[0])) from None


def _split(cls: type[Settings], field: str, value: Any) -> Any:
    """Text for a field that holds several values is a comma-separated list."""
    several = get_origin(cls.model_fields[field].annotation) is tuple
    return value.split(",") if several and isinstance(value, str) else value


def _explained(cls: type[Settings], error: Any) -> str:
    """One line for what pydantic found: the setting, its value, and what is allowed."""
    words = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:  # several settings that do not go together
        return f"settings: {words}"
    name = str(error["loc"][0])
    field = cls.model_fields[name]
    allowed = "true, false" if field.annotation is bool else field.description
    if error["type"] == "value_error" or not allowed:
        return f"setting {name}: {words}"
    return f"setting {name}: not {error['input']!r} (allowed: {allowed})"
