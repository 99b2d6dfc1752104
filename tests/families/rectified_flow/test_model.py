"""Rectified flows: pairs, how straight parts are, what they map noise to, their density."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.execution import Execution
from sourcewise.families.flow.model import Flow
from sourcewise.families.rectified_flow.model import RectifiedFlow, times
from sourcewise.families.rectified_flow.settings import (
    RectifiedFlowSampling,
    RectifiedFlowSettings,
)
from sourcewise.networks.magnitude import fixed_weights
from sourcewise.randomness import Noise
from sourcewise.samplers import odes
from sourcewise.samplers.paths import PATHS
from sourcewise.samplers.straightness import straightness
from sourcewise.theory.rectified_mixture import Mixture
from sourcewise.training import TrainingData, fit
from sourcewise.training.stack import StepNoise
from sourcewise.truths.normal_mixture import NormalMixture

NAMES = ("left", "right")
METRICS = ("log-likelihood", "energy-distance", "kernel-distance")
QUICK = {"passes": 1e-6, "updates": 500, "batch": 128, "width": 32, "lengths": (), "ema": 0.99}


def rows(n: int = 2000) -> tuple[Tensor, Tensor]:
    """Two normals for each of two sources, moved to the left or the right."""
    y, noise = torch.arange(n) % 2, Noise(0)
    side = 2 * noise.of("side").integers(2, n) - 1
    centre = torch.stack([0.6 * (2 * y - 1), 1.2 * side], 1)
    return (centre + 0.3 * noise.of("around").normal(n, 2)).float(), y


def made(count: int = 2, distilled: bool = False, **sizes: object) -> RectifiedFlow:
    settings = RectifiedFlowSettings.parse(
        QUICK | {"rectifications": count, "distilled": distilled, "levels": (1, 2)}
    )
    model = RectifiedFlow(settings, **{"K": 2, "d": 2, **sizes})
    model.reset(Noise(0))
    return model.eval()


@pytest.fixture(scope="module")
def trained() -> RectifiedFlow:
    model = made(2, distilled=True)
    fit(model, TrainingData.plain(*rows()), names=NAMES, noise=Noise(1))
    return model.eval()


def field(flow: Flow, y: Tensor) -> odes.Velocity:
    label = torch.eye(flow.K)[y]
    return lambda x, t: flow.velocity(x, t.to(x).expand(len(x)), label)


def ends(flow: Flow, n: Tensor, y: Tensor, steps: int = 100, method: str = "rk4") -> Tensor:
    with torch.no_grad(), fixed_weights(flow.network):
        return odes.solve(field(flow, y), n, torch.linspace(0, 1, steps + 1), method).x


def asked(n: int = 400) -> tuple[Tensor, Tensor]:
    """Noise and sources."""
    return Noise(7).normal(n, 2).float(), torch.arange(n) % 2


def batch(n: int, width: int = 2) -> Batch:
    return Batch.of(torch.full((n, width), torch.nan), torch.arange(n) % 2)


@pytest.mark.parametrize("sizes", [{"d": 2}, {"d": 0, "shape": (1, 4, 4)}])
def test_a_pair_is_noise_and_where_the_flow_leads_it(sizes):
    """Whatever the rows of the batch: only their labels count."""
    flow = made(1, **sizes).flow(0)
    flow.network.gain.data.fill_(0.7)
    pairs = flow.pairs(batch(6), StepNoise([Noise(3)], [6]), steps=5)
    for i in range(6):
        n, y = pairs.n[i : i + 1], torch.tensor([i % 2])
        alone = ends(flow, n, y, 5, "heun")
        torch.testing.assert_close(pairs.x[i : i + 1], alone, rtol=1e-5, atol=1e-5)
    assert torch.equal(pairs.label, torch.eye(2)[torch.arange(6) % 2])
    flow.network.gain.data.zero_()
    still = flow.pairs(batch(6), StepNoise([Noise(3)], [6]), steps=5)
    assert torch.equal(still.x, still.n)


def test_the_loss_of_a_pair_is_that_of_its_own_ends():
    """Half of `|v - (x - n)|^2` on the way between them, row by row."""
    model = made(2)
    for part in model.parts:
        part.network.gain.data.fill_(0.7)
    noise = StepNoise([Noise(3)], [8])
    pairs = model.flow(0).pairs(batch(8), noise, 5)
    t = torch.linspace(0, 1, 8)
    on_way = (1 - t)[:, None] * pairs.n + t[:, None] * pairs.x
    v = model.flow(1).velocity(on_way, t, pairs.label)
    expected = 0.5 * (v - (pairs.x - pairs.n)).square().sum(1)
    found = model.flow(1).paired_loss(pairs, t, noise)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_each_row_keeps_its_noise_with_its_draw():
    """What is handed to the next part, and what a batch of it takes."""
    model = made(2)
    model.flow(0).network.gain.data.fill_(0.7)
    rows = batch(5)
    assert model.handed(1, batch(128 * 100), Noise(2)).tensor.shape[1] == 5 * 2 * 2  # seen 5 times
    handed, M = model.handed(1, rows, Noise(2)), model.settings.pairs
    assert handed.tensor.shape == (5, M * 2 * 2)
    which = torch.tensor([0, 3, 15, 3, 7])
    chosen = model.flow(1).paired(handed, which)
    for i, m in enumerate(which.tolist()):
        one = model.flow(0).pairs(rows, Noise(2).of("pair", m), model.settings.pair_steps)
        assert torch.equal(chosen.n[i], one.n[i])
        assert torch.equal(chosen.x[i], one.x[i])
    both = [torch.stack([v, v.flip(0)]) for v in (handed.tensor, handed.y)]
    several = Batch(both[0], both[1], None, rows.size)
    stacked = model.flow(1).paired(several, torch.stack([which, which.flip(0)]))
    assert torch.equal(stacked.x, torch.stack([chosen.x, chosen.x.flip(0)]))
    assert model.handed(0, rows, Noise(2)) is rows


def test_pairs_of_training_are_simulated_well(trained):
    """Heun's steps of the usual number are within a hundredth of the exact way."""
    flow, (n, y) = trained.flow(0), asked()
    exact = ends(flow, n, y, 400)
    away = ends(flow, n, y, trained.settings.pair_steps, "heun") - exact
    assert float(away.square().sum(1).mean().sqrt()) < 0.02


