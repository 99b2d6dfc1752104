"""Accuracy scores against closed forms of four normal labels.

Their means are the corners (+-A, +-A) of a square in two of eight coordinates, covariance I: the
best accuracy is Phi(A)^2, and so is what a linear discriminant comes to with many rows.
"""

from dataclasses import dataclass

import pytest
import torch
from scipy.stats import norm

from sourcewise.errors import InputError
from sourcewise.forms import Images
from sourcewise.metrics.accuracy_score import accuracy_score
from sourcewise.metrics.classifiers import (
    Labelled,
    image_network,
    linear_discriminant,
    logistic,
)
from sourcewise.metrics.frechet import frechet_distance
from sourcewise.metrics.image_classifier import ImageRecipe
from sourcewise.randomness import Noise

A, D, K, N = 1.92, 8, 4, 2000
BEST = float(norm.cdf(A)) ** 2  # .946
CLOSE = 4 * (BEST * (1 - BEST) / (K * N)) ** 0.5  # 4 binomial standard errors
MEANS = torch.zeros(K, D).double()
MEANS[:, :2] = A * torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])


def rows(seed: int, scale: float = 1.0, shift: float = 0.0) -> Labelled:
    y = torch.arange(K * N) % K
    return Labelled(MEANS[y] + shift + scale * Noise(seed).of("x").normal(K * N, D), y)


def relabelled(share: float) -> Labelled:
    """Labels of a share of the rows are drawn anew."""
    drawn = rows(1)
    other, chosen = Noise(7).of("y").integers(K, K * N), Noise(8).uniform(K * N) < share
    return Labelled(drawn.x, torch.where(chosen, other, drawn.y))


def swapped() -> Labelled:
    """The labels of opposite corners 0 and 3 are exchanged."""
    drawn = rows(1)
    return Labelled(drawn.x, torch.tensor([3, 1, 2, 0])[drawn.y])


def frechet(drawn: Labelled, real: Labelled) -> float:
    """The mean over labels."""
    assert isinstance(drawn.x, torch.Tensor)
    assert isinstance(real.x, torch.Tensor)
    each = [frechet_distance(drawn.x[drawn.y == k], real.x[real.y == k]) for k in range(K)]
    return sum(each) / K


def score_of(drawn: Labelled, classifier=linear_discriminant):
    return accuracy_score(drawn, rows(2), rows(3), classifier, Noise(0), seeds=1)


@dataclass(frozen=True)
class Case:
    drawn: Labelled
    score: float  # in the limit of many rows
    frechet: float  # likewise, mean over labels


HIGH, LOW = float(norm.cdf(A + 1)), float(norm.cdf(A - 1))
CASES = {
    "exact": Case(rows(1), BEST, 0.0),
    "variance x 0.1": Case(rows(1, scale=0.1**0.5), BEST, D * (1 - 0.1**0.5) ** 2),
    "swapped": Case(
        swapped(), (2 * BEST + 2 * (1 - float(norm.cdf(A))) ** 2) / 4, 2 * 8 * A**2 / 4
    ),
    "shift": Case(rows(1, shift=1.0), ((HIGH + LOW) / 2) ** 2, float(D)),
}


@pytest.mark.parametrize("name", CASES)
def test_score_and_frechet_distance_are_those_of_the_closed_forms(name):
    case = CASES[name]
    found = score_of(case.drawn)
    assert float(found.score.overall) == pytest.approx(case.score, abs=2 * CLOSE)
    assert float(found.real.overall) == pytest.approx(BEST, abs=CLOSE)
    assert frechet(case.drawn, rows(2)) == pytest.approx(
        case.frechet, abs=0.1 + 0.05 * case.frechet
    )


@pytest.mark.parametrize("classifier", [linear_discriminant, logistic])
def test_exact_draws_are_worth_as_much_as_real_rows(classifier):
    found = score_of(rows(1), classifier)
    assert float(found.score.overall) == pytest.approx(float(found.real.overall), abs=CLOSE)
    assert abs(found.relative_drop) < CLOSE


def test_swapped_labels_fail_and_no_others():
    found = score_of(swapped())
    per_label = found.score.per_label[0]
    assert (per_label[[0, 3]] < 0.01).all()
    assert torch.allclose(per_label[[1, 2]], found.real.per_label[0, [1, 2]], atol=2 * CLOSE)
    assert (found.drop_per_label[[0, 3]] > 0.9).all()


def test_it_disagrees_with_the_frechet_distance():
    """Draws that vary too little, or with wrong labels, cost a linear boundary nothing."""
    for drawn in (CASES["variance x 0.1"].drawn, relabelled(0.3)):
        assert float(score_of(drawn).score.overall) == pytest.approx(BEST, abs=2 * CLOSE)
        assert frechet(drawn, rows(2)) > 1


def test_labels_that_are_ignored_give_chance():
    """Each label is as likely as any other to be taken for each: 1/4 in expectation."""
    real, held_out = (sample.take(torch.arange(400)) for sample in (rows(2), rows(3)))
    found = [
        float(
            accuracy_score(
                Labelled(Noise(s).of("x").normal(200, D), Noise(s).of("y").integers(K, 200)),
                real,
                held_out,
                linear_discriminant,
                Noise(0),
                seeds=1,
            ).score.overall
        )
        for s in range(100)
    ]
    mean, error = torch.tensor(found).mean(), torch.tensor(found).std() / 10
    assert abs(float(mean) - 0.25) < 4 * float(error)


def test_augmentation_joins_rows_and_draws():
    """Few real rows, many draws from the truth: the score is that of many rows."""
    real, held_out = rows(2), rows(3)
    few = real.take(torch.arange(40))
    found = accuracy_score(
        few.joined(rows(1)), few, held_out, linear_discriminant, Noise(0), seeds=1
    )
    assert float(found.score.overall) == pytest.approx(BEST, abs=2 * CLOSE)
    assert found.relative_drop < 0
    both = accuracy_score(few.joined(rows(1)), few, held_out, linear_discriminant, Noise(0), 1)
    assert torch.equal(both.score.overall, found.score.overall)


def test_one_label_alone_and_empty_samples():
    drawn = rows(1)
    one = drawn.take(drawn.y == 2)
    assert score_of(one).score.per_label.tolist() == [[0.0, 0.0, 1.0, 0.0]]
    with pytest.raises(InputError, match="no draws: an accuracy"):
        score_of(drawn.take(torch.arange(0)))


def bars(n: int, seed: int) -> Labelled:
    """8 x 8 images of a bright row (0) or column (1) somewhere, under noise."""
    y, at = torch.arange(n) % 2, Noise(seed).of("at").integers(8, n)
    pixels = Noise(seed).of("pixels").integers(160, n, 8, 8)
    for i in range(n):
        line = pixels[i, at[i]] if y[i] == 0 else pixels[i, :, at[i]]
        line += 90
    return Labelled(Images.of(pixels[:, None].to(torch.uint8)), y)


def test_images_are_classified_by_a_network_and_seeds_differ():
    classifier = image_network(ImageRecipe(width=8, hidden=16, updates=300))
    drawn, real, held_out = bars(400, 1), bars(400, 2), bars(300, 3)
    found = accuracy_score(drawn, real, held_out, classifier, Noise(0), seeds=2)
    assert float(found.real.overall.min()) > 0.9
    assert abs(found.relative_drop) < 0.06
    assert found.score.estimate.method == "2 classifier seeds"
    with pytest.raises(InputError, match="of points"):
        accuracy_score(drawn, real, held_out, linear_discriminant, Noise(0), 1)
    with pytest.raises(InputError, match="not joined"):
        drawn.joined(rows(1))
