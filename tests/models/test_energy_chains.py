"""Chains of the energy family, the normaliser by annealing, grids: against exact masses."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from sourcewise.files import read_tensors, write_tensors
from sourcewise.models.base import ConditionalModel
from sourcewise.models.energy import Energy
from sourcewise.models.energy.chains import CHAINS, RUN, annealed_normaliser
from sourcewise.models.energy.objectives import base_of, begin_base, energy_of
from sourcewise.models.energy_settings import EnergySettings
from sourcewise.models.partitioned import PartitionedModel
from sourcewise.networks.energy import EnergyNetwork
from sourcewise.partition import Partition
from sourcewise.quadrature import gauss_legendre, midpoints
from sourcewise.randomness import Noise
from sourcewise.samplers.hamiltonian import State, transition
from sourcewise.training import TrainingData, fit
from sourcewise.training.stack import StepNoise

FEW = {"embedding": 4, "width": 12, "depth": 3}
FINISH = {"temperatures": 10, "particles": 16}


def annealing(D: int) -> dict[str, int]:
    """Short, where there is any."""
    return FINISH if D > 3 else {}


def build(K: int = 2, D: int = 2, seed: int = 0, gain: float = 1.5, **options) -> Energy:
    """A model far from uniform, in float64."""
    model = Energy(EnergySettings.parse(FEW | options), K=K, D=D)
    ConditionalModel.reset(model, Noise(seed))  # the layers' own, not tuned to training
    assert isinstance(model.network, EnergyNetwork)
    first = model.network.mlp.first
    first.weight.data[:, :D] *= 12**0.5
    if first.bias is not None:
        first.bias.data -= first.weight.data[:, :D].sum(1) / 2
    for parameter in model.parameters():
        parameter.data *= gain
    return model.double()


def finished(model: Energy, seed: int = 0) -> Energy:
    """As training leaves it, on rows that are uniform."""
    x, y = Noise(seed).of("x").uniform(200, model.D), torch.arange(200) % model.K
    model.finish(x, y, model.begin(x, y, Noise(seed)), Noise(seed).of("finish"))
    return model


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains that are tried for a short while."""
    for name in ("WARM_UP", "RUN"):
        monkeypatch.setattr(f"sourcewise.models.energy.chains.{name}", 32)


def step_noise(*key: int | str) -> Any:
    return StepNoise([Noise(5).of(*key)], [])


def surprise(model: Energy, x: Tensor, k: int, bins: int = 5) -> float:
    """Of points (n, 2) under source k: chi-square of their cells, in standard deviations."""
    corners = torch.cartesian_prod(*[torch.arange(bins)] * 2)
    points, log_weight = gauss_legendre(8, 2)  # of one cell
    inner = ((corners[:, None] + points) / bins).flatten(0, 1)
    with torch.no_grad():
        density = model.log_prob(inner, torch.full((len(inner),), k)).exp()
    p = density.view(bins**2, -1) @ log_weight.exp() / bins**2
    cells = (x * bins).long().clamp(max=bins - 1) @ torch.tensor([bins, 1])
    return pearson(torch.bincount(cells, minlength=bins**2), p)


def pearson(counts: Tensor, p: Tensor) -> float:
    """Chi-square in standard deviations beyond its expectation; cells of few in one."""
    expected = counts.sum() * p
    rare = expected < 10
    counts, expected = (torch.cat([v[~rare], v[rare].sum()[None]]) for v in (counts, expected))
    freedom = len(p) - int(rare.sum())
    assert freedom > 10
    chi2 = ((counts - expected).square() / expected.clamp(min=1e-9)).sum().item()
    return (chi2 - freedom) / (2 * freedom) ** 0.5


# Persistent chains.


def carried_by(model: Energy, chains: Tensor | None = None) -> dict[str, Tensor]:
    x, y = Noise(1).uniform(100, model.D), torch.arange(100) % model.K
    carried = model.begin(x, y, Noise(2))
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


