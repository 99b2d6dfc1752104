import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from sourcewise.batch import Batch
from sourcewise.encoders.mixed import plan
from sourcewise.errors import InputError
from sourcewise.families.registry import family
from sourcewise.families.table.model import TableModel
from sourcewise.families.table.settings import TableSettings
from sourcewise.forms import Column, Table
from sourcewise.metrics.distributions import log_prob
from sourcewise.randomness import Noise
from sourcewise.screening.base import Screened
from sourcewise.screening.options import MixedOptions
from sourcewise.sources import Sources

CODES = (3, 2, 4)
SMALL = {"width": 8, "layers": 1, "dropout": 0.0}


def model(codes=CODES, K=2, seed=0, dtype=torch.float64, C=0, **values) -> TableModel:
    out = TableModel(TableSettings.parse(SMALL | values), K=K, codes=codes, C=C).to(dtype)
    out.reset(Noise(seed))
    return out


def all_rows(codes=CODES) -> torch.Tensor:
    return torch.tensor(list(itertools.product(*map(range, codes))))


def rows(n: int, codes=CODES, seed=0) -> torch.Tensor:
    noise = Noise(seed)
    return torch.stack([noise.of(j).integers(m, n) for j, m in enumerate(codes)], 1)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 100))
def test_probabilities_of_all_rows_sum_to_one(codes, seed):
    z = all_rows(codes)
    tested = model(codes, seed=seed)
    for k in (0, 1):
        total = log_prob(tested, z, torch.full((len(z),), k)).exp().sum().detach()
        assert float(total) == pytest.approx(1, abs=1e-6)


def test_the_density_of_a_mixed_table_sums_and_integrates_to_one():
    """In original units: over a category with gaps, and along a column of numbers."""
    n = 200
    word = Noise(0).integers(2, n)
    word[::9] = -1
    schema = (Column("x"), Column("word", "category", ("a", "b")))
    table = Table({"x": Noise(1).normal(n), "word": word}, schema)
    y = torch.arange(n) % 2
    coding = plan(Screened(Sources(table, y, "ab")), MixedOptions(bins=6))
    encoder = coding.fit(coding.prepare(table, Noise(0).each(y)), y, 2)
    tested = model(**encoder.sizes)
    grid = torch.linspace(-30, 30, 120_001, dtype=torch.float64)
    total = 0.0
    for code in (-1, 0, 1):
        words = torch.full((len(grid),), code)
        labels = torch.ones(len(grid), dtype=torch.int64)
        wide = coding.prepare(Table({"x": grid, "word": words}, schema), Noise(0).each(labels))
        z, log_det = encoder.encode(wide, labels)
        density = (log_prob(tested, z, labels) + log_det).exp().detach()
        total += float(density.sum() * (grid[1] - grid[0]))
    assert total == pytest.approx(1, abs=1e-3)


@given(st.integers(0, 2), st.integers(0, 100))
def test_a_column_says_nothing_to_those_before_it(j, seed):
    tested, z = model(seed=seed), rows(20, seed=seed)
    other = z.clone()
    other[:, j] = (z[:, j] + 1) % CODES[j]
    y = torch.zeros(20, dtype=torch.int64)
    a, b = (tested.conditionals(Batch.of(x, y)) for x in (z, other))
    assert torch.equal(a[:, :j], b[:, :j])
    if j < 2:
        assert not torch.allclose(a[:, j + 1 :], b[:, j + 1 :])


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("codes", [CODES, (5,)])
def test_stacked_models_equal_single_ones(dtype, close, codes):
    singles = [model(codes, seed=s, dtype=dtype, layers=2) for s in range(3)]
    z = torch.stack([rows(6, codes, seed=s) for s in range(3)])
    y = torch.stack([Noise(s).of("y").integers(2, 6) for s in range(3)])
    stacked = model(codes, dtype=dtype, layers=2)
    values = {
        name: torch.stack([dict(m.named_parameters())[name].detach() for m in singles])
        for name, _ in stacked.named_parameters()
    }
    for name, parameter in stacked.named_parameters():
        parameter.data = values[name]
    loss = stacked.loss(Batch.of(z, y), Noise(0))
    loss.sum().backward()
    for s, single in enumerate(singles):
        alone = single.loss(Batch.of(z[s], y[s]), Noise(0))
        alone.sum().backward()
        assert torch.allclose(loss[s], alone, rtol=close, atol=close)
        for name, parameter in single.named_parameters():
            gradient = dict(stacked.named_parameters())[name].grad
            assert parameter.grad is not None
            assert gradient is not None
            assert torch.allclose(gradient[s], parameter.grad, rtol=close, atol=close), name


def test_every_parameter_receives_a_gradient_and_the_count_is_exact():
    tested = model()
    z = all_rows()
    tested.loss(Batch.of(z, torch.arange(len(z)) % 2), Noise(0)).sum().backward()
    for name, parameter in tested.named_parameters():
        assert parameter.grad is not None, name
        # A row is dead if no entry of it moves anything.
        alive = parameter.grad.abs().flatten(1).sum(1) if parameter.ndim > 1 else parameter.grad
        assert bool((alive != 0).all()), name
    w, total = 8, sum(CODES)
    block = 2 * w + (w * 2 * w + 2 * w) + (2 * w * w + w)
    cells = CODES[0] + CODES[1]
    assert tested.free_parameters == (2 + 3 + cells) * w + block + 2 * w + total * (w + 1)


