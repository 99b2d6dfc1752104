"""Looks at validation rows: when, and the best weights that they have shown."""

import math
from collections.abc import Sequence

from torch import Tensor

from sourcewise.families.settings import TrainedSettings

__all__ = ["Best", "look_gap"]

LOOKS = 5  # without improvement, at least, before a model stops early


def look_gap(step: int, check: int) -> int:
    """Updates between looks: `check`, doubled whenever it is 1/64 of the updates so far.

    >>> [look_gap(step, 10) for step in (10, 630, 640, 1279, 1280)]
    [10, 10, 20, 20, 40]
    """
    return check << max(0, (step // (32 * check)).bit_length() - 1)


class Best:
    """The weights of each of S models with the lowest validation loss so far.

    Args:
        flat: (S, P) the parameters.

    Attributes:
        weights: (S, P) the best.
        losses: theirs; infinite before the first look, and without validation rows.
        steps: the updates that they are of.
        refused: looks with a lower loss that could not be relied on.
    """

    def __init__(self, flat: Tensor):
        self.weights = flat.clone()
        self.losses = [math.inf] * len(flat)
        self.steps, self.refused = [0] * len(flat), [0] * len(flat)

    def note(self, s: int, loss: float, step: int, weights: Tensor) -> None:
        """The lowest loss so far, of weights (P,)."""
        self.losses[s], self.steps[s] = loss, step
        self.weights[s] = weights

    def found(self, s: int) -> bool:
        """Whether any look has been kept."""
        return math.isfinite(self.losses[s])

    def stale(self, s: int, step: int, settings: TrainedSettings) -> bool:
        """Whether model s has waited long enough for its validation loss to improve."""
        wait = max(settings.patience * step, LOOKS * settings.check)
        return settings.patience > 0 and self.found(s) and step - self.steps[s] >= wait

    def keep(self, rows: Sequence[int], at: Tensor) -> None:
        """Go on with some of the models only; `at` are the same as a tensor on the device."""
        self.weights = self.weights[at]
        self.losses = [self.losses[s] for s in rows]
        self.steps = [self.steps[s] for s in rows]
        self.refused = [self.refused[s] for s in rows]
