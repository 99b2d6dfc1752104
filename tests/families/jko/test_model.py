"""The JKO flow: blocks that are steps of the scheme, its density, and its draws."""

import math

import numpy as np
import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.jko.model import JKOFlow
from sourcewise.families.jko.residual import followed
from sourcewise.families.jko.settings import JKOSettings
from sourcewise.networks.layers import reset
from sourcewise.randomness import Noise
from sourcewise.theory import jko, jko_normal
from sourcewise.training import TrainingData, fit
from sourcewise.training.stack import StepNoise

NAMES = ("a", "b")
SMALL = {"width": 8, "blocks": 2, "steps": 2, "dropout": 0.0}
TURN = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / math.sqrt(2)


def model(d=2, K=2, C=0, seed=0, spread=3.0, **values) -> JKOFlow:
    """Parameters `spread` times as large as at the start."""
    out = JKOFlow(JKOSettings.parse(SMALL | values), K=K, d=d, C=C).double()
    for number, block in enumerate(out.parts):
        reset(block, Noise(seed).of(number))
    with torch.no_grad():
        for parameter in out.parameters():
            parameter.mul_(spread)
    return out.eval()


def standard(n: int, seed: int) -> torch.Tensor:
    """(n, 2) of mean 0 and covariance I."""
    z = Noise(seed).normal(n, 2)
    z = z - z.mean(0)
    L = torch.linalg.cholesky(z.T @ z / n)
    return torch.linalg.solve_triangular(L, z.T, upper=False).T


def affine(scale, shift, gamma: float) -> JKOFlow:
    """A block that is affine: `x' = exp(A) x + shift`, on the axes of `TURN`."""
    out = JKOFlow(JKOSettings.parse({"width": 1, "blocks": 1}), K=1, d=2).double()
    block, log = out.parts[0], torch.tensor(scale, dtype=torch.float64).log()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        block.straight.weight.copy_(TURN @ torch.diag(log) @ TURN.T)
        mean = torch.tensor(shift, dtype=torch.float64) * log / torch.expm1(log)
        block.means.weight.copy_((TURN @ mean)[None])
    out.gamma[0] = gamma
    return out.eval()


def test_the_density_of_two_columns_integrates_to_one():
    line = torch.linspace(-12, 12, 81, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    for k in (0, 1):
        density = model(seed=3).log_density(Batch.of(grid, torch.full((len(grid),), k)), Noise(0))
        assert density.kind == "exact"
        assert density.shared is not None
        assert float(density.shared.either_way[k]) < 1e-4
        total = torch.trapezoid(torch.trapezoid(density.value.exp().view(81, 81), line), line)
        assert float(total) == pytest.approx(1, abs=1e-3)


def test_the_error_that_a_density_tells_is_that_of_its_steps():
    tested, y = model(d=3, seed=1), torch.arange(200) % 2
    batch = Batch.of(Noise(1).normal(200, 3), y)
    found = tested.log_density(batch, Noise(0))
    with torch.no_grad():
        better = tested._log_p(batch, 64)
    errors = (found.value - better).abs()
    assert found.shared is not None
    for k, told in enumerate(found.shared.either_way.tolist()):
        assert float(errors[y == k].mean()) == pytest.approx(told, rel=0.5)


@pytest.mark.parametrize("C", [0, 2])
def test_draws_go_back_to_the_noise_they_are_made_of(C):
    tested, y = model(d=3, C=C), torch.arange(100) % 2
    c = Noise(2).normal(100, C) if C else None
    x = tested.sample(y, Noise(3), c)
    z = x
    with torch.no_grad():
        for block in tested.parts:
            z, _ = block(z, y, c, 16)
    expected = Noise(3).each(y).normal(3)
    assert float((x - expected).abs().max()) > 0.1
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-6)