@pytest.mark.slow
def test_a_fourth_flow_is_as_straight_and_leads_to_the_same():
    """Each is of the pairs of the one before: what all of them add is small."""
    model, (n, y) = made(4), asked()
    fit(model, TrainingData.plain(*rows()), names=NAMES, noise=Noise(1))
    first, *later = model.eval().bends.tolist()
    assert len(later) == 3
    assert max(later) < 0.1 * first
    far = ends(model.flow(3), n, y, 1, "euler") - ends(model.flow(0), n, y)
    assert float(far.square().sum(1).mean().sqrt()) < 0.2


def test_the_second_part_is_straighter_and_leads_to_the_same(trained):
    n, y = asked()
    grid = torch.linspace(0, 1, 17, dtype=torch.float64)
    with torch.no_grad():
        first, second = (
            straightness(field(trained.flow(i), y), n, grid, parts=2) for i in range(2)
        )
    assert second.value + 4 * second.error < 0.2 * first.value
    assert second.gamma < first.gamma
    one_step = [ends(trained.flow(i), n, y, 1, "euler") for i in range(2)]
    exact = ends(trained.flow(0), n, y)
    away = [float((x - exact).square().sum(1).mean().sqrt()) for x in one_step]
    assert away[1] < 0.35 * away[0]


def test_a_trained_model_tells_how_bent_its_flows_are(trained):
    """As found from other noise, within four standard errors of a hundred ways."""
    n, y = asked()
    grid = torch.linspace(0, 1, 17, dtype=torch.float64)
    for i, told in enumerate(trained.diagnostics()):
        with torch.no_grad():
            found = straightness(field(trained.flow(i), y), n, grid, parts=2)
        assert told.name == f"bend of flow {i + 1}"
        assert abs(told.values[0] - found.value) < 4 * found.error * (1 + 400 / 100) ** 0.5
    assert len(trained.diagnostics()) == 2
    assert made().diagnostics() == []
    one = made(1)
    rows = one.handed(1, batch(5), Noise(0))
    assert torch.equal(rows.tensor.isnan(), torch.ones(5, 2).bool())
    assert [d.name for d in one.diagnostics()] == ["bend of flow 1"]


def test_the_distilled_part_does_in_one_step_what_the_last_flow_does(trained):
    n, y = asked()
    exact, drawn = ends(trained.flow(1), n, y), ends(trained.flow(2), n, y, 1, "euler")
    spread = float((exact - exact.mean(0)).square().sum(1).mean().sqrt())
    assert float((drawn - exact).square().sum(1).mean().sqrt()) < 0.2 * spread
    each = Noise(9).each(y)
    start = each.of("start").normal(2).float()
    torch.testing.assert_close(
        trained.sample(y, each), ends(trained.flow(2), start, y, 1, "euler")
    )


