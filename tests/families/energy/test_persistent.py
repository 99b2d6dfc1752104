"""Persistent chains of the energy family: they follow the model, and take turns."""

import math
from typing import Any

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.energy.landscape import energy_of
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.objectives import base_of
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.hamiltonian import State, transition
from sourcewise.training.stack import StepNoise

from .conftest import build, surprise


def step_noise(*key: int | str) -> Any:
    return StepNoise([Noise(5).of(*key)], [])


def carried_by(model: Energy, chains: Tensor | None = None) -> dict[str, Tensor]:
    x, y = Noise(1).uniform(100, model.D), torch.arange(100) % model.K
    carried = model.begin(Batch.of(x, y), Noise(2))
    return carried if chains is None else carried | {"chains": chains}


@pytest.mark.parametrize("adjusted", [True, False])
def test_chains_that_follow_the_model_stay_with_it(adjusted):
    """Adjusted, at any step; unadjusted with large steps they leave it: the test can tell."""
    n = 4000
    options = {"chains": n, "replay": n, "restart": 0.0, "acceptance": 0.4, "adjusted": adjusted}
    model = build(objective="pcd", **options)
    exact = model.sample(torch.arange(2).repeat_interleave(n), noise=Noise(3)).view(2, n, 2)
    carried = carried_by(model, exact)
    for t in range(3):
        carried = model.advance(carried, step_noise(t))
    moved = carried["chains"]
    assert bool(((moved >= 0) & (moved <= 1)).all())
    assert (moved - exact).abs().mean() > 0.1
    worst = [surprise(model, moved[k], k) for k in range(2)]
    assert max(worst) < 4 if adjusted else min(worst) > 20


def test_some_chains_move_and_the_others_are_kept():
    model = build(K=3, objective="pcd", chains=3, replay=10, restart=0.0, steps=4)
    carried = carried_by(model)
    assert carried["chains"].shape == (3, 10, 2)
    times = torch.zeros(3, 10)
    for t in range(60):
        before = carried["chains"]
        carried = model.advance(carried, step_noise(t))
        changed = (carried["chains"] != before).any(-1)
        assert carried["moved"].shape == (3, 3, 2)
        for k in range(3):
            moved = carried["moved"][k].tolist()
            assert all(row in moved for row in carried["chains"][k][changed[k]].tolist())
            assert all(row in carried["chains"][k].tolist() for row in moved)
        times += changed
    assert bool((times > 0).all())  # every chain has its turns
    assert times.sum(1).min() > 0.9 * 60 * 3  # four tries each: few stand still
    assert times.max() < 60 * 0.3 + 4.5 * (60 * 0.3 * 0.7) ** 0.5


@pytest.mark.parametrize(("target", "adjusted"), [(0.5, True), (0.9, True), (0.8, False)])
def test_the_step_finds_the_acceptance(target, adjusted):
    options = {"acceptance": target, "adjusted": adjusted, "restart": 0.0}
    model = build(K=2, objective="pcd", chains=500, replay=500, **options)
    carried = carried_by(model)
    for t in range(20):
        carried = model.advance(carried, step_noise(t))
    state, accepted = State.at(energy_of(model.network), carried["chains"]), []
    for t in range(20):  # with the step as it is
        noise = Noise(9).of(t)
        state, accept = transition(
            energy_of(model.network),
            state,
            step=carried["log_step"].exp()[:, None],
            normal=noise.of("normal").normal(2, 500, 2),
            uniform=noise.of("uniform").uniform(2, 500),
            scale=carried["spread"],
            adjusted=adjusted,
        )
        accepted.append(accept.mean(-1))
    assert (torch.stack(accepted).mean(0) - target).abs().max() < 0.03


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_a_share_of_the_chains_begins_anew(share):
    n = 2000
    options = {"chains": n, "replay": n, "restart": share, "steps": 1, "components": 2}
    model = build(objective="pcd", **options)
    carried = carried_by(model, torch.full((2, n, 2), 0.5).double())
    carried["log_step"] = torch.full((2,), math.log(1e-6)).double()  # chains stay where they are
    moved = model.advance(carried, step_noise("restart"))["chains"]
    again = ((moved - 0.5).abs() > 1e-4).any(-1)
    error = (n * share * (1 - share)) ** 0.5
    assert (again.sum(1) - n * share).abs().max() <= 4 * error
    if share:
        fresh = base_of(carried, model.settings).sample(torch.zeros(20_000).long(), noise=Noise(1))
        for j in range(2):
            assert kstest(moved[again][:, j].numpy(), fresh[:, j].numpy()).pvalue > 1e-3
