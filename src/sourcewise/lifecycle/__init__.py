"""One model's life: train one strategy on all rows, draw samples of it, score new rows under it.

`train` makes a run of its own; `sample` and `evaluate` take any run that holds models, that of a
comparison too. `document` is what training gives back, `score` scores, `rows` reads new rows,
`export` writes samples.
"""

from sourcewise.fitting.run import Trained, load
from sourcewise.lifecycle.evaluate import Evaluation, evaluate
from sourcewise.lifecycle.sample import Samples, sample
from sourcewise.lifecycle.train import TrainSettings, train

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
