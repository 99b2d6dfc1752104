import builtins
import math

import pytest
import torch

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.registry import family
from sourcewise.families.spline_flow.model import SplineFlow
from sourcewise.families.spline_flow.settings import SplineFlowSettings
from sourcewise.metrics.distributions import log_prob
from sourcewise.metrics.log_likelihood import density
from sourcewise.partition import Partition
from sourcewise.randomness import Noise

SMALL = {"width": 12, "layers": 1, "bins": 4, "dropout": 0.0}


def model(d=3, K=2, C=0, seed=0, spread=1.0, dtype=torch.float64, **values) -> SplineFlow:
    """Parameters `spread` times as large as at the start: far from the identity where it is 10."""
    out = SplineFlow(SplineFlowSettings.parse(SMALL | values), K=K, d=d, C=C).to(dtype)
    out.reset(Noise(seed))
    with torch.no_grad():
        for parameter in out.parameters():
            parameter.mul_(spread)
    return out.eval()


def rows(n: int, d=3, seed=0) -> torch.Tensor:
    return 2.5 * Noise(seed).normal(n, d)  # some beyond the box of the splines


@pytest.mark.parametrize("transforms", [1, 2, 3])
def test_the_density_of_one_column_integrates_to_one(transforms):
    tested = model(d=1, seed=transforms, spread=3.0, transforms=transforms)
    grid = torch.linspace(-60, 60, 20_001, dtype=torch.float64)
    for k in (0, 1):
        labels = torch.full((len(grid),), k)
        total = torch.trapezoid(log_prob(tested, grid[:, None], labels).exp(), grid)
        assert float(total.detach()) == pytest.approx(1, abs=1e-4)