# The normaliser.


def trained_on_gaussians(K: int) -> Energy:
    """A network trained by nce on K normals of three columns."""
    y = torch.arange(K).repeat_interleave(100)
    mean = 0.2 + 0.6 * Noise(11).uniform(K, 3)
    x = (mean[y] + 0.12 * Noise(12).normal(len(y), 3)).clamp(0, 1)
    options = {"objective": "nce", "updates": 150, "passes": 0.1, "validation": 0}
    settings = EnergySettings.parse(FEW | options)
    model = Energy(settings, K=K, D=3)
    names = tuple(map(str, range(K)))
    fit(model, TrainingData.plain(x, y), names=names, settings=settings)
    return model.double()


def test_annealing_agrees_with_quadrature_within_its_interval():
    inside, K, spreads, widths = 0, 25, [], []
    models = [build(K, 3, seed, gain) for seed, gain in ((0, 1.5), (1, 2.0), (2, 2.5))]
    for number, model in enumerate([*models, trained_on_gaussians(K)]):
        rows = Noise(number).of("rows").uniform(300, 3).square()  # the base is no uniform
        base = base_of(begin_base(rows, model.settings, Noise(0)), model.settings)
        found = annealed_normaliser(model.network, base, 50, 128, Noise(number).of("annealing"))
        exact = model.log_normaliser(32).detach()
        assert (exact - model.log_normaliser(24)).abs().max() < 1e-3
        inside += int(((found.low <= exact) & (exact <= found.high)).sum())
        widths += (found.high - found.low).tolist()
        spreads += model.network.at(Noise(9).uniform(500, 3)).std(1).tolist()
    assert inside >= 93
    assert sorted(widths)[50] < 0.8
    assert max(spreads) > 5  # nats: some are far from uniform


@pytest.mark.parametrize("D", [1, 3])
def test_up_to_three_columns_the_error_is_that_of_the_rule(D):
    model = build(K=2, D=D, nodes=2, gain=1.0)
    x, y = Noise(1).uniform(30, D), torch.arange(30) % 2
    found = model.estimate_log_prob(x, y, noise=Noise(0))
    assert torch.equal(found.value, model.log_prob(x, y))
    error = (model.log_normaliser(4) - model.log_normaliser(8)).abs().detach()
    assert torch.equal(found.standard_error, error[y])
    assert found.standard_error.min() > 1e-12
    assert (found.method, found.bias) == ("gauss-legendre quadrature, 8 nodes per axis", "none")
    shared = model.density_error
    assert shared is not None
    assert torch.equal(shared, torch.stack([0 * error, error], 1).double())


def test_beyond_three_columns_the_error_is_that_of_annealing(quick):
    model = finished(build(K=40, D=4, gain=1.3, temperatures=30, particles=64))
    x, y = Noise(1).uniform(40, 4), torch.arange(40)
    exact = -model.network(x, y).detach() - model.log_normaliser(12).detach()
    a, b = (model.estimate_log_prob(x, y, noise=Noise(seed)) for seed in (1, 2))
    assert a.method.startswith("annealed importance sampling, 30 temperatures")
    assert (a.bias, b.bias) == ("overstates", "overstates")
    assert bool((a.standard_error > 0).all())
    apart = (a.value - b.value) / (a.standard_error**2 + b.standard_error**2).sqrt()
    assert 0.7 < apart.square().mean().sqrt() < 1.4  # 40 normals: 1 +- .11
    off = (a.value - exact) / a.standard_error
    assert 0.7 < off.square().mean().sqrt() < 1.5
    assert model.density_error is not None
    error, beyond = model.density_error.unbind(1)
    assert bool((beyond >= 0).all())
    kept = model.log_prob(x, y).detach() - exact
    assert ((kept < 1.96 * error + beyond) & (-1.96 * error < kept)).double().mean() > 0.85


