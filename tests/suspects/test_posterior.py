"""How likely labels are right: against Bayes' rule, enumeration, and simulated noise."""

from itertools import product

import numpy as np
import pytest
import torch

from sourcewise.randomness import Noise
from sourcewise.suspects.posterior import Calibration, Labels, calibrated, penalised

from .conftest import redrawn


def exact(J: int, rate: float, weight: float = 10.0) -> Calibration:
    """Of models that are right."""
    scale, rate_, weight_ = (torch.tensor(v, dtype=torch.float64) for v in (1.0, rate, weight))
    return Calibration(torch.zeros(J, dtype=torch.float64), scale, rate_, weight_)


def test_exact_densities_give_bayes_rule(normals):
    x, y = normals.draw(200, Noise(0))
    scores = normals.log_density(x)
    joint = normals.share * scores.exp()
    bayes = joint / joint.sum(1, keepdim=True)
    found = exact(3, 0.0).right(scores, Labels(y, normals.share))
    assert torch.allclose(found, bayes, atol=1e-14, rtol=0)
    # what all labels of a row have in common says nothing
    shifted = scores + Noise(1).normal(200, 1) * 1e3
    assert torch.allclose(exact(3, 0.0).right(shifted, Labels(y, normals.share)), bayes, atol=1e-9)


def test_a_wrong_label_is_as_likely_as_enumeration_says():
    """Four values of x, three sources: all ways in which a row can come about."""
    noise, J, rate = Noise(3), 3, 0.15
    share = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    p = noise.uniform(J, 4)
    p /= p.sum(1, keepdim=True)  # p(x | y)
    both, wrong = torch.zeros(2, 4, J, dtype=torch.float64)  # by x and the label that is seen
    for x, truth, seen in product(range(4), range(J), range(J)):
        chance = share[truth] * p[truth, x]
        chance = chance * ((1 - rate) * (truth == seen) + rate * share[seen])
        both[x, seen] += chance
        wrong[x, seen] += chance * (truth != seen)
    x, y = torch.cartesian_prod(torch.arange(4), torch.arange(J)).T
    labels, fit = Labels(y, share), exact(J, rate)
    right = fit.right(p.log()[:, x].T, labels)
    assert torch.allclose(fit.odds(right, labels).sigmoid(), (wrong / both)[x, y], atol=1e-14)
    assert torch.allclose(
        labels.at(fit.seen(right, labels)), (both / both.sum(1, keepdim=True))[x, y]
    )


def test_of_suspect_labels_the_score_is_the_marginal_against_the_conditional(normals):
    """And all that is added to it is known: the prior odds, and that a label may be right."""
    x, y = normals.draw(500, Noise(5))
    seen = redrawn(y, normals.share, 0.2, Noise(5))
    labels, fit, scores = Labels(seen, normals.share), exact(3, 0.2), normals.log_density(x)
    found, pi = fit.odds(fit.right(scores, labels), labels), normals.share[seen]
    marginal = (scores + normals.share.log()).logsumexp(1)
    gap = marginal - labels.at(scores)  # log p(x) - log p(x | y)
    prior = (0.2 / (1 - 0.2 + 0.2 * pi)).log()
    right = pi * (-gap).exp()
    assert torch.allclose(found, gap + torch.log1p(-right) + prior, atol=1e-6)
    suspect = gap > 5
    assert int(suspect.sum()) > 20
    assert float((found - gap - prior)[suspect].abs().max()) < 0.01


def test_copies_draw_a_posterior_as_polya_urns_do():
    """Of labels from a Dirichlet about p, the next one is (alpha p + n_j) / (alpha + n)."""
    p, votes = [0.7, 0.2, 0.1], torch.tensor([[0.0, 3.0, 1.0], [0.0, 0.0, 0.0]])
    share, y = torch.full((3,), 1 / 3, dtype=torch.float64), torch.tensor([0, 0])
    labels = Labels(y, share, votes.double())
    scores = torch.tensor([p, p], dtype=torch.float64).log()
    found = exact(3, 0.0, weight=2.0).right(scores, labels)
    want = [[1.4 / 6, 3.4 / 6, 1.2 / 6], p]
    assert torch.allclose(found, torch.tensor(want, dtype=torch.float64), atol=1e-14)
    few = exact(3, 0.0, weight=1e-9).right(scores, labels)[0]
    assert torch.allclose(few, torch.tensor([0.0, 0.75, 0.25], dtype=torch.float64), atol=1e-8)


@pytest.mark.parametrize(("scale", "rate"), [(1.0, 0.0), (0.5, 0.1), (2.0, 0.3)])
def test_calibration_finds_what_models_exaggerate_and_how_many_labels_are_wrong(
    normals, scale, rate
):
    """Scores are `log p / b` with source 1 scored too low; labels are drawn anew at a rate."""
    n = 20_000
    x, y = normals.draw(n, Noise(7))
    seen = redrawn(y, normals.share, rate, Noise(8))
    lower = torch.tensor([0.0, 1.5, 0.0], dtype=torch.float64)
    scores = (normals.log_density(x) - lower) / scale
    fit = Calibration.of(calibrated(scores, Labels(seen, normals.share)))
    assert float(fit.scale) == pytest.approx(scale, rel=0.05)
    assert float(fit.rate) == pytest.approx(rate, abs=0.015)
    gap = fit.offsets[1] - fit.offsets[0]
    assert float(gap) == pytest.approx(1.5, abs=0.15)


def test_the_calibration_is_where_its_likelihood_is_flat(normals):
    x, y = normals.draw(2000, Noise(9))
    seen = redrawn(y, normals.share, 0.1, Noise(9))
    scores, labels = normals.log_density(x) / 2, Labels(seen, normals.share)
    free = calibrated(scores, labels).requires_grad_()
    value = penalised(free, scores, labels)
    (slope,) = torch.autograd.grad(value, free)
    assert float(slope.abs().max()) < 1e-2
    for step in np.eye(len(free)) * 0.05:
        for sign in (-1, 1):
            assert penalised(free.detach() + sign * torch.from_numpy(step), scores, labels) > value


def test_rows_that_no_source_explains_do_not_break_it(normals):
    """A density of 0, or one far out, under the own label."""
    x, y = normals.draw(300, Noise(2))
    scores = normals.log_density(x)
    scores[0, int(y[0])] = -torch.inf
    scores[1] -= 1e9
    fit = Calibration.of(calibrated(scores, Labels(y, normals.share)))
    right = fit.right(scores, Labels(y, normals.share))
    wrong = fit.odds(right, Labels(y, normals.share)).sigmoid()
    assert bool(right.isfinite().all())
    assert bool(wrong.isfinite().all())
    assert float(wrong[0]) == pytest.approx(1.0)
