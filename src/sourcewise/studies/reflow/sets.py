"""What the flows of the study learn: three truths of mean 0 and variance 1, and digits.

| name | what it is |
|---|---|
| `line` | .3 N(-1.4, .4^2) + .7 N(.6, .4^2), whose monotone map from normal noise is known |
| `normals` | eight normals on a circle in the plane, each of a standard deviation of .15 |
| `checkerboard` | every other of 4 x 4 squares (`truths.square`) |
| `digits` | 8 x 8 pixels of ten digits as columns, standardised together, a fifth held out |

Of mixtures of normals the field of the first flow has a closed form (`truths.normal_mixture`).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.forms import Images
from sourcewise.randomness import Noise
from sourcewise.readers.builtin import built_in
from sourcewise.training import TrainingData
from sourcewise.truths.normal_mixture import NormalMixture
from sourcewise.truths.square import checkerboard

__all__ = ["LINE", "SETS", "Drawn", "drawn", "normals"]

SETS = ("line", "normals", "checkerboard", "digits")
LINE = ((0.3, 0.7), (-1.4, 0.6), 0.4)  # weights, means, standard deviation
COUNT, WIDTH = 8, 0.15  # normals of the plane
RADIUS = math.sqrt(2 - 2 * WIDTH**2)
FOLD = 5  # of digits one in so many is held out
VALID = 10  # of training rows one in so many tells when to stop


@dataclass(frozen=True)
class Drawn:
    """Rows that flows learn from, and others that draws are held against."""

    data: TrainingData
    K: int  # labels
    D: int  # columns
    held_out: Batch  # x (m, D) float64
    mixture: NormalMixture | None = None  # the truth, where the first field is known


def normals() -> NormalMixture:
    """The truth of the plane.

    >>> truth = normals()
    >>> second = (truth.weight[0, :, None] * truth.mean[0].square()).sum(0) + truth.scale[0, 0]**2
    >>> [round(v, 9) for v in second.tolist()]
    [1.0, 1.0]
    """
    angle = 2 * math.pi * torch.arange(COUNT, dtype=torch.float64) / COUNT
    mean = RADIUS * torch.stack([angle.cos(), angle.sin()], -1)[None]
    return NormalMixture(torch.full_like(mean[..., 0], 1 / COUNT), mean, 0 * mean[..., 0] + WIDTH)


def _line() -> NormalMixture:
    weight, mean, scale = LINE
    means = torch.tensor(mean, dtype=torch.float64)[None, :, None]
    weights = torch.tensor([weight], dtype=torch.float64)
    return NormalMixture(weights, means, torch.full_like(weights, scale))


def drawn(name: str, rows: int, held_out: int, noise: Noise) -> Drawn:
    """The rows of a set, by its name in `SETS`; how many does not matter of digits."""
    if name == "digits":
        return _digits()
    y = torch.zeros(rows + held_out, dtype=torch.int64)
    mixture = {"line": _line, "normals": normals}.get(name)
    if mixture is None:
        x = math.sqrt(12) * (checkerboard(1, 0.0).sample(y, noise=noise) - 0.5)
        return _parted(x, y, torch.arange(len(y)) >= rows, 1, 2)
    truth = mixture()
    x = truth.sample(y, noise=noise)
    return _parted(x, y, torch.arange(len(y)) >= rows, 1, truth.D, truth)


def _digits() -> Drawn:
    data = built_in("digits")
    assert isinstance(data.x, Images)
    x = data.x.pixels().double().flatten(1)
    held = torch.arange(len(x)) % FOLD == 0
    x = (x - x[~held].mean()) / x[~held].std()
    return _parted(x, data.y, held, data.K, x.shape[1])


def _parted(
    x: Tensor,
    y: Tensor,
    held: Tensor,
    K: int,
    D: int,
    mixture: NormalMixture | None = None,
) -> Drawn:
    training = Batch.of(x[~held].float(), y[~held])
    valid = torch.arange(len(training)) % VALID == 0
    data = TrainingData(training.take(~valid), training.take(valid))
    return Drawn(data, K, D, Batch.of(x[held], y[held]), mixture)