def test_log_probs_of_annealing_are_overstated_in_expectation():
    """Over 2000 runs, by half the squared error; the mean of Z itself is exact."""
    model = build(K=2000, D=2)
    model.network.V_Y.weight.data[:] = model.network.V_Y.weight[0].clone()  # all sources alike
    rows = Noise(1).uniform(200, 2).square()
    base = base_of(begin_base(rows, model.settings, Noise(0)), model.settings)
    found = annealed_normaliser(model.network, base, 3, 32, Noise(1))
    gap = model.log_normaliser(48)[0].detach() - found.value
    error = gap.std() / 2000**0.5
    assert gap.mean() > 5 * error
    assert 0.5 < gap.mean() / (gap.var() / 2) < 2
    ratio = (-gap).exp()
    assert (ratio.mean() - 1).abs() < 4 * ratio.std() / 2000**0.5


def test_two_rules_agree():
    x, y = Noise(1).uniform(50, 2), torch.arange(50) % 2
    legendre, curtis = (build(rule=rule) for rule in ("gauss-legendre", "clenshaw-curtis"))
    found = curtis.log_prob(x, y)
    assert torch.allclose(legendre.log_prob(x, y), found, atol=1e-6)
    told = curtis.estimate_log_prob(x, y, noise=Noise(0)).method
    assert told == "clenshaw-curtis quadrature, 128 nodes per axis"
    assert not torch.equal(build(rule="clenshaw-curtis", nodes=2).log_prob(x, y), found)


# Finite grids.


@pytest.mark.parametrize(("D", "nodes"), [(2, 8), (6, 3)])
def test_a_grid_is_a_sum_over_its_cells(D, nodes):
    model = build(D=D, rule="grid", nodes=nodes, gain=1.3)
    centres, _ = midpoints(nodes, D)
    x = Noise(1).uniform(20, D)
    cells = list(itertools.product(range(nodes), repeat=D))
    for k in range(2):
        y = torch.full((nodes**D,), k)
        assert abs(model.log_prob(centres, y).exp().mean().item() - 1) < 1e-9
        points = torch.tensor([[(i + 0.5) / nodes for i in cell] for cell in cells], dtype=x.dtype)
        w = (-model.network(points, y)).exp().detach()
        found = model.log_prob(x, y[:20]).detach()
        for i in range(20):
            own = cells.index(tuple((x[i] * nodes).int().tolist()))
            by_hand = math.log(w[own] / w.sum() * nodes**D)
            assert found[i].item() == pytest.approx(by_hand, abs=1e-12)
    ends = model.log_prob(torch.tensor([[0.0] * D, [1.0] * D]).double(), torch.zeros(2).long())
    assert torch.equal(ends, model.log_prob(centres[[0, -1]], torch.zeros(2).long()))
    told = model.estimate_log_prob(x, torch.zeros(20).long(), noise=Noise(0))
    assert (told.method, told.standard_error.max()) == ("enumeration of a finite grid", 0)


@pytest.mark.parametrize(("D", "nodes"), [(2, 8), (6, 3)])
def test_samples_of_a_grid_have_the_frequencies_of_its_cells(D, nodes):
    model, n = build(D=D, rule="grid", nodes=nodes), 60_000
    y = torch.arange(n) % 2
    x = model.sample(y, noise=Noise(0))
    cells = (x * nodes).long() @ nodes ** torch.arange(D).flip(0)
    for k in range(2):
        p = model.log_prob(midpoints(nodes, D)[0], torch.full((nodes**D,), k)).exp().detach()
        counts = torch.bincount(cells[y == k], minlength=nodes**D)
        assert pearson(counts, p / nodes**D) < 4
        assert pearson(counts, torch.full_like(p, nodes**-D)) > 20
    for j in range(D):
        assert kstest((x[:, j] * nodes % 1).numpy(), "uniform").pvalue > 1e-3


