"""The ARM against enumeration, the theory's counts, and autograd over all rows."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.arm.model import Arm
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.metrics.distributions import log_prob
from sourcewise.randomness import Noise
from sourcewise.theory import arm as theory


def build(K=3, M=2, D=5, seed=0, dtype=torch.float64, **options) -> Arm:
    values = {"embedding": 4, "width": max(D, 8), "depth": 3} | options
    model = Arm(ArmSettings.parse(values), K=K, M=M, D=D)
    model.reset(Noise(seed))
    return model.to(dtype)


def every(M: int, D: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(M), repeat=D)))


sizes = st.tuples(st.integers(1, 3), st.integers(2, 4), st.integers(1, 4), st.integers(1, 3))


@given(sizes, st.sampled_from(["shared", "per position"]))
def test_probabilities_sum_to_one_and_the_tree_agrees_with_enumeration(size, encoder):
    K, M, D, depth = size
    model = build(K, M, D, depth=depth, encoder=encoder)
    x = every(M, D)
    for k in range(K):
        listed = log_prob(model, x, torch.full((len(x),), k))
        assert torch.allclose(model.log_table(k), listed, atol=1e-10)
        assert abs(listed.exp().sum().item() - 1) < 1e-6


@given(sizes, st.sampled_from(["shared", "per position"]))
def test_parameters_are_those_of_the_theory(size, encoder):
    K, M, D, depth = size
    W = max(D, 8)
    counts = theory.Sizes(M=M, D=D, d_e=4, W=W, L=depth, B=1, encoder=encoder)
    pooled = build(K, M, D, depth=depth, encoder=encoder).free_parameters
    one = build(1, M, D, depth=depth, encoder=encoder).free_parameters
    assert pooled == theory.m_pooled(counts, K)
    assert K * one == theory.m_separate(counts, K)


def test_a_step_on_counts_is_the_gradient_of_all_rows():
    model, n = build(K=3, M=3, D=4), 500
    x, y = Noise(1).integers(3, n, 4), Noise(2).integers(3, n)
    whole = model.loss(Batch.of(x, y), Noise(0)).sum()
    of_rows = torch.autograd.grad(whole, list(model.parameters()))
    rows = model.condense(Batch.of(x, y))
    condensed = model.condensed_loss(rows, Noise(0)).sum()
    of_counts = torch.autograd.grad(condensed, list(model.parameters()))
    assert len(rows) < n
    assert condensed.item() == pytest.approx(whole.item(), rel=1e-10)
    for a, b in zip(of_rows, of_counts, strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-9)


def test_samples_follow_the_probabilities_and_not_the_batch():
    model = build(K=2, M=2, D=3)
    y = torch.arange(2).repeat_interleave(20_000)
    x = model.sample(y, noise=Noise(3))
    part = model.sample(y[100:200], noise=Noise(3).each(y).take(torch.arange(100, 200)))
    assert torch.equal(part, x[100:200])
    number = (x * torch.tensor([4, 2, 1])).sum(1)
    for k in range(2):
        seen = torch.bincount(number[y == k], minlength=8)
        expected = 20_000 * model.log_table(k).exp()
        assert ((seen - expected) ** 2 / expected).sum().item() < 27  # chi2_7, p = 3e-4


def test_only_the_own_source_and_the_past_matter():
    model = build(K=2, M=2, D=4)
    x, y = torch.zeros(1, 4, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    logits = model.network(x, y)
    for d in range(4):
        other = x.clone()
        other[0, d] = 1
        changed = (model.network(other, y) != logits).any(-1)[0]
        assert not changed[: d + 1].any()
        assert changed[d + 1 :].all()
    assert (model.network(x, 1 - y) != logits).all()


def test_every_parameter_receives_a_gradient():
    model = build(K=2, M=2, D=4, depth=2)
    x, y = every(2, 4), torch.arange(16) % 2
    model.loss(Batch.of(x, y), Noise(0)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_too_narrow_or_too_many():
    with pytest.raises(InputError, match="width: at least the 9 positions"):
        Arm(ArmSettings(width=8), K=1, M=2, D=9)
    with pytest.raises(InputError, match="too many to list"):
        build(M=2, D=21, width=21).log_table(0)


@pytest.mark.parametrize("stacked", [False, True])
def test_prefixes_that_repeat_change_nothing(monkeypatch, stacked):
    model = build(K=2, M=3, D=4)
    x, y = Noise(1).integers(3, 90, 4), Noise(2).integers(2, 90)
    if stacked:
        for parameter in model.parameters():
            parameter.data = torch.stack([parameter.data, 1.1 * parameter.data])
        x, y = torch.stack([x, x.flip(0)]), torch.stack([y, y])
    assert model._nodes(x if stacked else x[None], y if stacked else y[None]) is not None
    short = log_prob(model, x, y)
    gradients = torch.autograd.grad(short.sum(), list(model.parameters()))
    monkeypatch.setattr(Arm, "_nodes", lambda *_: None)
    long = log_prob(model, x, y)
    assert short.shape == y.shape
    assert torch.allclose(short, long, atol=1e-12)
    for a, b in zip(
        gradients, torch.autograd.grad(long.sum(), list(model.parameters())), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-10)
