"""Partial pooling: the prior's strength against an urn and against normal marginals."""

import math

import torch
from torch.distributions import MultivariateNormal

from sourcewise.families.mixture.em import Fits, Prior, Sums
from sourcewise.families.mixture.sharing import LADDER, Form, concentration, maximised, mean_rows

F64 = torch.float64


def urn(counts: list[int], alpha: float, shared: list[float]) -> float:
    """Log probability of a sequence with such counts, draw by draw: Polya's urn."""
    out, drawn = 0.0, [0] * len(counts)
    for j, count in enumerate(counts):
        for _ in range(count):
            out += math.log((alpha * shared[j] + drawn[j]) / (alpha + sum(drawn)))
            drawn[j] += 1
    return out


def test_the_concentration_is_the_likeliest_one_of_an_urn():
    counts = [[8, 1, 1], [2, 5, 3], [6, 2, 2], [7, 0, 3]]
    total = torch.tensor(counts, dtype=F64).sum(0)
    shared = total / total.sum()
    scores = [sum(urn(c, float(a), shared.tolist()) for c in counts) for a in LADDER]
    wanted = LADDER[max(range(len(scores)), key=scores.__getitem__)]
    found = concentration(torch.tensor(counts, dtype=F64)[None], shared[None])
    assert found.tolist() == [float(wanted)]
    assert LADDER[0] < wanted < LADDER[-1]


def test_weights_are_posterior_means_and_lie_between_own_and_shared():
    count = torch.tensor([[[8.0, 1, 1], [2, 5, 3], [6, 2, 2], [7, 0, 3]]], dtype=F64)
    shared = count.sum(1) / count.sum()
    alpha = float(concentration(count, shared))
    fits = Fits(
        torch.zeros(1, 4, 3, dtype=F64),
        torch.zeros(1, 4, 3, 1, dtype=F64),
        torch.ones(1, 1, 3, 1, 1, dtype=F64),
    )
    none = torch.zeros(1, 1, dtype=F64)
    sums = Sums(
        count, torch.zeros(1, 4, 3, 1, dtype=F64), count[..., None, None], none, none, none
    )
    prior = Prior(none, torch.zeros(1, 1, 1, 1, dtype=F64), torch.full((1,), 1e-3, dtype=F64))
    own = maximised(fits, sums, prior, Form("components")).log_weight.exp()
    drawn = maximised(fits, sums, prior, Form("components", partial=True)).log_weight.exp()
    torch.testing.assert_close(own, count / 10)
    torch.testing.assert_close(drawn, (count + alpha * shared[:, None]) / (10 + alpha))
    assert bool(((drawn - shared[:, None]).abs() <= (own - shared[:, None]).abs() + 1e-12).all())


def test_the_rows_of_a_shared_mean_are_the_likeliest_ones():
    g = torch.Generator().manual_seed(0)
    K, d, n, kappa = 400, 2, 20.0, 5.0
    S = torch.tensor([[1.0, 0.5], [0.5, 2.0]], dtype=F64)
    spread = 1 / kappa + 1 / n
    apart = torch.randn(K, d, generator=g, dtype=F64) @ torch.linalg.cholesky(spread * S).mT
    scores = [
        float(
            MultivariateNormal(torch.zeros(d, dtype=F64), S * (1 / k + 1 / n))
            .log_prob(apart)
            .sum()
        )
        for k in LADDER
    ]
    found = mean_rows(apart[None, :, None], torch.full((1, K, 1), n, dtype=F64), S[None, None])
    assert float(found) == float(LADDER[max(range(len(scores)), key=scores.__getitem__)])
    assert 3 < float(found) < 8
