"""The kind of bounds that is about several sources: pooled, separate, or in groups.

A case is a class of models at given sizes, and all that is known of it. See `bounds.calculator`
for what is made of a case.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from sourcewise.bounds.base import Asked, BoundClass, Kind
from sourcewise.bounds.options import (
    COUNT,
    FRACTION,
    Groups,
    Option,
    count,
    group_sizes,
    groups_in_words,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sourcewise.theory.bracketing import Bracketing
    from sourcewise.theory.general import Bound

    Form = Callable[[ArrayLike, ArrayLike, ArrayLike], Bound]

__all__ = ["SOURCES", "Case", "Common", "SourcesClass"]


@dataclass(frozen=True)
class Common(Asked):
    """What is asked of every class; groups are sizes of consecutive groups of sources."""

    sources: Annotated[int, Option("K", "number of sources", COUNT)]
    samples: Annotated[int, Option("n", "number of examples, of all sources together", COUNT)]
    delta: Annotated[
        float, Option("P", "probability that a bound fails; the default is .05", FRACTION)
    ] = 0.05
    groups: Annotated[
        list[int] | None,
        Option("J", "also with the sources in J groups, or in groups of sizes 3,2", Groups()),
    ] = None

    @classmethod
    def of(cls, family: str, **values: Any) -> "Common":
        """A number of groups becomes their sizes."""
        if "groups" in values:
            values["groups"] = group_sizes(values["groups"], values["sources"])
        return cls(family, **values)


SOURCES = Kind(
    asked=Common,
    target=Option("TV", "also how many examples this average TV needs", FRACTION, "target"),
    axes=("n", "K"),
    document="calculator:document",
    curves="calculator:curves",
    table="table:table",
)


@dataclass(frozen=True)
class SourcesClass(BoundClass[Common]):
    """The own options of a class of this kind."""

    kind = SOURCES

    @abstractmethod
    def case(self, common: Common) -> "Case":
        """What is known at these sizes; an `InputError` for options that do not go together."""


@dataclass(frozen=True)
class Case:
    """A class at given sizes. J blocks: 1 is pooled, K separate, the number of groups these."""

    common: Common  # what is asked of every class
    own: SourcesClass  # the class's own options
    words: str  # the sizes of one model, in words
    shared: float  # P_shared
    specific: float  # P_src
    # m parameters, J blocks -> the bracketing of `paper` and `simple`
    loose: "Callable[[ArrayLike, ArrayLike], Bracketing]"
    sharp: "Callable[[ArrayLike, ArrayLike], Bracketing]"  # the bracketing of `refined`
    # {"localized", "localized_drawn": (K, n, J) -> that bound}, where known
    forms: "Mapping[str, Form]" = field(default_factory=dict)
    # {"law", "exact": (K, n, J) -> average TV to expect}, where known
    expected: Mapping[str, Callable[[int, int, int], float]] = field(default_factory=dict)
    # {form: what to know of its values, or why they do not exist}
    notes: Mapping[str, str] = field(default_factory=dict)
    # sources have shares of their own, so that there is no other number of them
    unequal: bool = False

    @property
    def K(self) -> int:
        """Sources."""
        return self.common.sources

    @property
    def n(self) -> int:
        """Examples in all."""
        return self.common.samples

    @property
    def delta(self) -> float:
        """Error probability."""
        return self.common.delta

    @property
    def strategies(self) -> dict[str, int]:
        """Names of the partitions, and how many blocks each has."""
        groups = self.common.groups
        between = {} if groups is None else {"grouped": len(groups)}
        return {"pooled": 1, **between, "separate": self.K}

    @property
    def title(self) -> str:
        """One line that says which case a plot shows.

        >>> from sourcewise.bounds.registry import build
        >>> sizes = {"sources": 5, "samples": 500, "shared": 5, "specific": 5}
        >>> build("general", sizes).title
        'general: 5 sources, 500 examples, delta = 0.05'
        """
        sizes = f"{self.common.family}: {count(self.K)} sources, {count(self.n)} examples"
        groups = self.common.groups
        between = "" if groups is None else f", {groups_in_words(groups)}"
        return f"{sizes}{between}, delta = {self.delta:g}"

    def settings(self) -> Mapping[str, object]:
        """All options with their values, as JSON has them; without those that are not set."""
        first = {"family": self.common.family, "delta": self.delta}
        both = first | asdict(self.common) | asdict(self.own)
        return {name: value for name, value in both.items() if value is not None}