class Known(Flow):
    """The exact field of a mixture on the line."""

    truth = NormalMixture(
        torch.tensor([[0.3, 0.7]]).double(),
        torch.tensor([[[-1.4], [0.6]]]).double(),
        torch.full((1, 2), 0.4).double(),
    )

    def velocity(self, x_t, t, label, c=None):
        y = torch.zeros(len(x_t), dtype=torch.int64)
        return self.truth.velocity(x_t.double(), y, PATHS["linear"].at(t[:, None].double()))


def test_on_the_line_pairs_are_those_of_the_monotone_map():
    """Of the exact first field, so that the second flow begins with straight ways."""
    model = made(2, K=1, d=1)
    model.flows[0] = Known(model.settings, K=1, d=1)
    rows = Batch.of(torch.zeros(300, 1), torch.zeros(300).long())
    pairs = model.flow(0).pairs(rows, StepNoise([Noise(3)], [300]), steps=300)
    wanted = Mixture([[-1.4], [0.6]], [0.3, 0.7], 0.4).monotone_map(pairs.n[:, 0].numpy())
    torch.testing.assert_close(pairs.x[:, 0].double(), torch.from_numpy(wanted), rtol=0, atol=1e-3)
    order = pairs.n[:, 0].argsort()
    assert bool((pairs.x[order, 0].diff() >= 0).all())


def test_the_density_of_the_second_flow_integrates_to_one(trained):
    flow = trained.flow(1)
    axis = torch.linspace(-3.5, 3.5, 61)
    x, area = torch.cartesian_prod(axis, axis), float(axis[1] - axis[0]) ** 2
    for k in range(2):
        y = torch.full((len(x),), k)
        value = flow.log_density(Batch.of(x, y), Noise(0)).value
        assert float(value.exp().sum()) * area == pytest.approx(1, abs=1e-3)


def test_the_density_is_that_of_the_last_flow():
    model, (x, y) = made(2), rows(20)
    model.flow(1).network.gain.data.fill_(0.7)
    found = model.log_density(Batch.of(x, y), Noise(0))
    assert torch.equal(found.value, model.flow(1).log_density(Batch.of(x, y), Noise(0)).value)
    normal = -0.5 * x.double().square().sum(1) - math.log(2 * math.pi)
    assert float((found.value - normal).abs().max()) > 0.1
    assert found.kind == "exact"


def test_times_are_dense_at_both_ends():
    """Their distribution function is `(1 + sinh(a (2 t - 1)) / sinh(a)) / 2`, a = 2."""
    share = torch.linspace(0, 1, 101, dtype=torch.float64)
    again = (1 + torch.sinh(2 * (2 * times(share) - 1)) / math.sinh(2)) / 2
    torch.testing.assert_close(again, share, rtol=0, atol=1e-12)


class Killed(Exception):
    pass


def test_a_training_that_is_killed_in_its_second_part_goes_on_to_the_same_bits(tmp_path: Path):
    def learn(folder=None, progress=None):
        model = made(2, distilled=True)
        data, where = TrainingData.plain(*rows(300)), Execution(checkpoint=0)
        settings = model.settings.model_copy(update={"updates": 40, "check": 10})
        fit(
            model,
            data,
            names=NAMES,
            settings=settings,
            execution=where,
            folder=folder,
            progress=progress,
        )
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    def kill(done: int, total: int) -> None:
        if done > 0.5 * total:
            raise Killed

    with pytest.raises(Killed):
        learn(tmp_path, kill)
    shares: list[float] = []
    again = learn(tmp_path, lambda done, total: shares.append(done / total))
    assert shares[0] > 0.3
    assert torch.equal(again, learn())


def test_what_decides_follows_the_settings_and_the_data():
    plain, one = (RectifiedFlowSettings(distilled=flag) for flag in (False, True))
    assert plain.judged_by(METRICS, "table") == METRICS
    assert one.judged_by(METRICS, "table") == METRICS[1:]
    assert plain.judged_by(METRICS, "images") == METRICS[:0:-1]


def test_what_a_distilled_flow_cannot_do_is_refused():
    model, y = made(1, distilled=True), torch.zeros(3).long()
    for steps, sampler in ((2, "euler"), (1, "heun")):
        with pytest.raises(InputError, match="one step of euler"):
            model.sample(y, Noise(0), steps=steps, sampler=sampler)
    with pytest.raises(InputError, match="no density"):
        model.log_density(batch(3), Noise(0))
    with pytest.raises(InputError, match="early=0"):
        RectifiedFlowSettings.parse({"early": 0.2})
    assert RectifiedFlowSampling().steps == 0