def test_a_grid_that_is_trained_takes_the_frequencies_of_the_rows():
    """One source per network and cell: the likelihood is highest where p is the frequency."""
    counts = torch.tensor([[40, 5, 20, 35], [10, 50, 30, 10]])
    x = torch.cat([torch.arange(4).repeat_interleave(row) for row in counts])[:, None] / 4 + 0.1
    y = torch.arange(2).repeat_interleave(100)
    options = {"rule": "grid", "nodes": 4, "batch": "all", "updates": 500, "validation": 0}
    settings = EnergySettings.parse(FEW | options | {"weight_decay": 0.0, "passes": 1})
    model = Energy(settings, K=2, D=1)
    fit(model, TrainingData.plain(x.double(), y), names=("a", "b"), settings=settings)
    for k in range(2):
        p = model.log_prob(midpoints(4, 1)[0], torch.full((4,), k)).exp().detach() / 4
        assert torch.allclose(p, counts[k] / 100, atol=1e-3)


# Samplers.


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
    assert model.fitted["r_hat"][0] == model.r_hat.max() < 1.1
    assert model.fitted["effective samples"][0] == model.effective.min() > 100
    assert "annealing error" not in model.fitted
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


def test_what_is_known_of_chains_and_weights_is_told(quick):
    model = finished(build(K=3, D=4, **FINISH))
    expected = {
        "annealing error": (model.annealed_high - model.annealed).max(),
        "effective weights": model.weights.min(),
        "r_hat": model.r_hat.max(),
        "effective samples": model.effective.min(),
    }
    assert {name: [value.item()] for name, value in expected.items()} == model.fitted
    assert all(math.isfinite(value) for value in expected.values())
    assert model.fitted["r_hat"][0] >= 1 - 1e-2
    assert 1 <= model.fitted["effective weights"][0] <= 12  # a quarter of 16 was the pilot's


# Behind other faces.


def parted(D: int) -> PartitionedModel:
    def block(K: int) -> Energy:
        return finished(build(K=K, D=D, seed=K, gain=1.0, **annealing(D)), seed=K)

    return PartitionedModel(Partition(((0, 2), (1,))), block, tuple("abcd"))


def test_a_partition_routes_estimates_and_their_errors(quick):
    model, x = parted(4), Noise(1).uniform(9, 4)
    y = torch.tensor([2, 1, 0, 0, 1, 2, 1, 2, 0])
    found = model.estimate_log_prob(x, y, noise=Noise(7))
    assert found.bias == "overstates"
    for j, local in ((0, {0: 0, 2: 1}), (1, {1: 0})):
        rows = torch.tensor([i for i, k in enumerate(y.tolist()) if k in local])
        sources = torch.tensor([local[int(y[i])] for i in rows])
        block: Any = model.block(j)
        alone = block.estimate_log_prob(x[rows], sources, noise=Noise(7).of("block", j))
        assert torch.equal(found.value[rows], alone.value)
        assert torch.equal(found.standard_error[rows], alone.standard_error)
        assert alone.method in found.method
    first, second = (model.block(j).density_error for j in (0, 1))
    assert first is not None
    assert second is not None
    assert torch.equal(model.density_error[:3], torch.stack([first[0], second[0], first[1]]))
    assert bool(model.density_error[3].isnan().all())
    exact = parted(2)
    assert exact.density_error[:3, 0].tolist() == [0, 0, 0]
    assert bool((exact.density_error[:3, 1] < 1e-3).all())
    assert exact.estimate_log_prob(x[:, :2], y, noise=Noise(0)).bias == "none"


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
    assert torch.equal(again.log_prob(x, y), model.log_prob(x, y))
    assert bool(model.log_prob(x, y).isfinite().all())
    assert torch.equal(again.sample(y, noise=Noise(2)), model.sample(y, noise=Noise(2)))
    estimates = [m.estimate_log_prob(x, y, noise=Noise(3)) for m in (model, again)]
    assert torch.equal(estimates[0].value, estimates[1].value)
    assert again.fitted == model.fitted
