"""What rows are as points, for metrics that measure distances between rows."""

from typing import Any, Protocol

from torch import Tensor

from sourcewise.forms import X

__all__ = ["Features"]


class Features(Protocol):
    """Rows in original units -> points; fitted once per split, shared by all strategies."""

    def __call__(self, x: X) -> Tensor:
        """(n, D) float64."""
        ...

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values, with its "kind"."""
        ...
