"""Mixtures as a family: what they find, their marginals, conditionals and draws."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.mixture.model import Mixture
from sourcewise.families.mixture.sample import free_parameters
from sourcewise.families.mixture.settings import MixtureSettings
from sourcewise.families.mixture.sharing import Form
from sourcewise.randomness import Noise

F64 = torch.float64
NAMES = ("a", "b", "c")


def fit(
    x: Tensor, y: Tensor, c: Tensor | None = None, *, partial: bool = False, **settings
) -> Mixture:
    """Chosen by five parts, fitted to all rows."""
    K, C = int(y.max()) + 1, 0 if c is None else c.shape[1]
    model = Mixture(MixtureSettings(**settings), K=K, d=x.shape[1], C=C, partial=partial)
    batch = Batch.of(x, y, c)
    model.choose(batch, torch.arange(len(y)) % 5, NAMES)
    model.fit_exactly(batch, NAMES)
    return model


def density(model: Mixture, x: Tensor, y: int = 0, c: Tensor | None = None) -> Tensor:
    batch = Batch.of(x, torch.full((len(x),), y), c)
    return model.log_density(batch, Noise(0)).value.exp()


def planted(n: int, shares: list[list[float]]) -> tuple[Tensor, Tensor]:
    """Rows of three clusters in the plane, in other shares in each source."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % len(shares)
    j = np.array([rng.choice(3, p=shares[k]) for k in y])
    centers = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    x = centers[j] + rng.normal(size=(n, 2)) * np.array([[1.0], [0.5], [0.8]])[j]
    return torch.from_numpy(x), torch.from_numpy(y)


def test_it_recovers_a_planted_mixture():
    x, y = planted(1500, [[0.5, 0.3, 0.2]])
    model = fit(x, y)
    assert model.J == 3
    order = model.log_weight[0, :3].argsort(descending=True)
    weight, mean = model.log_weight[0, order].exp(), model.mean[0, order]
    assert weight.tolist() == pytest.approx([0.5, 0.3, 0.2], abs=0.04)
    wanted = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]], dtype=F64)
    torch.testing.assert_close(mean, wanted, atol=0.15, rtol=0)
    variances = model.covariance[order].diagonal(dim1=1, dim2=2)
    wanted = torch.tensor([[1.0] * 2, [0.25] * 2, [0.64] * 2], dtype=F64)
    torch.testing.assert_close(variances, wanted, atol=0.15, rtol=0.15)


def test_sources_that_differ_in_shares_alone_share_their_components():
    shares = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
    x, y = planted(1500, shares)
    model = fit(x, y)
    assert (model.J, model.form.means) == (3, "components")
    found = model.log_weight[:, :3].exp().sort(1).values
    wanted = torch.tensor([[0.1, 0.1, 0.8]] * 3, dtype=F64)
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0)


def test_marginals_are_integrals_and_the_density_has_mass_one():
    x, y = planted(400, [[0.4, 0.3, 0.3], [0.2, 0.2, 0.6]])
    model = fit(x, y, components=3)
    grid = torch.linspace(-8, 14, 1201, dtype=F64)
    step = float(grid[1] - grid[0])
    at = torch.stack(torch.meshgrid(grid[::4], grid[::4], indexing="ij"), -1).reshape(-1, 2)
    assert float(density(model, at, 1).sum()) * (4 * step) ** 2 == pytest.approx(1, abs=1e-6)
    for value in (-1.0, 0.3, 5.5):
        first = torch.full_like(grid, value)
        whole = density(model, torch.stack([first, grid], 1), 1).sum() * step
        gap = torch.tensor([[value, torch.nan]], dtype=F64)
        assert float(density(model, gap, 1)) == pytest.approx(float(whole), rel=1e-8)


def test_conditionals_on_given_columns():
    """Two lines that cross: a mixture of regressions, whose density given c has mass one."""
    rng = np.random.default_rng(0)
    c = torch.from_numpy(rng.normal(size=(900, 1)))
    up = torch.from_numpy(rng.random((900, 1)) < 0.7)
    x = torch.where(up, 2.0, -2.0) * c + 0.2 * torch.from_numpy(rng.normal(size=(900, 1)))
    model = fit(x, torch.zeros(900, dtype=torch.int64), c, components=2, prior=0.05)
    slopes = model.covariance[:2, 0, 1] / model.covariance[:2, 1, 1]
    assert sorted(slopes.tolist()) == pytest.approx([-2, 2], abs=0.1)
    grid = torch.linspace(-12, 12, 2001, dtype=F64)[:, None]
    for value in (-1.5, 0.0, 2.0):
        mass = density(model, grid, c=torch.full_like(grid, value)).sum() * 0.012
        assert float(mass) == pytest.approx(1, abs=1e-8)


