"""Training: one door, `fit`."""

from sourcewise.training.fit import Effort, fit

__all__ = ["Effort", "fit"]
