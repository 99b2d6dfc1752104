"""What every class of bounds offers, whatever it is about.

A class of bounds is a dataclass of its own options, with a method `case`. Classes of one kind
share the options that are asked of all of them, and the files that answer: these are named and not
imported, so that listing classes is light.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sourcewise.bounds.options import Option
from sourcewise.errors import InputError

__all__ = ["Answer", "Asked", "BoundClass", "Case", "Curves", "Kind", "Sized"]


@dataclass(frozen=True)
class Asked:
    """What is asked of every class of a kind; those derive from this, with more options."""

    family: str

    @classmethod
    def of(cls, family: str, **values: Any) -> "Asked":
        """From values that are read one by one; an `InputError` where they do not go together."""
        return cls(family, **values)


class Case(Protocol):
    """A class at given sizes."""

    @property
    def title(self) -> str:
        """One line that says which case a plot shows."""
        ...

    @property
    def words(self) -> str:
        """What else there is to say, in one line."""
        ...

    def settings(self) -> Mapping[str, object]:
        """All options with their values, as JSON has them; without those that are not set."""
        ...


class Answer(Protocol):
    """All numbers of a case."""

    def to_json(self) -> Mapping[str, object]:
        """As plain values."""
        ...


@dataclass(frozen=True)
class Curves:
    """Bounds of a case along one axis, for a plot."""

    over: str  # what the axis is
    places: list[float]  # values of it
    at: int  # the case's own
    lines: Mapping[str, Mapping[str, list[float]]]  # {what has a colour: {form: values}}
    error: str = "average TV"  # what the values are of
    limit: float | None = 1.0  # values of so much say nothing; None if all say something


@dataclass(frozen=True)
class Kind:
    """What classes of a kind share. Functions are "file:function" in this room.

    Args:
        asked: the options of all of them.
        target: the option whose value sizes are for.
        axes: what a plot may be over; the first is the default.
        document: (case, target or None) to an `Answer`.
        curves: (case, axis) to `Curves`.
        table: (answer) to a readable text.
    """

    asked: type[Asked]
    target: Option
    axes: tuple[str, ...]
    document: str
    curves: str
    table: str

    def answer(self, case: Case, target: float | None) -> Answer:
        """All numbers of a case, with sizes for a target if it is given."""
        return _load(self.document)(case, target)

    def along(self, case: Case, over: str | None) -> Curves:
        """The numbers of a case along an axis, which must be one of the kind's."""
        if over is not None and over not in self.axes:
            raise InputError(f"--over must be {' or '.join(self.axes)}, got {over}")
        return _load(self.curves)(case, over or self.axes[0])

    def text(self, answer: Answer) -> str:
        """An answer as a readable table."""
        return _load(self.table)(answer)


def _load(place: str) -> Callable[..., Any]:
    file, _, name = place.partition(":")
    return getattr(import_module(f"sourcewise.bounds.{file}"), name)


A = TypeVar("A", bound=Asked, contravariant=True)


@dataclass(frozen=True)
class BoundClass(ABC, Generic[A]):
    """The own options of a class, which derives from this."""

    kind: ClassVar[Kind]

    @abstractmethod
    def case(self, common: A) -> Case:
        """What is known at these sizes; an `InputError` for options that do not go together."""


Own = TypeVar("Own", bound=BoundClass[Any])


@dataclass(frozen=True)
class Sized(ABC, Generic[Own]):
    """A case that is its options, and no more."""

    common: Asked
    own: Own

    @property
    @abstractmethod
    def title(self) -> str:
        """One line that says which case a plot shows."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What the values are."""

    def settings(self) -> Mapping[str, object]:
        """All options with their values, as JSON has them; without those that are not set."""
        both = asdict(self.common) | asdict(self.own)
        return {name: value for name, value in both.items() if value is not None}
