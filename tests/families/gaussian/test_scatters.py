import numpy as np
import pytest
import torch
from scipy.stats import invwishart, wishart
from torch import Tensor

from sourcewise.families.gaussian import scatters as module
from sourcewise.families.gaussian.scatters import STRENGTHS, Account, Scatters, accounts, posterior

NU = torch.tensor(STRENGTHS, dtype=torch.float64)


def drawn(K: int, nu: float, f: int, seed: int, C: np.ndarray) -> tuple[Tensor, Scatters]:
    """Covariances around C, and scatters of rows of these."""
    d, random = len(C), np.random.default_rng(seed)
    prior = invwishart(df=nu + d + 1, scale=nu * C, seed=random)
    sigma = [prior.rvs() if nu < 1e8 else C for _ in range(K)]
    A = [wishart(df=f, scale=s, seed=random).rvs() for s in sigma]
    f_k = torch.full((K,), float(f), dtype=torch.float64)
    return torch.tensor(np.array(sigma)), Scatters(torch.tensor(np.array(A)), f_k)


C3 = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.3], [0.0, -0.3, 0.5]])


def test_likelihood_of_a_strength_is_what_bayes_theorem_says():
    """p(A) = p(A | Sigma) p(Sigma) / p(Sigma | A), whatever Sigma."""
    sigma, found = drawn(4, 10.0, 9, 0, C3)
    d, C = 3, torch.tensor(C3)
    wanted = []
    for nu in STRENGTHS[:12]:
        total = 0.0
        for s, A, f in zip(sigma.numpy(), found.A.numpy(), found.f.tolist(), strict=True):
            total += wishart.logpdf(A, df=f, scale=s)
            total += invwishart.logpdf(s, df=nu + d + 1, scale=nu * C3)
            total -= invwishart.logpdf(s, df=nu + d + 1 + f, scale=nu * C3 + A)
        wanted.append(total)
    ours = found.log_likely(C)[:12]
    gaps = ours - torch.tensor(wanted, dtype=torch.float64)
    assert torch.allclose(gaps, gaps[:1].expand(12), atol=1e-8)
    # The common covariance counts too: that of another C differs by as much as the densities do.
    other = [
        wishart.logpdf(A, df=9, scale=s)
        + invwishart.logpdf(s, df=8, scale=4 * np.eye(3))
        - invwishart.logpdf(s, df=17, scale=4 * np.eye(3) + A)
        for s, A in zip(sigma.numpy(), found.A.numpy(), strict=True)
    ]
    at = STRENGTHS.index(4.0)
    eye = torch.eye(3, dtype=torch.float64)
    assert np.isclose(float(found.log_likely(eye)[at] - gaps[0]), sum(other), atol=1e-8)


def test_variances_are_matrices_of_one_row():
    """A diagonal covariance is d variances: the likelihood is the product of theirs."""
    _, found = drawn(5, 6.0, 12, 1, C3)
    A = torch.diag_embed(found.A.diagonal(dim1=1, dim2=2))
    whole = Scatters(A, found.f, diagonal=True).log_likely(torch.tensor(C3))
    each = sum(
        Scatters(A[:, i : i + 1, i : i + 1], found.f).log_likely(
            torch.tensor(C3[i : i + 1, i : i + 1])
        )
        for i in range(3)
    )
    assert isinstance(each, Tensor)
    assert torch.allclose(whole, each, rtol=1e-9, atol=0)


def test_steps_make_the_common_covariance_likelier():
    for seed in range(5):
        _, found = drawn(6, 4.0, 30, seed, C3)
        before, after = found.pooled, module._common(found)
        assert found.log_likely(after).max() >= found.log_likely(before).max()


def test_posterior_mean_of_one_account_is_the_conjugate_one(monkeypatch):
    """With a ladder of one rung: (nu C + A) / (nu + f)."""
    monkeypatch.setattr(module, "STRENGTHS", (7.0,))
    _, found = drawn(3, 7.0, 9, 2, C3)
    C, one = torch.tensor(C3), torch.ones(3, 3, dtype=torch.float64)
    mean, share = posterior([Account(found, C, one, torch.zeros(1, dtype=torch.float64))])
    assert torch.allclose(mean, (7 * C + found.A) / (7 + 9))
    assert torch.allclose(share, torch.full((3,), 7 / 16, dtype=torch.float64))


@pytest.mark.parametrize("diagonal", [False, True])
def test_posterior_does_not_depend_on_units(diagonal):
    _, found = drawn(6, 8.0, 15, 3, C3)
    A = torch.diag_embed(found.A.diagonal(dim1=1, dim2=2)) if diagonal else found.A
    units = torch.tensor([2.0, 0.1, 30.0], dtype=torch.float64)
    outer, a = torch.outer(units, units), torch.tensor(0.1, dtype=torch.float64)
    mean, share = posterior(accounts(Scatters(A, found.f, diagonal), a))
    other, same = posterior(accounts(Scatters(A * outer, found.f, diagonal), a))
    assert torch.allclose(mean * outer, other, rtol=1e-7)
    assert torch.allclose(share, same, rtol=1e-7)


def test_sources_that_differ_in_scale_alone_share_their_correlations():
    """Variances apart by factors of hundreds: one nu for all takes nothing from the others."""
    _, alike = drawn(12, 1e9, 25, 4, C3)
    scale = torch.exp(2 * torch.tensor(np.random.default_rng(0).normal(size=(12, 3))))
    found = alike.scaled(1 / scale)
    none = torch.tensor(0.0, dtype=torch.float64)
    plain, scaled = accounts(found, none)
    assert scaled.log_likely.max() > plain.log_likely.max() + 50
    mean, _ = posterior([plain, scaled])
    truth = torch.tensor(C3) * scale[:, :, None] * scale[:, None, :]
    own = found.A / 25
    # The correlations are half of the parameters, and nearly all of their loss is saved.
    assert _loss(mean, truth) < 0.6 * _loss(own, truth)


def test_a_source_of_one_row_takes_what_the_others_have():
    _, found = drawn(6, 20.0, 30, 5, C3)
    A, f = found.A.clone(), found.f.clone()
    A[0], f[0] = 0.0, 0.0
    mean, share = posterior(accounts(Scatters(A, f), torch.tensor(0.0, dtype=torch.float64)))
    assert torch.isclose(share[0], share.new_tensor(1.0))
    assert bool(torch.linalg.eigvalsh(mean).min() > 0)


@pytest.mark.parametrize("nu", [5.0, 40.0, 1e9])
def test_loss_is_near_that_of_the_true_strength(nu):
    """Stein's loss, over data sets, within 5 % of what knowing nu gives."""
    losses, none = torch.zeros(2, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    for seed in range(25):
        truth, found = drawn(60, nu, 15, seed, C3)
        both = accounts(found, none)
        losses[0] += _loss(posterior(both)[0], truth)
        known = (nu * both[0].common + found.A) / (nu + 15)
        losses[1] += _loss(known, truth)
    assert losses[0] < 1.05 * losses[1]


def _loss(found: Tensor, truth: Tensor) -> float:
    """The divergence of normal densities, truth from found, on average."""
    ratio = torch.linalg.solve(found, truth)
    trace = ratio.diagonal(dim1=1, dim2=2).sum(1)
    return float((trace - torch.logdet(ratio) - len(truth[0])).mean()) / 2
