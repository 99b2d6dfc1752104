"""The base of all settings classes: frozen, checked, and strict about names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from sourcewise.errors import InputError, unknown

__all__ = ["Few", "Many", "Seed", "Setting", "Settings"]


# Larger ones than anybody needs, whose arrays still fit a machine.
Many = Annotated[int, Field(ge=1, le=10_000_000)]  # of rows, or of repetitions
Few = Annotated[int, Field(ge=1, le=10_000)]  # of sources, columns, positions
Seed = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True)
class Setting:
    """What a user may know of one setting.

    Args:
        name: of the setting.
        default: in words, as it is typed.
        allowed: its values in words; "" where `about` lists them.
        about: what it does.
    """

    name: str
    default: str
    allowed: str
    about: str


class Settings(BaseModel):
    """A frozen set of named values; an unknown or bad value is an `InputError`.

    >>> from pydantic import Field
    >>> class Size(Settings):
    ...     width: int = Field(default=3, ge=1, description="per row")
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
    sourcewise.errors.InputError: setting width: not 'wide' (allowed: a whole number >= 1): per row
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Build from names and values (strings are converted to the field's type)."""
        for name in values:
            if name not in cls.model_fields:
                raise unknown("setting", name, _nearest_first(cls, name))
        try:
            return cls(**{name: _split(cls, name, value) for name, value in values.items()})
        except ValidationError as error:
            raise InputError(_explained(cls, error.errors()[0])) from None

    @classmethod
    def listed(cls) -> list[Setting]:
        """All settings: the class's own first, then those it shares with others.

        >>> from pydantic import Field
        >>> class Size(Settings):
        ...     width: int = Field(default=3, ge=1, description="per row")
        >>> Size.listed()
        [Setting(name='width', default='3', allowed='a whole number >= 1', about='per row')]
        """
        own = [name for name in cls.model_fields if name in cls.__annotations__]
        names = dict.fromkeys([*own, *cls.model_fields])
        return [_listed(name, cls.model_fields[name]) for name in names]


def _listed(name: str, field: FieldInfo) -> Setting:
    default = field.get_default(call_default_factory=True)
    words = _shown(default) if isinstance(default, list | tuple) else str(default)
    words = words.lower() if isinstance(default, bool) else words
    about, allowed = field.description or "", _allowed(field.annotation, field.metadata)
    return Setting(name, words, "" if about.startswith(allowed) else allowed, about)


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
    allowed = _allowed(field.annotation, field.metadata)
    about = field.description or ""
    if error["type"] == "value_error" or not (allowed or about):
        return f"setting {name}: {words}"
    listed = about.startswith(allowed)  # the values, explained
    told = about if listed else allowed
    more = "" if listed or not about else f": {about}"
    return f"setting {name}: not {_shown(error['input'])} (allowed: {told}){more}"


def _shown(value: Any) -> str:
    """A value as it is typed: of several at once, with commas."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else repr(value)


def _nearest_first(cls: type[Settings], name: str) -> list[str]:
    """All settings: those spelled like the name, then the class's own, then those it shares."""
    near = get_close_matches(name, cls.model_fields, n=5)
    line = [base for base in cls.__mro__ if issubclass(base, Settings)]
    own = [field for base in line for field in base.model_fields if field not in _shared(base)]
    return list(dict.fromkeys([*near, *own]))


def _shared(cls: type[Settings]) -> set[str]:
    """The settings that a class has from others."""
    bases = [base for base in cls.__mro__[1:] if issubclass(base, Settings)]
    return {field for base in bases for field in base.model_fields}


def _allowed(kind: Any, limits: Iterable[Any] = (), several: bool = False) -> str:
    """The values of a type in words; "" for a type whose description must say it.

    >>> from annotated_types import MaxLen, MinLen
    >>> from pydantic import Field
    >>> _allowed(Annotated[int, Field(ge=1)] | Literal["all"])
    'a whole number >= 1, or all'
    >>> _allowed(tuple[Annotated[int, Field(ge=1)], ...], [MinLen(2), MaxLen(2)])
    '2 whole numbers >= 1'
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        inner = parts[1].metadata if isinstance(parts[1], FieldInfo) else ()
        return _allowed(parts[0], inner, several)
    if origin is tuple:
        each = _allowed(parts[0], several=True)
        return f"{_count(limits)} {each}".strip() if each else ""
    if origin is Literal:
        return ", ".join(map(str, parts))
    if origin in (Union, UnionType):
        return ", or ".join(filter(None, (_allowed(part, limits) for part in parts)))
    if kind is bool:
        return "true, false"
    what = (_NOUNS if several else _NOUN).get(kind)
    return "" if what is None else f"{what} {_range(limits)}".strip()


_NOUN = {int: "a whole number", float: "a number"}
_NOUNS = {int: "whole numbers", float: "numbers"}


def _count(limits: Iterable[Any]) -> str:
    """How many values there must be, if that is fixed."""
    ends = [getattr(limit, end) for limit in limits for end in _LENGTHS if hasattr(limit, end)]
    return str(ends[0]) if len(ends) == 2 and ends[0] == ends[1] else ""


def _range(limits: Iterable[Any]) -> str:
    """Bounds of a number in words.

    >>> from annotated_types import Ge, Gt, Lt
    >>> _range([Gt(0)]), _range([Ge(0), Lt(1)])
    ('above 0', 'in [0, 1)')
    """
    ends = {
        end: getattr(limit, end)
        for limit in limits
        for end in ("ge", "gt", "le", "lt")
        if hasattr(limit, end)
    }
    low = "[" if "ge" in ends else "("
    high = "]" if "le" in ends else ")"
    if len(ends) == 2:
        least, most = (next(ends[e] for e in pair if e in ends) for pair in _ENDS)
        return f"in {low}{least:.15g}, {most:.15g}{high}"
    words = {"ge": ">=", "gt": "above", "le": "<=", "lt": "below"}
    return " ".join(f"{words[end]} {value:.15g}" for end, value in ends.items())


_ENDS = (("ge", "gt"), ("le", "lt"))
_LENGTHS = ("min_length", "max_length")