def test_an_affine_block_has_the_density_and_the_residual_of_normal_laws():
    """The closed form of both, and the residual of a map that is no exact step."""
    m, s, gamma = np.array([2.0, -1.0]), np.array([1.7, 0.6]), 0.5
    after = jko_normal.step(m, s, gamma, a=[0.3, -0.2], b=[0.1, 0.4])
    scale = after[1] / s
    tested = affine(scale, after[0] - scale * m, gamma)
    x = (torch.tensor(m) + torch.tensor(s) * standard(500, 0)) @ TURN.T
    batch = Batch.of(x, torch.zeros(500, dtype=torch.int64))
    normal = torch.distributions.Normal(torch.tensor(m), torch.tensor(s))

    def log_p(at: torch.Tensor) -> torch.Tensor:
        return normal.log_prob(at @ TURN).sum(1)

    (found,) = followed(tested, batch, log_p)
    own = found.x @ TURN
    torch.testing.assert_close(own.mean(0), torch.tensor(after[0]), rtol=0, atol=1e-7)
    torch.testing.assert_close(own.std(0, correction=0), torch.tensor(after[1]), rtol=0, atol=1e-7)
    mean, spread = map(torch.tensor, after)
    moved = torch.distributions.Normal(mean, spread).log_prob(own).sum(1)
    torch.testing.assert_close(found.log_p, moved, rtol=0, atol=1e-6)
    a, b = (torch.tensor(v) for v in jko_normal.residual(m, s, after, gamma))
    z = (own - torch.tensor(after[0])) / torch.tensor(after[1])
    torch.testing.assert_close(found.residual @ TURN, a + b * z, rtol=0, atol=1e-6)
    assert found.eps == pytest.approx(0.30**0.5, abs=1e-6)


def trained(rows: torch.Tensor, y: torch.Tensor, **values) -> JKOFlow:
    settings = {
        "validation": 0.0,
        "passes": 1e-9,
        "batch": 500,
        "ratio": 1.0,
        "steps": 2,
        "dropout": 0.0,
        "learning_rate": 5e-3,
    } | values
    out = JKOFlow(JKOSettings.parse(settings), K=int(y.max()) + 1, d=rows.shape[1])
    fit(out, TrainingData.plain(rows, y), names=NAMES[: out.K])
    return out.eval()


