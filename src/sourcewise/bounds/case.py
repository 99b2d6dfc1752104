"""A case: a class of models at given sizes, and all that is known of it.

A class of bounds is a dataclass of its own options, with a method `case`. See `bounds.calculator`
for what is made of a case.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from sourcewise.bounds.options import COUNT, FRACTION, Groups, Option

if TYPE_CHECKING:
    from dataclasses import Field

    from numpy.typing import ArrayLike

    from sourcewise.theory.bracketing import Bracketing
    from sourcewise.theory.general import Bound

    Bracket = Callable[[ArrayLike, ArrayLike], Bracketing]
    Form = Callable[[ArrayLike, ArrayLike, ArrayLike], Bound]

__all__ = ["BoundClass", "Case", "Common"]


@dataclass(frozen=True)
class Common:
    """What is asked of every class.

    Args:
        family: name of the class.
        sources: K.
        samples: n, examples in all.
        delta: error probability.
        groups: sizes of consecutive groups of sources; none if None.
    """

    family: str
    sources: Annotated[int, Option("K", "Number of sources.", COUNT)]
    samples: Annotated[int, Option("n", "Number of examples, of all sources together.", COUNT)]
    delta: Annotated[
        float, Option("P", "Probability that a bound fails; the default is .05.", FRACTION)
    ] = 0.05
    groups: Annotated[
        list[int] | None,
        Option("J", "Also with the sources in J groups, or in groups of sizes 3,2.", Groups()),
    ] = None


class BoundClass(Protocol):
    """The own options of a class, as a frozen dataclass."""

    __dataclass_fields__: "ClassVar[dict[str, Field[Any]]]"

    def case(self, common: Common) -> "Case":
        """What is known at these sizes.

        Raises:
            InputError: options that do not go together.
        """
        ...


@dataclass(frozen=True)
class Case:
    """A class at given sizes.

    Args:
        common: what is asked of every class.
        own: the class's own options.
        words: the sizes of one model, in words.
        shared: P_shared.
        specific: P_src.
        loose: m parameters, J blocks -> the bracketing of `paper` and `simple`.
        sharp: the bracketing of `refined`.
        localized: (K, n, J) -> that bound, where it is known.
        localized_drawn: the same for labels that are drawn.
        law: (K, n, J) -> the sharp law, where it is known.
        exact: (K, n, J) -> the exact expectation, where it is known.
        notes: {form: what to know of its values, or why they do not exist}.
        unequal: sources have shares of their own, so that there is no other number of them.

    J blocks stand for one partition: 1 is pooled, K separate, the number of groups these.
    """

    common: Common
    own: BoundClass
    words: str
    shared: float
    specific: float
    loose: "Bracket"
    sharp: "Bracket"
    localized: "Form | None" = None
    localized_drawn: "Form | None" = None
    law: Callable[[int, int, int], float] | None = None
    exact: Callable[[int, int, int], float] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
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

    def settings(self) -> dict[str, Any]:
        """All options with their values, as JSON has them; without those that are not set."""
        both = asdict(self.common) | asdict(self.own)
        first = {"family": self.common.family, "delta": self.delta}
        return first | {name: value for name, value in both.items() if value is not None}
