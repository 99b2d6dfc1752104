import math

import torch
from torch import Tensor

from sourcewise.families.gaussian import partial_slopes as module
from sourcewise.families.gaussian.partial_slopes import STRENGTHS, partial_slopes
from sourcewise.randomness import Noise

K, D, C = 4, 2, 3
N = (4, 9, 20, 40)
Y = torch.repeat_interleave(torch.arange(K), torch.tensor(N))
L = torch.tensor([[1.0, 0.0], [0.5, 0.7]], dtype=torch.float64)


def sample(apart: float = 0.3, seed: int = 0) -> tuple[Tensor, Tensor]:
    noise = Noise(seed)
    c = noise.of("c").normal(len(Y), C) @ torch.diag(torch.tensor([1.0, 3.0, 0.2]).double())
    B = 1 + apart * noise.of("B").normal(K, D, C)
    x = torch.einsum("ndc,nc->nd", B[Y], c) + noise.of("x").normal(len(Y), D) @ L.T
    return x + Y[:, None], c


def centred(v: Tensor) -> Tensor:
    return torch.cat([v[Y == k] - v[Y == k].mean(0) for k in range(K)])


def units(c: Tensor) -> Tensor:
    """c in units in which its covariance within sources is the identity."""
    values, vectors = torch.linalg.eigh(c.T @ c / len(c))
    return c @ vectors / values.sqrt()


def test_slopes_are_those_of_an_augmented_regression(monkeypatch):
    """sum |x - B_k c|^2 + r |B_k - B|^2 in all B_k and B at once (Henderson's equations)."""
    r = 5.0
    monkeypatch.setattr(module, "STRENGTHS", (r,))
    x, c = sample()
    found = partial_slopes(x, c, Y, K, L).slopes
    white = torch.linalg.solve_triangular(L, centred(x).T, upper=False).T
    z = units(centred(c))
    rows = torch.zeros(len(Y), C * (K + 1), dtype=x.dtype)
    for k in range(K):
        rows[Y == k, C * k : C * (k + 1)] = z[Y == k]
    eye = math.sqrt(r) * torch.eye(C, dtype=x.dtype)
    prior = torch.cat([torch.kron(torch.eye(K, dtype=x.dtype), eye), -eye.repeat(K, 1)], 1)
    both = torch.cat([rows, prior])
    target = torch.cat([white, torch.zeros(C * K, D, dtype=x.dtype)])
    solved = torch.linalg.lstsq(both, target).solution[: C * K].view(K, C, D)
    wanted = torch.einsum("nc,ncd->nd", z, solved[Y]) @ L.T
    assert torch.allclose(torch.einsum("ndc,nc->nd", found[Y], centred(c)), wanted, atol=1e-9)


def test_likelihood_of_a_strength_is_that_of_all_contrasts():
    """The density of the rows' contrasts that know nothing of B nor of the sources' means."""
    x, c = sample()
    white = torch.linalg.solve_triangular(L, x.T, upper=False).T
    z = units(centred(c))
    fixed = torch.cat([z, torch.nn.functional.one_hot(Y, K).to(z.dtype)], 1)
    contrasts = torch.linalg.qr(fixed, mode="complete").Q[:, fixed.shape[1] :]
    same = (Y[:, None] == Y[None, :]).to(z.dtype)
    logs = []
    for r in STRENGTHS:
        covariance = torch.eye(len(Y), dtype=z.dtype) + (z @ z.T) * same / r
        inner = contrasts.T @ covariance @ contrasts
        density = torch.distributions.MultivariateNormal(torch.zeros(len(inner)).double(), inner)
        logs.append(density.log_prob((contrasts.T @ white).T).sum())
    assert torch.allclose(partial_slopes(x, c, Y, K, L).strength, torch.stack(logs).softmax(0))


def test_slopes_alike_are_pooled_and_slopes_apart_are_not():
    x, c = sample(apart=0.0)
    assert bool((partial_slopes(x, c, Y, K, L).share > 0.5).all())
    x, c = sample(apart=1e4)
    found = partial_slopes(x, c, Y, K, L)
    assert bool((found.share < 0.1).all())
    own = torch.linalg.lstsq(centred(c)[Y == 3], centred(x)[Y == 3]).solution.T
    assert torch.allclose(found.slopes[3], own, rtol=1e-3)


def test_given_columns_that_depend_on_each_other_change_no_prediction():
    x, c = sample()
    twice = torch.cat([c, c[:, :1]], 1)
    one, two = (partial_slopes(x, v, Y, K, L) for v in (c, twice))
    assert torch.allclose(one.strength, two.strength, atol=1e-8)
    told = torch.einsum("ndc,nc->nd", one.slopes[Y], c)
    assert torch.allclose(torch.einsum("ndc,nc->nd", two.slopes[Y], twice), told, atol=1e-8)
