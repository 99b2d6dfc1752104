"""Samples of an energy by Markov chains, and what is known of them."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import kstest

from sourcewise.batch import Batch
from sourcewise.families.base import Diagnosed
from sourcewise.families.energy.cautions import UNMIXED, unmixed
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.sampling_chains import CHAINS, MOST, RUN
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.files import read_tensors, write_tensors
from sourcewise.metrics.distributions import log_prob
from sourcewise.metrics.log_likelihood import density
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.diagnostics import effective_sample_size, split_r_hat
from sourcewise.training import TrainingData, fit

from .conftest import FEW, FINISH, annealing, build, columns, finished, surprise


@pytest.mark.parametrize("sampler", ["mala", "hmc"])
def test_chains_draw_what_the_grid_draws(sampler):
    """Chains start uniform, which is not the model: the same test refuses that."""
    n = 8000
    model = finished(build(sampler=sampler, noise="uniform"))
    y = torch.arange(n) % 2
    x = model.sample(y, noise=Noise(4))
    assert x.dtype == torch.float64
    assert bool(((x >= 0) & (x <= 1)).all())
    exact = build().sample(y, noise=Noise(4))
    for k in range(2):
        assert surprise(model, x[y == k], k) < 4
        assert surprise(model, exact[y == k], k) < 4
        assert surprise(model, Noise(6).uniform(n // 2, 2), k) > 20
        for j in range(2):
            assert kstest(x[y == k, j].numpy(), exact[y == k, j].numpy()).pvalue > 1e-3
    assert found(model)["r_hat"][0] == model.r_hat.max() < 1.1
    assert found(model)["effective samples"][0] == model.effective.min() > 100
    assert "annealing error" not in found(model)
    tau = RUN * CHAINS / model.effective
    assert torch.equal(model.transitions, (10 * tau + 20).ceil())


@pytest.mark.parametrize(("sampler", "D"), [("mala", 2), ("hmc", 5)])
def test_samples_of_chains_do_not_depend_on_the_batch(sampler, D, quick):
    model = finished(build(K=3, D=D, sampler=sampler, gain=1.0, **annealing(D))).float()
    model.transitions.clamp_(max=60)
    y = torch.arange(60) % 3
    noise = Noise(3).each(y)
    whole = model.sample(y, noise=noise)
    for rows in (torch.arange(7), torch.arange(7, 60), torch.tensor([41])):
        part = model.sample(y[rows], noise=noise.take(rows))
        assert torch.allclose(part, whole[rows], atol=1e-10)
    assert not torch.allclose(model.sample(y, noise=Noise(4)), whole, atol=1e-3)


def found(model: Energy) -> dict[str, list[float]]:
    """What fitting found, by name."""
    return Diagnosed(model.diagnostics()).fitted


def test_what_is_known_of_chains_and_weights_is_told(quick):
    model = finished(build(K=3, D=4, **FINISH))
    expected = {
        "annealing error": (model.annealed_high - model.annealed).max(),
        "effective weights": model.weights.min(),
        "r_hat": model.r_hat.max(),
        "effective samples": model.effective.min(),
        "gain over one normal": model.gain,
    }
    assert {name: [value.item()] for name, value in expected.items()} == Diagnosed(
        model.diagnostics()
    ).fitted
    assert all(math.isfinite(value) for value in expected.values())
    assert found(model)["r_hat"][0] >= 1 - 1e-2
    assert 1 <= found(model)["effective weights"][0] <= 12  # a quarter of 16 was the pilot's


@pytest.mark.parametrize("memory", [0.9, 0.9998, 0.9999, 0.99999, 1 - 1e-7])
def test_chains_that_are_cut_short_are_told_of(memory):
    """Where a sample would take more than `MOST` transitions, R-hat is far beyond alarming."""
    noise, shape = Noise(3), (RUN, 200, CHAINS, 1)
    draws, x = noise.normal(*shape), noise.of("start").normal(*shape[1:])
    history = []
    for t in range(RUN):  # 200 sets of chains whose tau is (1 + memory) / (1 - memory)
        x = memory * x + (1 - memory**2) ** 0.5 * draws[t]
        history.append(x)
    run = torch.stack(history)
    tau = RUN * CHAINS / effective_sample_size(run).amin(-1)
    cut, r_hat = 10 * tau + 20 > MOST, split_r_hat(run).amax(-1)
    assert bool(cut.any()) == (memory > 0.99)
    assert bool((r_hat[cut] > UNMIXED).all())
    (first, *_) = [i for i in range(200) if memory < 0.99 or bool(cut[i])]
    how = {"pooled": {"normaliser": "annealed importance sampling", "sampler": "hmc"}}
    told = list(unmixed({"pooled": {"r_hat": [float(r_hat[first])]}}, how))
    assert len(told) == (memory > 0.99)


# Behind other faces.


def parted(D: int) -> PartitionedModel:
    def block(K: int) -> Energy:
        return finished(build(K=K, D=D, seed=K, gain=1.0, **annealing(D)), seed=K)

    return PartitionedModel(Partition(((0, 2), (1,))), block, tuple("abcd"))


def test_a_partition_routes_estimates_and_their_errors(quick):
    model, x = parted(4), Noise(1).uniform(9, 4)
    y = torch.tensor([2, 1, 0, 0, 1, 2, 1, 2, 0])
    scores, alone = model.log_density(Batch.of(x, y), Noise(7)), []
    assert scores.kind == "estimate"
    for j, local in ((0, {0: 0, 2: 1}), (1, {1: 0})):
        rows = torch.tensor([i for i, k in enumerate(y.tolist()) if k in local])
        sources = torch.tensor([local[int(y[i])] for i in rows])
        block: Any = model.block(j)
        alone.append(block.log_density(Batch.of(x[rows], sources), Noise(7).of("block", j)))
        assert torch.equal(scores.value[rows], alone[j].value)
    first, second = (columns(part) for part in alone)
    assert bool((first[:, 0] > 0).all())
    shared = columns(scores)
    assert torch.equal(shared[:3], torch.stack([first[0], second[0], first[1]]))
    assert bool(shared[3].isnan().all())
    some = model.log_density(Batch.of(x, y).take(y == 1), Noise(7))  # of one block alone
    assert columns(some)[:, 0].isnan().tolist() == [True, False, True, True]
    whole = density(model, Batch.of(x, y).take(y == 1), Noise(7))  # a block is not asked: no error
    assert (columns(whole)[:, 0] > 0).tolist() == [False, True, False, False]
    ruled = columns(parted(2).log_density(Batch.of(x[:, :2], y), Noise(0)))
    assert ruled[:3, :2].tolist() == [[0, 0]] * 3
    assert bool((ruled[:3, 2] < 1e-3).all())


@pytest.mark.parametrize("objective", ["nce", "pcd"])
def test_a_model_that_is_read_again_is_the_same(tmp_path: Path, objective, quick):
    options = {"objective": objective, "updates": 20, "passes": 0.1, "validation": 0} | FINISH
    settings = EnergySettings.parse(FEW | options)
    x, y = Noise(1).uniform(90, 4), torch.arange(90) % 2
    model = Energy(settings, K=2, D=4)
    fit(model, TrainingData.plain(x, y), names=("a", "b"), settings=settings)
    write_tensors(tmp_path / "model.safetensors", dict(model.state_dict()))
    again = Energy(settings, K=2, D=4)
    again.load_state_dict(read_tensors(tmp_path / "model.safetensors"))
    assert torch.equal(log_prob(again, x, y), log_prob(model, x, y))
    assert bool(log_prob(model, x, y).isfinite().all())
    assert torch.equal(again.sample(y, noise=Noise(2)), model.sample(y, noise=Noise(2)))
    shared = [columns(m.log_density(Batch.of(x, y), Noise(3))) for m in (model, again)]
    assert torch.equal(*shared)
    assert found(again) == found(model)
