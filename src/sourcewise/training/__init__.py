"""Training: one door, `fit`."""

from sourcewise.training.data import TrainingData
from sourcewise.training.fit import fit
from sourcewise.training.gradient import Effort

__all__ = ["Effort", "TrainingData", "fit"]
