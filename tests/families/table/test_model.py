import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from sourcewise.batch import Batch
from sourcewise.encoders.mixed import plan
from sourcewise.encoders.places import code_of, place, within
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


# A category, numbers of which one is alone and some are missing, numbers with densities only.
NUMBERS: dict[str, Any] = {
    "codes": (3, 5, 4),
    "counts": ((), (3, 9, 5, 1), (7, 3, 11, 5)),
    "alone": ((), (1,), ()),
}


def model(
    codes=CODES,
    K=2,
    seed=0,
    dtype=torch.float64,
    C=0,
    counts=(),
    alone=(),
    unscored=(),
    **values,
) -> TableModel:
    settings = TableSettings.parse(SMALL | values)
    sizes = {"codes": codes, "counts": counts, "alone": alone, "unscored": unscored, "C": C}
    out = TableModel(settings, K=K, **sizes).to(dtype)
    out.reset(Noise(seed))
    return out


def stirred(seed=0, **options) -> TableModel:
    """A model far from its start: factors depend on all that comes before."""
    out = model(seed=seed, **options)
    for name, parameter in out.named_parameters():
        parameter.data += 0.5 * Noise(seed).of(name).normal(*parameter.shape).to(parameter)
    return out


def some_rows(n: int, codes, seed=0) -> torch.Tensor:
    """Places anywhere in the codes."""
    noise = Noise(seed)
    columns = [
        place(noise.of(j).integers(m, n), noise.of("u", j).uniform(n)) for j, m in enumerate(codes)
    ]
    return torch.stack(columns, 1)


def all_rows(codes=CODES) -> torch.Tensor:
    return place(torch.tensor(list(itertools.product(*map(range, codes)))))


def rows(n: int, codes=CODES, seed=0) -> torch.Tensor:
    noise = Noise(seed)
    return place(torch.stack([noise.of(j).integers(m, n) for j, m in enumerate(codes)], 1))


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
    tested = stirred(**encoder.sizes)
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
    other[:, j] = place((code_of(z[:, j]) + 1) % CODES[j])
    y = torch.zeros(20, dtype=torch.int64)
    a, b = (tested.conditionals(Batch.of(x, y)) for x in (z, other))
    assert torch.equal(a[:, :j], b[:, :j])
    if j < 2:
        assert not torch.allclose(a[:, j + 1 :], b[:, j + 1 :])


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("sizes", [{"codes": CODES}, {"codes": (5,)}, NUMBERS])
def test_stacked_models_equal_single_ones(dtype, close, sizes):
    singles = [model(seed=s, dtype=dtype, layers=2, **sizes) for s in range(3)]
    z = torch.stack([some_rows(6, sizes["codes"], seed=s) for s in range(3)])
    y = torch.stack([Noise(s).of("y").integers(2, 6) for s in range(3)])
    stacked = model(dtype=dtype, layers=2, **sizes)
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


