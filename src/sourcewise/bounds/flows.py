"""The two kinds of bounds that are about flows: the scheme of `theory.jko`, and rectified flow.

Declaring the classes is light; `bounds.jko` and `bounds.reflow` compute.
"""

from dataclasses import dataclass, replace
from typing import Annotated

from sourcewise.bounds.base import Asked, BoundClass, Kind, Sized
from sourcewise.bounds.options import COUNT, POSITIVE, Option, Range
from sourcewise.errors import InputError

__all__ = ["JKO", "REFLOW", "Jko", "JkoCase", "Reflow", "ReflowCase"]

JKO = Kind(
    asked=Asked,
    target=Option(
        "ERROR", "also how many steps it takes, to this W2, KL or TV", POSITIVE, "target"
    ),
    axes=("N",),
    document="jko:document",
    curves="jko:curves",
    table="flows_table:table",
)
REFLOW = Kind(
    asked=Asked,
    target=Option("W2", "also how many steps this W2 needs", POSITIVE, "target"),
    axes=("T",),
    document="reflow:document",
    curves="reflow:curves",
    table="flows_table:table",
)
SIZE = Range(0)
W2 = Option("W2", "W2 distance of the data to the target of the scheme", POSITIVE)


@dataclass(frozen=True)
class Jko(BoundClass[Asked]):
    """The scheme of Jordan, Kinderlehrer and Otto: steps of a flow, and draws by its inverse."""

    kind = JKO

    W2: Annotated[float, W2]
    eps: Annotated[float, Option("EPS", "residual of each step, in L2; 0 if exact", SIZE)]
    gamma: Annotated[float, Option("GAMMA", "size of the steps; the default is 1", POSITIVE)] = 1.0
    lam: Annotated[
        float, Option("LAMBDA", "convexity; the default is 1, of the target N(0, I)", POSITIVE)
    ] = 1.0
    steps: Annotated[
        int | None, Option("N", "number of steps; the default is one more than by the rule", COUNT)
    ] = None
    smoothing: Annotated[
        float | None, Option("DELTA", "time of the flow that gives data a density", SIZE)
    ] = None
    second_moment: Annotated[
        float | None, Option("M2", "mean of |x|^2, for what smoothing costs", SIZE)
    ] = None
    dim: Annotated[int | None, Option("d", "dimension, for what smoothing costs", COUNT)] = None
    inverse_error: Annotated[
        float | None, Option("EPS", "error of each inverse map, in L2", SIZE)
    ] = None
    growth: Annotated[
        float | None, Option("K", "inverse maps are Lipschitz by e^(gamma K)", SIZE)
    ] = None

    def case(self, common: Asked) -> "JkoCase":
        """The sizes with the number of steps, if they go together."""
        _all_or_none(self, "smoothing", "second_moment", "dim")
        _all_or_none(self, "inverse_error", "growth")
        rule = self.rule()
        if self.steps is not None:
            return JkoCase(common, self)
        if rule is None:
            raise InputError(f"bound {common.family} needs --steps here: {self.no_rule()}")
        return JkoCase(common, replace(self, steps=rule + 1))

    def rule(self) -> int | None:
        """The steps of `theory.jko.steps_by_rule`; None where it gives none."""
        if self.eps == 0 or self.gamma * self.lam > 2:
            return None
        from sourcewise.theory.jko import steps_by_rule

        return steps_by_rule(self.W2, self.gamma, self.lam, self.eps)

    def no_rule(self) -> str:
        """Why the rule gives no number of steps."""
        if self.eps == 0:
            return "the rule for it is for --eps above 0"
        if self.gamma * self.lam > 2:
            return f"the rule for it is for gamma lambda up to 2, got {self.gamma * self.lam:g}"
        return "the rule for it gives more than 1e+15"


@dataclass(frozen=True)
class JkoCase(Sized[Jko]):
    """A scheme's sizes; their steps are set."""

    @property
    def title(self) -> str:
        """One line that says which case a plot shows."""
        own = self.own
        return f"{self.common.family}: W2 {own.W2:g} to the target, {own.steps} steps"

    @property
    def words(self) -> str:
        """What the values are."""
        own = self.own
        return f"gamma {own.gamma:g}, lambda {own.lam:g}, residual of each step {own.eps:g}"


@dataclass(frozen=True)
class Reflow(BoundClass[Asked]):
    """Euler's steps of a rectified flow."""

    kind = REFLOW

    lipschitz: Annotated[float, Option("L", "Lipschitz constant of the field in x", SIZE)]
    gamma2: Annotated[
        float,
        Option(
            "GAMMA2", "gamma_(2,T), how bent paths are; with --target, the largest over T", SIZE
        ),
    ]
    steps: Annotated[int, Option("T", "Euler's steps; the default is 1", COUNT)] = 1
    eps: Annotated[float, Option("EPS", "error of the field, in L2; the default is 0", SIZE)] = 0.0

    def case(self, common: Asked) -> "ReflowCase":
        """The sizes."""
        return ReflowCase(common, self)


@dataclass(frozen=True)
class ReflowCase(Sized[Reflow]):
    """A rectified flow's sizes."""

    @property
    def title(self) -> str:
        """One line that says which case a plot shows."""
        own = self.own
        return f"{self.common.family}: Euler's scheme, {own.steps} step{'s' * (own.steps > 1)}"

    @property
    def words(self) -> str:
        """What the values are."""
        own = self.own
        bent = f"Lipschitz by {own.lipschitz:g}, gamma_2 {own.gamma2:g}"
        return f"{bent}, error of the field {own.eps:g}"


def _all_or_none(own: Jko, *names: str) -> None:
    absent = [name for name in names if getattr(own, name) is None]
    if 0 < len(absent) < len(names):
        given, wanted = next(n for n in names if n not in absent), absent[0].replace("_", "-")
        raise InputError(f"--{given.replace('_', '-')} needs --{wanted} too")