def test_draws_have_the_moments_of_their_density():
    rng = np.random.default_rng(0)
    c = torch.from_numpy(rng.normal(size=(600, 1)))
    x = torch.from_numpy(rng.normal(size=(600, 2))) + torch.cat([c, 3 * (c > 0)], 1)
    model = fit(x, torch.arange(600) % 2, c, components=3)
    m = 20_000
    for value in (-1.0, 1.0):
        given = torch.full((m, 1), value, dtype=F64)
        drawn = model.sample(torch.ones(m, dtype=torch.int64), Noise(1), given)
        V = model.covariance[:3, 2:, 2:]
        B = torch.linalg.solve(V, model.covariance[:3, 2:, :2]).mT
        means = model.mean[1, :3, :2] + (B @ (value - model.mean[1, :3, 2:])[..., None])[..., 0]
        weight = model.log_weight[1, :3].exp()
        wanted = weight @ means
        error = drawn.std(0) / m**0.5
        assert bool(((drawn.mean(0) - wanted).abs() < 4.5 * error).all())
        S = model.covariance[:3, :2, :2] - B @ model.covariance[:3, 2:, :2]
        apart = means - wanted
        whole = (weight[:, None, None] * (S + apart[:, :, None] * apart[:, None])).sum(0)
        torch.testing.assert_close(drawn.T.cov(), whole, atol=0.1, rtol=0.05)


def test_given_columns_of_zeros_and_ones_are_taken():
    """Of a category no joint density with x exists; regressions need none."""
    rng = np.random.default_rng(0)
    level = torch.from_numpy(rng.integers(3, size=300))
    c = torch.nn.functional.one_hot(level, 3)[:, 1:].double()
    x = torch.from_numpy(rng.normal(size=(300, 1))) + 4 * c[:, :1]
    model = fit(x, torch.zeros(300, dtype=torch.int64), c, components=1)
    means = torch.stack([x[level == k].mean() for k in range(3)])
    cases = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=F64)
    grid = torch.linspace(-9, 13, 2001, dtype=F64)[:, None]
    for mean, case in zip(means, cases, strict=True):
        p = density(model, grid, c=case.expand(2001, 2)) * 0.011
        assert float((p * grid[:, 0]).sum()) == pytest.approx(float(mean), abs=0.1)


def test_models_chosen_together_are_as_each_alone():
    x, y = planted(600, [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    part = torch.arange(600) // 3 % 5
    one = [Mixture(MixtureSettings(), K=1, d=2) for _ in range(3)]
    rows = [Batch.of(x[y == k], y[y == k] * 0) for k in range(3)]
    parts = [part[y == k] for k in range(3)]
    together = [Mixture(MixtureSettings(), K=1, d=2) for _ in range(3)]
    Mixture.choose_together(together, rows, parts)
    for model, other, batch, own in zip(one, together, rows, parts, strict=True):
        model.choose(batch, own, NAMES)
        model.fit_exactly(batch, NAMES)
        other.fit_exactly(batch, NAMES)
        assert model.J == other.J
        torch.testing.assert_close(model.mean, other.mean, rtol=1e-6, atol=1e-6)


def test_no_variance_is_below_that_of_a_cell():
    x = torch.cat([torch.zeros(50, 1, dtype=F64), torch.linspace(0, 9, 50, dtype=F64)[:, None]])
    settings = MixtureSettings(components=3, prior=0)
    model = Mixture(settings, K=1, d=1, steps=[0.5])
    model.fit_exactly(Batch.of(x, torch.zeros(100, dtype=torch.int64)), NAMES)
    assert float(model.covariance[:3].min()) >= 0.25 / 12 - 1e-12
    assert float(model.covariance[:3].min()) == pytest.approx(0.25 / 12)


def test_bic_chooses_where_rows_have_no_parts():
    x, y = planted(900, [[0.4, 0.3, 0.3]])
    model = Mixture(MixtureSettings(), K=1, d=2)
    model.fit_exactly(Batch.of(x, y), NAMES)
    assert model.J == 3


def test_partial_pooling_draws_weights_together():
    x, y = planted(60, [[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.4, 0.3, 0.3]])
    fixed = {"components": 3, "sharing": "components"}
    own, drawn = (fit(x, y, partial=partial, **fixed) for partial in (False, True))
    spread = [model.log_weight[:, :3].exp().std(0).sum() for model in (own, drawn)]
    assert float(spread[1]) < float(spread[0])


@pytest.mark.parametrize(
    ("form", "count"),
    [
        (Form("components"), 3 * 1 + 2 * 2 + 2 * 3),
        (Form("offsets"), 3 * 1 + (2 + 2) * 2 + 2 * 3),
        (Form("means"), 3 * 1 + 6 * 2 + 2 * 3),
        (Form("means", "tied"), 3 * 1 + 6 * 2 + 3),
        (Form("components", "diagonal"), 3 * 1 + 2 * 2 + 2 * 2),
    ],
)
def test_free_parameters(form, count):
    """Two components of three sources in two columns; and two slopes a column with each."""
    assert free_parameters(form, 2, 3, 2) == count
    covariances = 1 if form.shape == "tied" else 2
    assert free_parameters(form, 2, 3, 2, 2) == count + covariances * 4


def test_a_source_without_rows_is_an_error():
    model = Mixture(MixtureSettings(), K=2, d=1)
    with pytest.raises(InputError, match="source 'b' has no training rows"):
        model.fit_exactly(
            Batch.of(torch.arange(9.0)[:, None].double(), torch.zeros(9, dtype=torch.int64)), NAMES
        )