def test_dropout_is_keyed_and_off_outside_training():
    tested = model(dropout=0.5).train()
    z, y = rows(10), torch.zeros(10, dtype=torch.int64)
    one, same, other = (tested.loss(Batch.of(z, y), Noise(s)) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert torch.allclose(tested.eval().loss(Batch.of(z, y), Noise(0)), -log_prob(tested, z, y))


def test_samples_follow_the_probabilities():
    tested, z, n = model(seed=3), all_rows(), 20_000
    for k in (0, 1):
        y = torch.full((n,), k)
        drawn = tested.sample(y, noise=Noise(5)).floor().long()
        place = torch.tensor([8, 4, 1])
        found = torch.bincount(drawn @ place, minlength=24)
        assert torch.equal(z @ place, torch.arange(24))
        expected = log_prob(tested, z, torch.full((24,), k)).exp() * n
        assert chisquare(found.numpy(), expected.detach().numpy(), sum_check=False).pvalue > 1e-3


def test_samples_do_not_depend_on_their_batch():
    tested, y = model(dtype=torch.float32), torch.arange(50) % 2
    noise = Noise(0).each(y)
    whole = tested.sample(y, noise=noise)
    parts = [tested.sample(y[i], noise=noise.take(i)) for i in torch.arange(50).split(7)]
    assert torch.equal(whole, torch.cat(parts))
    assert whole.dtype == torch.float64
    inside = whole - whole.floor()
    assert 0 < float(inside.min()) < float(inside.max()) < 1


def test_a_sample_scores_as_its_codes():
    tested, y = model(), torch.arange(30) % 2
    x = tested.sample(y, noise=Noise(0))
    assert torch.equal(log_prob(tested, x, y), log_prob(tested, x.floor().long(), y))
    assert tested.sample(y[:0], noise=Noise(0)).shape == (0, 3)
    assert log_prob(tested, x[:0], y[:0]).shape == (0,)


def test_the_registry_builds_it():
    chosen = family("table")
    built = chosen.build(chosen.parse({"order": "a,b"}), K=3, codes=[2, 5])
    assert isinstance(built, TableModel)
    assert built.codes == (2, 5)


def test_bad_settings_are_refused():
    with pytest.raises(
        InputError, match="setting bins: not 1 .allowed: a whole number in .2, 10000., or auto"
    ):
        TableSettings.parse({"bins": 1})
    with pytest.raises(InputError, match="no setting 'widht'"):
        TableSettings.parse({"widht": 1})


GIVEN = torch.tensor([[0.3, -1.0], [2.0, 0.5]], dtype=torch.float64)


@pytest.mark.parametrize("c", GIVEN)
def test_given_columns_are_conditioned_on(c):
    """At each c probabilities sum to 1, another c has others, and draws follow them."""
    tested, z, n = model(C=2, seed=3), all_rows(), 20_000
    y, place = torch.ones(len(z), dtype=torch.int64), torch.tensor([8, 4, 1])
    batch = Batch.of(z, y, c.expand(len(z), 2))
    log_p = tested.log_density(batch, Noise(0)).value.detach()
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-6)
    assert torch.equal(-tested.eval().loss(batch, Noise(0)).detach(), log_p)
    other = tested.log_density(Batch.of(z, y, (c + 1).expand(len(z), 2)), Noise(0)).value
    assert not torch.allclose(log_p, other)
    drawn = tested.sample(torch.ones(n, dtype=torch.int64), Noise(5), c.expand(n, 2))
    found = torch.bincount(drawn.floor().long() @ place, minlength=24)
    expected = (log_p.exp() * n).numpy()
    assert chisquare(found.numpy(), expected, sum_check=False).pvalue > 1e-3


def test_stacked_models_with_given_columns_equal_single_ones():
    singles = [model(C=2, seed=s) for s in range(3)]
    z = torch.stack([rows(6, seed=s) for s in range(3)])
    y = torch.stack([Noise(s).of("y").integers(2, 6) for s in range(3)])
    c = Noise(9).normal(3, 6, 2)
    stacked = model(C=2)
    for name, parameter in stacked.named_parameters():
        parameter.data = torch.stack([m.get_parameter(name).detach() for m in singles])
    loss = stacked.loss(Batch.of(z, y, c), Noise(0))
    for s, single in enumerate(singles):
        alone = single.loss(Batch.of(z[s], y[s], c[s]), Noise(0))
        assert torch.allclose(loss[s], alone, rtol=1e-10, atol=1e-10)


def test_other_parameters_start_as_without_given_columns():
    plain, given = model(), model(C=2)
    for name, parameter in plain.named_parameters():
        assert torch.equal(given.get_parameter(name), parameter), name
    assert given.free_parameters == plain.free_parameters + 2 * 8
