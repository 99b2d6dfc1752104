"""Bounds whose constants are known, each with what it needs: what documents of flows hold.

As JSON, a document is

    {"settings", "target"?, "results": [{"name", "paper", "distance", "formula", "value", "steps"?,
     "label", "needs", "vacuous"}], "reasons", "notes"}

`distance` is "W2", "KL" or "TV", or "steps" where the value is a number of them. `steps` is the
fewest for the target, null where there are none. `label` says who states it. A value that does not
exist is null, and `reasons` says why; it also names the results that are left out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from sourcewise.bounds.base import Case

__all__ = ["Document", "Guarantee", "Known", "beyond"]


class Known(StrEnum):
    """Who states a bound."""

    DERIVED = "derived here"
    FORM = "derived here, the paper's form"
    PAPER = "stated by the paper"


@dataclass(frozen=True)
class Guarantee:
    """A bound at the sizes of a case.

    Args:
        name: of what.
        distance: "W2", "KL" or "TV"; "steps" for a number of steps.
        formula: of the bound.
        value: inf where it is beyond floats.
        known: who states it.
        needs: its conditions.
        sized: whether it falls with the steps, so that a target has a number of them.
        steps: fewest for the target; None without one, or where there are none.
    """

    name: str
    distance: Literal["W2", "KL", "TV", "steps"]
    formula: str
    value: float
    known: Known
    needs: str
    sized: bool = False
    steps: int | None = None

    @property
    def vacuous(self) -> bool:
        """Whether it says nothing: no total variation is above 1."""
        return self.distance == "TV" and self.value >= 1

    def to_json(self, paper: str, target: float | None) -> Mapping[str, object]:
        """As plain values."""
        value = self.value if math.isfinite(self.value) else None
        shown = ("name", "distance", "formula", "needs", "vacuous")
        found = {name: getattr(self, name) for name in shown} | {"paper": paper}
        found |= {"steps": self.steps} if self.sized and target is not None else {}
        value = self.value if math.isfinite(self.value) else None
        return found | {"value": value, "label": str(self.known)}


@dataclass(frozen=True)
class Document:
    """All bounds of a case."""

    case: Case
    paper: str  # the number at arXiv
    guarantees: tuple[Guarantee, ...]
    target: float | None
    reasons: Mapping[str, str]  # {what: why it is not there, or not met}
    notes: tuple[str, ...]  # what no bound says

    def to_json(self) -> Mapping[str, object]:
        """The document of the file's head."""
        found: dict[str, object] = {"settings": self.case.settings()}
        if self.target is not None:
            found["target"] = self.target
        found["results"] = [one.to_json(self.paper, self.target) for one in self.guarantees]
        return found | {"reasons": dict(self.reasons), "notes": list(self.notes)}


def beyond(guarantees: tuple[Guarantee, ...], target: float | None) -> dict[str, str]:
    """Reasons for values that are not there."""
    found: dict[str, str] = {}
    if any(one.sized and one.steps is None for one in guarantees) and target is not None:
        found["steps"] = f"none up to 1e+15 come to {target:g}, as with errors that stay"
    if any(math.isinf(one.value) for one in guarantees):
        found["value"] = "null stands for a value beyond floats"
    return found