def test_a_trained_block_is_a_step_of_the_scheme():
    """The covariance of the paper's own configuration."""
    root = torch.tensor([12.0, 2.0], dtype=torch.float64).sqrt()
    y = torch.zeros(2000, dtype=torch.int64)
    rows = (standard(2000, 0) * root) @ TURN.T
    tested = trained(rows, y, blocks=1, gamma=10.0, updates=250, batch=1000, steps=3, width=16)
    x = (standard(4000, 1) * root) @ TURN.T
    with torch.no_grad():
        end, _ = tested._through(0, x, Batch.of(x, torch.zeros(4000, dtype=torch.int64)))
    found = end.T @ end / 4000
    expected = torch.tensor([[1.1516, 0.1114], [0.1114, 1.1516]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02 * 1.1516)
    assert float(end.mean(0).abs().max()) < 0.02


def test_trained_blocks_follow_the_recursion_and_keep_to_its_bounds():
    m, s, gamma = np.array([1.5, -0.5]), np.array([0.6, 1.6]), 0.5
    y = torch.zeros(2000, dtype=torch.int64)
    rows = torch.tensor(m) + torch.tensor(s) * standard(2000, 0)
    tested = trained(rows, y, blocks=3, gamma=gamma, updates=150, batch=250, width=16)
    normal = torch.distributions.Normal(torch.tensor(m), torch.tensor(s))
    start, eps = jko_normal.w2(m, s), 0.0
    batch = Batch.of(torch.tensor(m) + torch.tensor(s) * standard(1000, 1), y[:1000])
    found = followed(tested, batch, lambda x: normal.log_prob(x).sum(1), steps=8)
    for n, after in enumerate(found, 1):
        m, s = jko_normal.step(m, s, gamma)
        mean, spread = after.x.mean(0).numpy(), after.x.std(0, correction=0).numpy()
        assert np.abs((mean - m) / s).max() < 0.02
        assert np.abs(spread / s - 1).max() < 0.02
        eps = max(eps, after.eps)
        assert eps < 0.3
        assert float(tested.residual[n - 1]) <= after.eps + 0.02
        assert jko_normal.w2(mean, spread) < jko.w2_bound(start, gamma, 1, eps, n)
        kl = float((after.log_p + 0.5 * after.x.square().sum(1)).mean()) + math.log(2 * math.pi)
        assert kl == pytest.approx(jko_normal.kl(m, s), abs=0.02)
        assert kl < jko.kl_bound(start, gamma, 1, eps, n)
        assert kl < after.relative**2 / 2 + 0.01  # the logarithmic Sobolev inequality


def data(n=120, C=0) -> TrainingData:
    x = Noise(1).normal(n, 2) * torch.tensor([0.5, 2.0])
    rows = Batch.of(x, torch.arange(n) % 2, Noise(2).normal(n, C) if C else None)
    held = torch.arange(n) % 5 == 0
    return TrainingData(rows.take(~held), rows.take(held))


def flat(tested: JKOFlow) -> torch.Tensor:
    return torch.cat([v.double().flatten() for v in tested.state_dict().values()])


QUICK = SMALL | {"batch": 32, "passes": 1, "updates": 12, "check": 4, "blocks": 3}


def test_rows_of_a_block_are_those_that_the_blocks_before_it_leave():
    tested, noise = model(blocks=3, ratio=2.0), Noise(0)
    rows = data().merged()
    whole = rows
    for number in range(3):
        rows = tested.handed(number, rows, noise)
        assert rows.tensor.shape == (120, 4)
        assert float(rows.tensor[0, 3]) == 0.5 / (0.5 * 2**number)
        if number:
            before = tested.movement[number - 1]
            assert float(before) > 0
        loss = tested.part_loss(number, rows, StepNoise([noise], [120]))
        alone = JKOFlow(JKOSettings.parse(SMALL | {"blocks": number + 1}), K=2, d=2).double()
        alone.blocks = tested.blocks[: number + 1]
        moved = tested._through(number, rows.tensor[:, :2], rows)[0] - rows.tensor[:, :2]
        expected = -alone._log_p(whole, 16) + moved.square().sum(1) / (2**number)
        torch.testing.assert_close(loss, expected, rtol=0, atol=2e-3)
    assert bool(tested.movement[:2].isfinite().all())
    tested.handed(3, rows, noise)
    assert bool(torch.cat([tested.movement, tested.residual, tested.gamma]).isfinite().all())


def test_what_a_model_tells_of_its_steps():
    tested = model(blocks=2)
    assert tested.diagnostics() == []
    for name, values in (("gamma", (0.5, 2.0)), ("movement", (1, 3)), ("residual", (0.5, 0.25))):
        getattr(tested, name)[:] = torch.tensor(values)
    assert {told.name: told.values[0] for told in tested.diagnostics()} == {
        "last step size": 2.0,
        "movement over step size": 1.5,
        "largest affine part of a residual": 0.5,
    }


def test_a_block_begins_where_the_one_before_it_ended():
    tested = JKOFlow(JKOSettings.parse(QUICK | {"learning_rate": 1e-9}), K=2, d=2)
    fit(tested, data(), names=NAMES)
    first, *others = ([p.detach() for p in block.parameters()] for block in tested.parts)
    for other in others:
        for a, b in zip(first, other, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


class Killed(Exception):
    pass


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_killed_training_goes_on_to_the_same_bits(share, tmp_path):
    def run(folder=None, progress=None):
        tested = JKOFlow(JKOSettings.parse(QUICK | {"patience": 0}), K=2, d=2)
        often = Execution(checkpoint=0)
        efforts = fit(
            tested, data(), names=NAMES, execution=often, folder=folder, progress=progress
        )
        return flat(tested), efforts

    def kill(done: int, total: int) -> None:
        if done > share * total:
            raise Killed

    expected = run()
    with pytest.raises(Killed):
        run(tmp_path, kill)
    seen: list[float] = []
    found = run(tmp_path, lambda done, total: seen.append(done / total))
    assert seen[0] > share - 0.1
    assert torch.equal(expected[0], found[0])
    assert expected[1] == found[1]


def test_dropped_units_are_dropped_at_all_times_of_a_solution():
    """So that a block stays a flow: its integral is the log determinant of its map."""
    tested = model(dropout=0.4, steps=8).train()
    rows = tested.handed(0, Batch.of(Noise(1).normal(4, 2), torch.arange(4) % 2), Noise(0))
    masks = tested._masks(StepNoise([Noise(5)], [4]), rows.tensor)
    assert masks is not None
    assert torch.equal(masks(0), masks(0))
    assert not torch.equal(masks(0), masks(1))
    x = rows.tensor[:, :2]
    _, integral = tested.parts[0](x, rows.y, None, 16, masks)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: tested.parts[0](x, rows.y, None, 16, masks)[0].sum(0), x
    )
    assert isinstance(jacobian, torch.Tensor)
    log_det = torch.linalg.slogdet(jacobian.transpose(0, 1)).logabsdet
    torch.testing.assert_close(integral, log_det, rtol=0, atol=1e-5)
