"""All metrics of samples by one set of draws."""

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.metrics.energy_distance import energy_distance
from sourcewise.metrics.frechet import frechet_distance
from sourcewise.metrics.kernel_distance import kernel_distance
from sourcewise.metrics.manifold import manifold
from sourcewise.metrics.memorisation import memorisation
from sourcewise.metrics.sample_scores import sample_scores
from sourcewise.randomness import Noise


def points(n, d, seed=0):
    return Noise(seed).of("points", n, d).normal(n, d)


def test_each_is_what_it_is_alone():
    x, y, training = points(40, 3), points(40, 3, 1) + 0.1, points(80, 3, 2)
    found = sample_scores(x, y, Noise(0), training)
    assert found.energy == energy_distance(x, y)
    assert found.kernel == kernel_distance(x, y)
    assert found.frechet == frechet_distance(x, y)
    assert found.manifold == manifold(x, y)
    assert found.memorisation == memorisation(y, training, x)
    assert found.floor is not None
    assert found.floor.n == 20


def test_larger_samples_are_cut_for_what_is_biased_alone():
    x, y = points(40, 3), points(90, 3, 1)
    found = sample_scores(x, y, Noise(0))
    assert found.kernel == kernel_distance(x, y)
    assert found.frechet > frechet_distance(x, y)  # more draws, less bias
    assert found.memorisation is None


def test_few_rows_give_what_they_can():
    found = sample_scores(points(3, 2), points(9, 2, 1), Noise(0))
    assert found.floor is None
    assert found.manifold is None
    assert torch.isfinite(torch.tensor([found.energy, found.kernel, found.frechet])).all()
    with pytest.raises(InputError, match="2 rows and 2 draws"):
        sample_scores(points(1, 2), points(9, 2), Noise(0))
