"""EM against densities, conditional moments and other libraries; no step goes down."""

from itertools import product

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import MultivariateNormal

from sourcewise.families.mixture.climb import Climb, split
from sourcewise.families.mixture.em import Fits, Prior, bounded, expect, log_densities
from sourcewise.families.mixture.pieces import Pieces
from sourcewise.families.mixture.sharing import Form, maximised

F64 = torch.float64
FORMS = [
    Form(means, shape)
    for means, shape in product(("components", "offsets", "means"), ("full", "diagonal", "tied"))
]


def by_hand(fits: Fits, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(n, S) log densities, row by row, of what each row has."""
    out = torch.empty(len(z), fits.S, dtype=F64)
    for i, s in product(range(len(z)), range(fits.S)):
        k, seen = int(y[i]), ~z[i].isnan()
        g = k if fits.G > 1 else 0
        each = [
            fits.log_weight[s, k, j]
            + MultivariateNormal(
                fits.mean[s, k, j, seen], fits.covariance[s, g, j][seen][:, seen]
            ).log_prob(z[i, seen])
            for j in range(fits.J)
        ]
        out[i, s] = torch.stack(each).logsumexp(0)
    return out


@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("G", [1, 3])
def test_densities_are_those_of_normal_distributions(rows, mixtures, gaps, G):
    z, y = rows(40, 3, 3, gaps)
    fits = mixtures(2, 3, 4, 3, G)
    pieces = Pieces.of(z, y, 3)
    wanted = by_hand(fits, z, y)
    torch.testing.assert_close(log_densities(fits, pieces), wanted, rtol=1e-10, atol=1e-10)
    inside = pieces.laid(torch.ones(40, 2, dtype=F64)).mT
    total = expect(fits, pieces, inside).inside.sum(1)
    torch.testing.assert_close(total, wanted.sum(0), rtol=1e-10, atol=1e-10)


def test_densities_equal_those_of_scikit_learn(rows):
    z, y = rows(300, 4, 1)
    theirs = GaussianMixture(3, random_state=0).fit(z.numpy())
    parts = (torch.from_numpy(v) for v in (theirs.weights_, theirs.means_, theirs.covariances_))
    weight, mean, covariance = parts
    fits = Fits(weight.log()[None, None], mean[None, None], covariance[None, None])
    found = log_densities(fits, Pieces.of(z, y, 1))[:, 0]
    wanted = torch.from_numpy(theirs.score_samples(z.numpy()))
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("given", [0, 1])
@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.means}-{form.shape}")
def test_no_step_lowers_the_objective(rows, mixtures, form, gaps, given):
    if given and (form.means == "offsets" or form.shape != "full"):
        pytest.skip("of given columns these are not fitted")
    z, y = rows(150, 3, 3, gaps)
    if given:
        z[:, 2] = z[:, 2].nan_to_num(0.0)  # given columns have no gaps
    pieces, S = Pieces.of(z, y, 3), 4
    g = torch.Generator().manual_seed(2)
    inside = pieces.laid((torch.rand(150, S, generator=g) < 0.8).to(F64)).mT
    target = 0.3 * torch.eye(3, dtype=F64).expand(S, 1, 3, 3)
    rows_of_prior = torch.tensor([0.0, 1.0, 5.0, 50.0], dtype=F64)[:, None]
    if given:
        rows_of_prior = 0 * rows_of_prior  # it speaks of c too, which no objective counts here
    prior = Prior(rows_of_prior, target, torch.full((3,), 1e-3, dtype=F64))
    start = Climb(pieces, inside, form).up(mixtures(S, 3, 1, 3), prior)
    count = start.sums.count.sum(1, keepdim=True)
    fits = split(split(start.fits, count, 2), count.expand(-1, -1, 2), 3, scales=True)
    fits = Climb(pieces, inside, form, given).up(fits, prior, 1).fits
    before = expect(fits, pieces, inside, prior, given)
    for _ in range(25):
        fits = maximised(fits, before, prior, form)
        after = expect(fits, pieces, inside, prior, given)
        assert bool((after.objective > before.objective - 1e-8).all())
        before = after


def test_sources_side_by_side_are_as_each_alone(rows, mixtures):
    z, y = rows(90, 2, 3, 0.2)
    fits = mixtures(2, 3, 2, 2, G=3)
    pieces = Pieces.of(z, y, 3)
    prior = Prior(torch.ones(2, 3, dtype=F64), fits.covariance[:, :, 0], torch.full((2,), 1e-3))
    prior = Prior(prior.rows, prior.target, prior.floor.to(F64))
    climb = Climb(pieces, pieces.laid(torch.ones(90, 2, dtype=F64)).mT, Form("means"))
    together = climb.up(fits, prior, 5)
    for k in range(3):
        own = Pieces.of(z[y == k], 0 * y[y == k], 1)
        one = Climb(own, own.laid(torch.ones(30, 2, dtype=F64)).mT, Form("means"))
        at = slice(k, k + 1)
        alone = one.up(
            fits.source(k), Prior(prior.rows[:, at], prior.target[:, at], prior.floor), 5
        )
        torch.testing.assert_close(alone.fits.mean, together.fits.mean[:, at])
        torch.testing.assert_close(alone.sums.objective, together.sums.objective[:, at])


def test_one_component_of_rows_with_gaps_has_a_vanishing_gradient(rows):
    """EM's fixed point is a maximum of the likelihood of what is observed."""
    z, y = rows(80, 3, 1, 0.3)
    pieces = Pieces.of(z, y, 1)
    none = Prior(
        torch.zeros(1, 1, dtype=F64),
        torch.zeros(1, 1, 3, 3, dtype=F64),
        1e-9 * torch.ones(3, dtype=F64),
    )
    climb = Climb(pieces, pieces.laid(torch.ones(80, 1, dtype=F64)).mT, Form(), tolerance=1e-15)
    zero = torch.zeros(1, 1, 1, 3, dtype=F64)
    start = Fits(zero[..., 0], zero, torch.eye(3, dtype=F64).expand(1, 1, 1, 3, 3))
    fits = climb.up(start, none, 2000).fits
    mean = fits.mean.clone().requires_grad_()
    factor = torch.linalg.cholesky(fits.covariance).requires_grad_()
    log_densities(Fits(fits.log_weight, mean, factor @ factor.mT), pieces).sum().backward()
    assert mean.grad is not None
    assert factor.grad is not None
    assert float(mean.grad.abs().max()) < 1e-4
    assert float(factor.grad.tril().abs().max()) < 1e-4


def test_halves_of_a_component_have_its_mean_and_covariance(mixtures):
    fits = mixtures(2, 3, 1, 4)
    for scales, given in ((False, 0), (True, 0), (False, 2)):
        two = split(fits, torch.ones(2, 1, 1), 2, scales=scales, given=given)
        weight = two.log_weight.exp()
        torch.testing.assert_close(weight.sum(2), fits.log_weight.exp().sum(2))
        mean = two.mean.mean(2, keepdim=True)
        torch.testing.assert_close(mean, fits.mean)
        apart = (two.mean - mean)[:, :1, :, :, None]
        whole = (two.covariance + apart @ apart.mT).mean(2, keepdim=True)
        torch.testing.assert_close(whole, fits.covariance)


def test_variances_are_bounded_below():
    floor = torch.tensor([0.5, 2.0], dtype=F64)
    narrow = torch.tensor([[1e-8, 0.0], [0.0, 3.0]], dtype=F64)
    wide = torch.tensor([[1.0, 0.1], [0.1, 3.0]], dtype=F64)
    found = bounded(torch.stack([narrow, wide]), floor)
    torch.testing.assert_close(found[0], torch.diag(torch.tensor([0.5, 3.0], dtype=F64)))
    assert torch.equal(found[1], wide)
