"""One model's life: train one strategy on all rows, draw samples of it, score new rows under it.

`train` makes a run of its own; `sample` and `evaluate` take any run that holds models, that of a
comparison too. `run` opens both kinds, `trained` is what training gives back.
"""

from sourcewise.lifecycle.evaluate import Evaluation, evaluate
from sourcewise.lifecycle.run import load
from sourcewise.lifecycle.sample import Samples, sample
from sourcewise.lifecycle.train import TrainSettings, train
from sourcewise.lifecycle.trained import Trained

__all__ = [
    "Evaluation",
    "Samples",
    "TrainSettings",
    "Trained",
    "evaluate",
    "load",
    "sample",
    "train",
]