def test_autocast_to_lower_precision_agrees_to_its_digits():
    tested, z = model(**NUMBERS, dtype=torch.float32), some_rows(50, NUMBERS["codes"])
    batch = Batch.of(z, torch.zeros(50, dtype=torch.int64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = tested.loss(batch, Noise(0))
    exact = tested.loss(batch, Noise(0))
    assert float((rough - exact).detach().abs().max()) < 0.1


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
        drawn = code_of(tested.sample(y, noise=Noise(5)))
        digits = torch.tensor([8, 4, 1])
        found = torch.bincount(drawn @ digits, minlength=24)
        assert torch.equal(code_of(z) @ digits, torch.arange(24))
        expected = log_prob(tested, z, torch.full((24,), k)).exp() * n
        assert chisquare(found.numpy(), expected.detach().numpy(), sum_check=False).pvalue > 1e-3


def test_samples_do_not_depend_on_their_batch():
    tested, y = model(dtype=torch.float32), torch.arange(50) % 2
    noise = Noise(0).each(y)
    whole = tested.sample(y, noise=noise)
    parts = [tested.sample(y[i], noise=noise.take(i)) for i in torch.arange(50).split(7)]
    assert torch.equal(whole, torch.cat(parts))
    assert whole.dtype == torch.int64
    inside = within(whole)
    assert 0 < float(inside.min()) < float(inside.max()) < 1


def test_a_sample_scores_as_its_codes():
    tested, y = model(), torch.arange(30) % 2
    x = tested.sample(y, noise=Noise(0))
    assert torch.equal(log_prob(tested, x, y), log_prob(tested, place(code_of(x)), y))
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
    y, digits = torch.ones(len(z), dtype=torch.int64), torch.tensor([8, 4, 1])
    batch = Batch.of(z, y, c.expand(len(z), 2))
    log_p = tested.log_density(batch, Noise(0)).value.detach()
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-6)
    assert torch.equal(-tested.eval().loss(batch, Noise(0)).detach(), log_p)
    other = tested.log_density(Batch.of(z, y, (c + 1).expand(len(z), 2)), Noise(0)).value
    assert not torch.allclose(log_p, other)
    drawn = tested.sample(torch.ones(n, dtype=torch.int64), Noise(5), c.expand(n, 2))
    found = torch.bincount(code_of(drawn) @ digits, minlength=24)
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


def masses(tested: TableModel, z: torch.Tensor, j: int) -> tuple[torch.Tensor, torch.Tensor]:
    """p at places along column j, the others as in z (1, D): at each code, and along its scale.

    Returns:
        (M,) probabilities of codes without a density inside, 0 of others; (G,) those of small
        parts of the scale, 0 where they lie in codes without one.
    """
    layout, column = tested.layout, tested.layout.columns[j]
    t = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    t = (t[1:] + t[:-1]) / 2

    def p(places: torch.Tensor) -> torch.Tensor:
        x = z.repeat(len(places), 1)
        x[:, j] = places
        batch = Batch.of(x, torch.zeros(len(x), dtype=torch.int64))
        return tested.conditionals(batch)[:, j].exp().detach()

    codes = torch.arange(column.codes)
    lumps = p(place(codes)).masked_fill(layout.dense[j, codes], 0.0)
    if not column.counts:
        return lumps, torch.zeros(0, dtype=torch.float64)
    places = place(*layout.at(t, j))
    here = layout.placed(places[:, None], j)
    step = (t[1] - t[0]) / here.log_slope[:, 0].exp()  # of u
    return lumps, (p(places) * step).masked_fill(~here.dense[:, 0], 0.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("j", range(3))
def test_every_factor_is_normalised(seed, j):
    """The sum over codes of the integral over u, by quadrature along the scale."""
    tested = stirred(seed, **NUMBERS)
    for z in some_rows(3, NUMBERS["codes"], seed)[:, None]:
        lumps, inside = masses(tested, z, j)
        assert float(lumps.sum() + inside.sum()) == pytest.approx(1, abs=2e-3)


def test_draws_of_numbers_follow_the_density():
    """The first column by its codes and parts of its scale, the last one given the others."""
    sizes = {name: values[1:] for name, values in NUMBERS.items()}
    tested, n = stirred(2, **sizes), 20_000
    drawn = tested.sample(torch.zeros(n, dtype=torch.int64), noise=Noise(5))
    lumps, inside = masses(tested, drawn[:1], 0)
    t = torch.linspace(-30, 30, 60_001, dtype=torch.float64)[:-1]
    parts = torch.linspace(-4, 4, 9, dtype=torch.float64)
    expected = torch.zeros(10, dtype=torch.float64).index_add_(
        0, torch.bucketize(t, parts), inside
    )
    here = tested.layout.placed(drawn)
    dense = here.dense[:, 0]
    found = torch.bincount(torch.bucketize(here.t[dense, 0], parts), minlength=10)
    codes = torch.bincount(here.code[~dense, 0], minlength=5)
    found, expected = torch.cat([found, codes]), torch.cat([expected, lumps]) * n
    kept = expected > 5
    assert chisquare(found[kept], expected[kept], sum_check=False).pvalue > 1e-3
    # Given the column before, the distribution function at a draw is uniform.
    some, t = drawn[:300], torch.linspace(-20, 20, 801, dtype=torch.float64)[:-1] + 0.025
    grid = place(*tested.layout.at(t, 1))
    x = torch.stack([some[:, :1].expand(300, 800), grid.expand(300, 800)], -1).flatten(0, 1)
    batch = Batch.of(x, torch.zeros(len(x), dtype=torch.int64))
    step = 0.05 / tested.layout.placed(grid[:, None], 1).log_slope[:, 0].exp()
    inside = tested.conditionals(batch)[:, 1].exp().detach().view(300, 800) * step
    ranks = (inside * (t < here.t[:300, 1:])).sum(1)
    assert kstest(ranks, "uniform").pvalue > 1e-3


def test_a_draw_scores_and_does_not_depend_on_its_batch_with_numbers():
    tested, y = stirred(**NUMBERS, dtype=torch.float32), torch.arange(60) % 2
    noise = Noise(0).each(y)
    whole = tested.sample(y, noise=noise)
    parts = [tested.sample(y[i], noise=noise.take(i)) for i in torch.arange(60).split(7)]
    assert torch.equal(whole, torch.cat(parts))
    assert bool(log_prob(tested, whole, y).isfinite().all())


def test_numbers_start_at_their_marginals():
    """An untrained factor is near the shares of the codes' weights, whatever comes before."""
    sizes: dict[str, Any] = {**NUMBERS, "alone": ((), (), ())}
    tested = model(**sizes)
    for name, parameter in tested.named_parameters():
        if name.startswith("network.heads"):
            parameter.data.zero_()
    _, inside = masses(tested, some_rows(1, NUMBERS["codes"]), 2)
    t = torch.linspace(-30, 30, 60_001, dtype=torch.float64)[:-1]
    code = tested.layout.at(t, 2)[0]
    shares = torch.zeros(4, dtype=torch.float64).index_add_(0, code, inside)
    assert torch.allclose(shares, torch.tensor([7, 3, 11, 5]).double() / 26, atol=0.05)


def test_a_number_speaks_to_later_columns_by_its_place_inside_a_code():
    tested = stirred(**NUMBERS)
    z = some_rows(1, NUMBERS["codes"]).repeat(2, 1)
    y = torch.zeros(2, dtype=torch.int64)
    for code, differs in ((0, True), (1, False), (4, False)):  # dense, alone, missing
        z[:, 1] = place(torch.tensor([code, code]), torch.tensor([0.2, 0.8]))
        a, b = tested.conditionals(Batch.of(z, y))
        assert (not torch.allclose(a[2], b[2])) == differs


def test_without_scored_gaps_it_is_the_density_given_that_none_is_missing():
    """log p(x_j | earlier, not missing) by enumeration; a gap says nothing; none is drawn."""
    sizes: dict[str, Any] = {**NUMBERS, "counts": ((), (3, 9, 5, 1), ())}
    full, gaps = stirred(1, **sizes), (2, 4, None)
    tested = model(**sizes, unscored=gaps)
    scored = [(j, code) for j, column in enumerate(full.layout.columns) for code in column.scored]
    kept = [i for i, (j, code) in enumerate(scored) if code != gaps[j]]
    for name, parameter in tested.named_parameters():
        source = full.get_parameter(name).detach()
        parameter.data = source[kept] if name.startswith("network.heads") else source.clone()
    z = some_rows(200, sizes["codes"], 3)
    batch = Batch.of(z, torch.zeros(200, dtype=torch.int64))
    found, whole = tested.conditionals(batch), full.conditionals(batch)
    for j, gap in enumerate(gaps):
        observed = code_of(z[:, j]) != (-1 if gap is None else gap)
        wanted = whole[:, j]
        if gap is not None:
            x = z.clone()
            x[:, j] = place(torch.full((200,), gap))
            share = full.conditionals(Batch.of(x, batch.y))[:, j].exp()
            wanted = wanted - torch.log1p(-share)
        assert torch.allclose(found[observed, j], wanted[observed], atol=1e-10)
        assert bool((found[~observed, j] == 0).all())
    drawn = code_of(tested.sample(torch.zeros(2000, dtype=torch.int64), Noise(0)))
    assert not bool((drawn == torch.tensor([2, 4, -1])).any())
    assert bool((code_of(full.sample(torch.zeros(2000).long(), Noise(0)))[:, 1] == 4).any())
