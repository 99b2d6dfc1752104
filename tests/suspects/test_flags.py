"""What flags hold: expected against true precision, and intervals, on simulated labels."""

import numpy as np
import pytest
import torch

from sourcewise.randomness import Noise
from sourcewise.suspects.flags import Share, judge
from sourcewise.suspects.posterior import Labels

from .conftest import Normals, redrawn


def judged(world: Normals, n: int, rate: float, noise: Noise, scale: float = 1.0):
    """Labels judged by exact densities, exaggerated by a factor; and which are wrong."""
    x, y = world.draw(n, noise)
    seen = redrawn(y, world.share, rate, noise)
    scores = scale * world.log_density(x)[None]
    return judge(scores, Labels(seen, world.share), folds=5), (seen != y).numpy()


@pytest.mark.parametrize(("rate", "scale"), [(0.1, 1.0), (0.2, 3.0), (0.05, 0.5)])
def test_the_expected_precision_is_the_true_one(normals, rate, scale):
    """Of 100 samples of 600 rows: intervals hold the true share of 95 in 100, means agree."""
    inside, gaps, missed = [], [], []
    for b in range(100):
        found, wrong = judged(normals, 600, rate, Noise(b).of("precision"), scale)
        flagged = [i for i in found.ranked().tolist() if found.wrong[i] >= 0.5]
        if not flagged:
            continue
        told, true = found.precision(flagged), float(wrong[flagged].mean())
        gaps.append(told.value - true)
        inside.append(told.low <= true <= told.high)
        recall = found.recall(flagged)
        missed.append(recall.value - float(wrong[flagged].sum() / wrong.sum()))
    assert len(gaps) > 95
    assert 0.90 <= np.mean(inside) <= 1
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / np.sqrt(len(gaps)) + 0.01
    assert abs(np.mean(missed)) < 0.03


def test_labels_that_are_right_are_hardly_flagged(normals):
    found, _ = judged(normals, 3000, 0.0, Noise(4))
    assert float((found.wrong >= 0.5).double().mean()) < 0.002
    assert float(found.calibration.rate) < 0.005


def test_the_most_suspect_come_first_and_equal_ones_in_their_order(normals):
    found, wrong = judged(normals, 500, 0.1, Noise(6))
    order = found.ranked()
    assert bool((found.score[order].diff() <= 0).all())
    assert wrong[order[:20].numpy()].mean() > 0.9
    assert wrong[order[-200:].numpy()].mean() < 0.02
    flat = judge(torch.zeros(1, 6, 2, dtype=torch.float64), found_labels(), folds=5)
    assert flat.ranked().tolist() == sorted(range(6), key=lambda i: -float(flat.score[i]))


def found_labels() -> Labels:
    return Labels(torch.tensor([0, 1] * 3), torch.tensor([0.5, 0.5], dtype=torch.float64))


def test_another_label_is_suggested(normals):
    found, _ = judged(normals, 400, 0.1, Noise(11))
    assert bool((found.suggested != found.labels.y).all())
    best = found.right.argmax(1)
    other = best != found.labels.y
    assert torch.equal(found.suggested[other], best[other])


def test_scores_of_one_division_have_no_interval(normals):
    found, _ = judged(normals, 100, 0.1, Noise(1))
    assert found.error is None
    assert found.reach is None


@pytest.mark.parametrize("chance", [0.0, 0.2])
def test_the_spread_between_divisions_is_that_between_samples(chance):
    """Two unit normals about m and 2, of which m is the mean of n rows of the other folds.

    Log densities move with m by x - m, log odds by b times that, and m has the variance 1 / n over
    samples: divisions must come to it, though they share their rows. What chance does in training
    they take `folds - 1` times, of which R of them average to less: intervals are too wide.
    """
    n, R, folds, ratios = 400, 6, 5, []
    for b in range(40):
        noise = Noise(b).of("spread")
        y = (noise.of("y").uniform(n) < 0.5).long()
        rows, x = noise.of("rows").normal(n), noise.of("x").normal(n) + 2 * y
        scores = torch.empty(R, n, 2, dtype=torch.float64)
        for r in range(R):
            fold = noise.of("fold", r).permutation(n) % folds
            m = torch.stack([rows[fold != f].mean() for f in range(folds)])[fold]
            trained = -((x - m) ** 2) / 2 + chance * noise.of("training", r).normal(n)
            scores[r] = torch.stack([trained, -((x - 2) ** 2) / 2], 1)
        found = judge(scores, Labels(y, torch.tensor([0.5, 0.5], dtype=torch.float64)), folds)
        b_square = found.calibration.scale**2
        of_rows = b_square * (x - rows.mean()).square().mean() / n
        of_chance = b_square * chance**2
        assert found.error is not None
        told = found.error.square().mean()
        ratios.append(float(told / (of_rows + (folds - 1) * of_chance)))
        assert not chance or told > 2 * (of_rows + of_chance / R)
    assert np.mean(ratios) == pytest.approx(1.0, abs=4 * np.std(ratios) / 40**0.5)
    assert np.std(ratios) / 40**0.5 < 0.05


def test_a_share_stays_between_0_and_1():
    assert (Share.of(0.99, 0.1).high, Share.of(0.01, 0.1).low) == (1.0, 0.0)


SQUARE = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]]


@pytest.mark.parametrize("J", [2, 4])
def test_labels_of_which_two_in_five_are_wrong(J):
    """Of 20 samples of 4000 rows, sources 4 standard deviations apart, of equal shares."""
    world, rate = Normals(SQUARE[:J], [1 / J] * J), 0.4 / (1 - 1 / J)
    inside, found_wrong = [], []
    for b in range(20):
        found, wrong = judged(world, 4000, rate, Noise(b).of("many"))
        flagged = [i for i in found.ranked().tolist() if found.wrong[i] >= 0.5]
        told, true = found.precision(flagged), float(wrong[flagged].mean())
        inside.append(told.low <= true <= told.high)
        found_wrong.append(float(found.wrong.sum()) / wrong.sum())
        assert float(wrong[flagged].sum() / wrong.sum()) > 0.9
    assert np.mean(inside) >= 0.9
    assert np.mean(found_wrong) == pytest.approx(1.0, abs=0.02)
    assert np.abs(np.subtract(found_wrong, 1)).max() < 0.15