def test_the_density_of_two_columns_integrates_to_one():
    tested = model(d=2, seed=3, spread=2.0)
    line = torch.linspace(-20, 20, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    values = log_prob(tested, grid, torch.ones(len(grid), dtype=torch.int64)).exp().detach()
    total = torch.trapezoid(torch.trapezoid(values.view(401, 401), line), line)
    assert float(total) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("C", [0, 2])
def test_the_inverse_inverts(d, C):
    tested = model(d=d, C=C, spread=3.0, layers=2).network
    x, y = rows(200, d), Noise(1).integers(2, 200)
    c = Noise(2).normal(200, C) if C else None
    with torch.no_grad():
        z, _ = tested(x, y, c)
        back = tested.inverse(z, y, c)
    assert not torch.allclose(z, x, atol=0.1)
    assert torch.allclose(back, x, rtol=0, atol=1e-8)


def test_the_log_determinant_is_that_of_the_jacobian():
    tested, x, y = model(d=4, spread=3.0).network, rows(6, 4), torch.tensor([0, 1, 0, 1, 1, 0])
    found = tested(x, y)[1].detach()
    for i in range(6):
        jacobian = torch.autograd.functional.jacobian(
            lambda row, i=i: tested(row[None], y[i : i + 1])[0][0], x[i]
        )
        assert isinstance(jacobian, torch.Tensor)
        assert float(found[i]) == pytest.approx(float(torch.linalg.slogdet(jacobian)[1]), abs=1e-9)


def test_draws_follow_the_density():
    """The share of draws below a threshold is the integral of the density up to there."""
    tested, n = model(d=1, seed=4, spread=4.0), 20_000
    grid = torch.linspace(-40, 40, 20_001, dtype=torch.float64)
    for k in (0, 1):
        mass = log_prob(tested, grid[:, None], torch.full((len(grid),), k)).exp().detach()
        below = torch.cumulative_trapezoid(mass, grid)
        drawn = tested.sample(torch.full((n,), k), Noise(5))[:, 0]
        for share in (0.1, 0.5, 0.9):
            threshold = grid[int((below < share).sum())]
            found = float((drawn < threshold).double().mean())
            assert abs(found - share) < 4 * math.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@pytest.mark.parametrize(("d", "C"), [(3, 0), (1, 0), (3, 2)])
def test_stacked_models_equal_single_ones(dtype, close, d, C):
    singles = [model(d, C=C, seed=s, dtype=dtype, spread=2.0) for s in range(3)]
    x = torch.stack([rows(6, d, seed=s) for s in range(3)]).to(dtype)
    y = torch.stack([Noise(s).of("y").integers(2, 6) for s in range(3)])
    c = Noise(9).normal(3, 6, C).to(dtype) if C else None
    stacked = model(d, C=C, dtype=dtype)
    for name, parameter in stacked.named_parameters():
        parameter.data = torch.stack([m.get_parameter(name).detach() for m in singles])
    loss = stacked.loss(Batch.of(x, y, c), Noise(0))
    loss.sum().backward()
    for s, single in enumerate(singles):
        alone = single.loss(Batch.of(x[s], y[s], None if c is None else c[s]), Noise(0))
        alone.sum().backward()
        assert torch.allclose(loss[s], alone, rtol=close, atol=close)
        for name, parameter in single.named_parameters():
            gradient = stacked.get_parameter(name).grad
            assert parameter.grad is not None
            assert gradient is not None
            assert torch.allclose(gradient[s], parameter.grad, rtol=close, atol=close), name


def test_labels_and_given_columns_matter_to_every_column():
    tested, x = model(d=3, C=1, spread=3.0).network, rows(50)
    y, c = torch.zeros(50, dtype=torch.int64), Noise(3).normal(50, 1)
    z, other, moved = (tested(x, *at)[0] for at in ((y, c), (y + 1, c), (y, c + 1)))
    assert bool(((z - other).abs().amax(0) > 1e-3).all())
    assert bool(((z - moved).abs().amax(0) > 1e-3).all())


def test_a_step_is_autoregressive():
    step, x = model(d=4, spread=3.0, width=16).network.steps[0], rows(20, 4)
    y = torch.zeros(20, dtype=torch.int64)
    z = step(x, y, None)[0]
    for j in range(4):
        other = x.clone()
        other[:, j] += 0.5
        moved = (step(other, y, None)[0] - z).abs().amax(0)
        assert bool((moved[:j] == 0).all())
        assert bool((moved[j:] > 0).all())


def test_dropout_is_keyed_and_off_outside_training():
    tested, x, y = model(dropout=0.5).train(), rows(10), torch.zeros(10, dtype=torch.int64)
    one, same, other = (tested.loss(Batch.of(x, y), Noise(s)) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert torch.allclose(tested.eval().loss(Batch.of(x, y), Noise(0)), -log_prob(tested, x, y))


def bent(n: int, seed: int) -> sw.Sources:
    """Two columns z_1 and z_2 / 2 + z_1^2 of standard normal z."""
    z = Noise(seed).normal(n, 2)
    x = torch.stack([z[:, 0], 0.5 * z[:, 1] + z[:, 0].square()], 1)
    return sw.Sources(x, torch.arange(n) % 2, ("a", "b"))


@pytest.mark.slow
def test_it_learns_a_bent_normal_almost_to_its_entropy():
    """Nobody can expect to score better than minus the entropy."""
    values = {"updates": 250, "passes": 1, "learning_rate": 0.01, "ema": 0.99}
    found = sw.train(bent(2000, 0), model="spline-flow", strategy="pooled", set=values)
    trained, fresh = found.models["pooled"], bent(2000, 1)
    coding = trained.encoder.coding
    held = trained.held_out(fresh, coding.prepare(fresh.x, Noise(2).each(fresh.y)), fresh.y)
    scores = density(trained.model, held.batch, Noise(0)).value + held.log_det
    best = -(math.log(2 * math.pi * math.e) + math.log(0.5))
    assert best - 0.12 < float(scores.mean()) < best + 4 * float(scores.std()) / math.sqrt(2000)


def test_rows_with_gaps_are_refused_in_one_line():
    x = Noise(0).normal(60, 2)
    x[3, 1] = torch.nan
    data = sw.Sources(x, torch.arange(60) % 2, ("a", "b"))
    for missing in ("refuse", "impute"):
        with pytest.raises(InputError, match="--missing drop leaves these rows out; this family"):
            sw.train(data, model="spline-flow", missing=missing)


def test_without_zuko_the_families_are_listed_and_one_line_says_what_to_install(monkeypatch):
    plain = builtins.__import__

    def without(name, *args, **more):
        if name.startswith("zuko"):
            raise ImportError(name)
        return plain(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    chosen = family("spline-flow")
    with pytest.raises(InputError, match=r"needs zuko: pip install 'sourcewise\[flows\]'"):
        chosen.build(chosen.parse({}), K=2, d=3)


def test_separate_models_train_at_the_same_time():
    """And each becomes what it becomes alone."""
    data = sw.Sources(Noise(0).normal(400, 2), torch.arange(400) % 2, ("a", "b"))
    values = {"updates": 20, "passes": 1, "batch": 50, "precision": "float64", **SMALL}
    found = [
        sw.train(data, model="spline-flow", strategy="separate", set=values, stacked=stacked)
        for stacked in (True, False)
    ]
    together, alone = (item.models["separate"].model for item in found)
    assert together.partition == Partition.separate(2)
    for (name, a), b in zip(together.named_parameters(), alone.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-9), name
