"""Training: one door, `fit`; how is a matter of recipes."""

from sourcewise.training.data import TrainingData
from sourcewise.training.fit import fit
from sourcewise.training.recipes.base import Effort

__all__ = ["Effort", "TrainingData", "fit"]
