import json
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sourcewise as sw
from sourcewise.encoders.bins import Bins, cut_cells, cut_values
from sourcewise.encoders.mixed import (
    MixedCoding,
    MixedEncoder,
    dependence_order,
    mutual_information,
    plan,
)
from sourcewise.encoders.mixed_columns import LEVELS, Levels
from sourcewise.encoders.places import code_of, place
from sourcewise.forms import Column, Table
from sourcewise.randomness import Noise
from sourcewise.screening.base import Screened
from sourcewise.screening.options import MixedOptions
from sourcewise.sources import Sources

N = 400
Y = torch.arange(N) % 2


def mixed(seed: int = 0) -> Table:
    """Two columns of numbers (one on a lattice), two of categories, with gaps."""
    noise = Noise(seed)
    free = noise.of("free").normal(N).exp()
    free[::7] = torch.nan
    word = noise.of("word").integers(3, N)
    word[::5] = -1
    return Table(
        {
            "free": free,
            "word": word,
            "count": noise.of("count").integers(40, N).double() * 0.5,
            "flag": noise.of("flag").integers(2, N),
        },
        (
            Column("free"),
            Column("word", "category", ("a", "b", "c", "never")),
            Column("count"),
            Column("flag", "category", ("no", "yes")),
        ),
    )


def planned(table: Table, log=(), **options) -> MixedCoding:
    screened = Screened(Sources(table, Y[: len(table)], "ab"), frozenset(log))
    return plan(screened, MixedOptions(**options))


def fitted(table: Table, log=(), **options):
    coding = planned(table, log, **options)
    rows = coding.prepare(table, Noise(1).each(Y[: len(table)]))
    return coding.fit(rows, Y[: len(table)], 2), rows


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and torch.allclose(a, b, rtol=1e-9, atol=0, equal_nan=True)


def spiky(seed: int) -> torch.Tensor:
    """Whole numbers of which 0 and 1000 are frequent, and the others reach far."""
    noise = Noise(seed)
    values = (noise.of("v").normal(N).exp() * 50).round()
    u = noise.of("u").uniform(N)
    return torch.where(u < 0.3, 0.0, torch.where(u < 0.4, 1000.0, values))


def bins_of(seed: int, kind: str, bins: int) -> Bins:
    noise = Noise(seed)
    if kind == "free":
        return cut_values(noise.normal(N).exp(), bins)
    x = spiky(seed) if kind == "spiky" else noise.integers(3, N).double()
    return cut_cells(x, x + 1, bins, 2)


KINDS = st.sampled_from(["free", "spiky", "few"])


@given(st.integers(0, 10**6), KINDS, st.integers(2, 30))
def test_every_bin_is_a_density(seed, kind, bins):
    """Exactly, from the distribution function: G goes from 0 to B, and each code's part is one."""
    cut = bins_of(seed, kind, bins)
    assert bool((cut.knots.diff() > 0).all())
    assert bool(
        (torch.cat([torch.zeros(1), cut.heights, torch.tensor([cut.count])]).diff() > 0).all()
    )
    v = torch.tensor([-1e9, 1e9], dtype=torch.float64)
    assert cut.place(v).tolist() == pytest.approx([0.0, cut.count])
    whole = set(cut.heights[cut.heights == cut.heights.round()].tolist())
    assert whole >= set(range(1, cut.count))


@pytest.mark.parametrize("kind", ["free", "spiky", "few"])
def test_density_integrates_to_one_by_quadrature(kind):
    """With unequal probabilities of the codes, over the line and its tails."""
    cut = bins_of(3, kind, 12)
    p = Noise(0).uniform(cut.count).add(0.1)
    p = p / p.sum()
    low = torch.linspace(float(cut.knots[0]) - 40 * cut.lower, float(cut.knots[0]), 100_001)
    high = torch.linspace(float(cut.knots[-1]), float(cut.knots[-1]) + 40 * cut.upper, 100_001)
    parts = [low.double(), high.double()]
    parts += [torch.linspace(float(a), float(b), 9) for a, b in pairwise(cut.knots)]
    total = 0.0
    for grid in parts:
        middles = (grid[1:] + grid[:-1]).double() / 2
        code, slope = cut.codes(middles)
        total += float((p[code] * slope.exp() * grid.diff()).sum())
    assert total == pytest.approx(1, abs=1e-4)


@given(st.integers(0, 10**6), KINDS, st.integers(2, 30))
def test_the_slope_is_that_of_the_map_and_codes_its_whole_part(seed, kind, bins):
    cut = bins_of(seed, kind, bins)
    v = Noise(seed).of("points").uniform(50) * 300 - 50
    code, slope = cut.codes(v)
    z = cut.place(v)
    assert torch.equal(z.floor().long(), code)
    step = 1e-5
    rises = (cut.place(v + step) - cut.place(v - step)) / (2 * step)
    near = (v[:, None] - cut.knots).abs().amin(1) < 2 * step
    assert torch.allclose(rises[~near], slope.exp()[~near], rtol=1e-3, atol=1e-7)


@given(st.integers(0, 10**6), KINDS)
def test_values_undo_place(seed, kind):
    cut = bins_of(seed, kind, 12)
    z = (Noise(seed).of("z").uniform(200) * cut.count).clamp(min=1e-6)
    lone = cut.recorded(z)
    assert torch.allclose(cut.place(cut.values(z))[~lone], z[~lone], atol=1e-9)
    assert torch.equal(cut.codes(cut.values(z))[0], z.long())


def test_few_values_have_a_bin_each_and_frequent_ones_too():
    few = torch.tensor([0.0, 1.0, 5.0]).double().repeat(10)
    cut = cut_cells(few, few + 1, 8, 2)
    assert cut.count == 3
    assert cut.values(torch.tensor([0.5, 1.5, 2.5]).double()).tolist() == [0.0, 1.0, 5.0]
    values = spiky(0)
    cut = cut_cells(values, values + 1, 10, 2)
    for x in (0.0, 1000.0):
        inside = torch.tensor([x, x + 0.999]).double()
        codes, slope = cut.codes(inside)
        assert codes[0] == codes[1]
        assert float(slope.min()) > math.log(0.9)
    assert cut.count <= len(values.unique())


def test_tails_have_the_mean_excess():
    v = Noise(0).uniform(10_000).log().neg()  # exponential, without memory
    assert cut_values(v, 20).upper == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize("log", [(), ("free", "count")])
def test_round_trip_of_values_and_types(log):
    table = mixed()
    table.columns["count"].add_(0.5)  # above 0
    encoder, rows = fitted(table, log)
    z, _ = encoder.encode(rows, Y)
    back = encoder.decode(z)
    assert back.schema == table.schema
    for name in table.names:
        assert same(back.columns[name], table.columns[name]), name
    again = encoder.decode(place(code_of(z)))  # numbers from the middle of their bins
    for name in ("word", "flag"):
        assert torch.equal(again.columns[name], table.columns[name])
    assert torch.equal(again.columns["free"].isnan(), table.columns["free"].isnan())


@pytest.mark.parametrize("order", [("given",), ("information",), ("flag", "count")])
def test_json_keeps_everything(order):
    table = mixed()
    encoder, rows = fitted(table, ("free",), order=order)
    again = MixedEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again.sizes == encoder.sizes
    for a, b in zip(again.encode(rows, Y), encoder.encode(rows, Y), strict=True):
        assert torch.equal(a, b)
    if order == ("flag", "count"):
        assert [encoder.columns[j].name for j in encoder.order] == [
            "flag",
            "count",
            "free",
            "word",
        ]


@given(st.floats(0.01, 1000), st.floats(-100, 100))
def test_rescaling_a_column_changes_likelihoods_by_its_logarithm(a, b):
    table = mixed()
    scaled = {**table.columns, "free": table.columns["free"] * a + b}
    scaled["count"] = table.columns["count"] * a + b
    encoder, rows = fitted(table)
    other, other_rows = fitted(Table(scaled, table.schema))
    z, log_det = encoder.encode(rows, Y)
    z2, log_det2 = other.encode(other_rows, Y)
    observed = (~table.missing("free")).double() + 1
    # Quantiles round: a value on a knot may fall to either side.
    agree = (code_of(z) == code_of(z2)).all(1)
    assert agree.double().mean() > 0.97
    change = log_det2 - log_det + observed * math.log(a)
    assert float(change[agree].abs().max()) < 1e-6


def test_logarithms_have_their_jacobian():
    """The density of exp(v) is that of v over x."""
    v = Noise(0).normal(N)
    plain, rows = fitted(Table({"x": v}, (Column("x"),)))
    logged, log_rows = fitted(Table({"x": v.exp()}, (Column("x"),)), ("x",))
    z, log_det = plain.encode(rows, Y)
    z2, log_det2 = logged.encode(log_rows, Y)
    agree = (code_of(z) == code_of(z2)).all(1)
    assert agree.double().mean() > 0.97
    assert torch.allclose(log_det2[agree], (log_det - v)[agree], atol=1e-6)


def test_a_category_without_training_rows_has_a_code_and_a_foreign_one_is_refused():
    table = mixed()
    encoder, _ = fitted(table)
    assert encoder.sizes["codes"][1] == 5  # a, b, c, never, missing
    coding = planned(table)
    other = Column("word", "category", ("a", "zebra"))
    strange = Table(
        {**table.columns, "word": torch.ones(N, dtype=torch.int64)},
        (table.schema[0], other, *table.schema[2:]),
    )
    with pytest.raises(sw.InputError, match=r"column 'word': no category 'zebra'"):
        coding.prepare(strange, Noise(0).each(Y))


def test_categories_are_matched_by_their_text():
    table = mixed()
    turned = Table(
        {**table.columns, "flag": 1 - table.columns["flag"]},
        (*table.schema[:3], Column("flag", "category", ("yes", "no"))),
    )
    coding = planned(table)
    encoder, rows = fitted(table)
    z, _ = encoder.encode(rows, Y)
    assert torch.equal(encoder.encode(coding.prepare(turned, Noise(1).each(Y)), Y)[0], z)


def test_a_gap_where_none_was_is_refused():
    table = mixed()
    holes = table.columns["flag"].clone()
    holes[4] = -1
    gappy = Table({**table.columns, "flag": holes}, table.schema)
    with pytest.raises(sw.InputError, match=r"'flag' has a missing value \(row 5\)"):
        planned(table).prepare(gappy, Noise(0).each(Y))


def test_rare_categories_share_a_code_in_equal_parts():
    many = LEVELS + 50
    v = torch.cat([torch.arange(many), torch.arange(LEVELS // 2).repeat(5)])
    levels = Levels.of(v, many)
    assert levels.count == LEVELS
    code, share = levels.codes(torch.arange(many).double())
    mass = torch.zeros(LEVELS).double().index_add_(0, code, share.exp())
    assert torch.allclose(mass, torch.ones(LEVELS).double())
    assert torch.equal(
        levels.values(levels.place(torch.arange(many).double())).long(), torch.arange(many)
    )


def test_mutual_information_of_a_noisy_copy():
    """`log 2 - H(q)` for a bit that flips with probability q."""
    n, q = 20_000, 0.2
    a = Noise(0).integers(2, n)
    b = (a + (Noise(1).uniform(n) < q).long()) % 2
    entropy = -q * math.log(q) - (1 - q) * math.log(1 - q)
    assert mutual_information(a, b) == pytest.approx(math.log(2) - entropy, abs=0.02)


def test_the_order_follows_a_known_tree():
    """A chain 2 - 0 - 3 with the strongest link 0 - 3, and a column apart."""
    n = 5000
    noise = Noise(0)

    def copy(a: torch.Tensor, q: float, name: str) -> torch.Tensor:
        flips = (noise.of(name).uniform(n) < q).long()
        return (a + flips) % 2

    a = noise.of("a").integers(2, n)
    z = torch.stack([a, noise.of("b").integers(2, n), copy(a, 0.3, "c"), copy(a, 0.1, "d")], 1)
    assert dependence_order(z) == [0, 3, 2, 1]


@pytest.mark.parametrize("log", [(), ("price",)])
def test_draws_have_the_recorded_decimals_without_ties_too(log):
    """Prices with two decimals, hardly two alike: a density, but draws are prices."""
    price = (Noise(0).normal(N).exp() * 1e4 + 1).mul(100).round() / 100
    assert len(price.unique()) > 0.9 * N
    encoder, rows = fitted(Table({"price": price}, (Column("price"),)), log)
    (column,) = encoder.coding.coded_columns
    assert (column.resolution, column.log, column.kind) == (None, bool(log), "number")
    code = Noise(1).integers(encoder.sizes["codes"][0], 1000, 1)
    drawn = encoder.decode(place(code, Noise(2).uniform(1000, 1))).columns["price"]
    assert torch.equal((drawn * 100).round() / 100, drawn)
    assert not log or float(drawn.min()) > 0
    assert torch.equal(encoder.decode(encoder.encode(rows, Y)[0]).columns["price"], price)


def test_models_are_told_weights_single_values_and_gaps_without_probability():
    table = mixed()
    encoder, rows = fitted(table, bins=8)
    sizes, z = encoder.sizes, code_of(encoder.encode(rows, Y)[0])
    for j, column in enumerate(encoder.columns):
        codes = torch.bincount(z[:, j], minlength=sizes["codes"][j])
        numbers = codes[: len(codes) - column.missing] if column.kind == "number" else codes[:0]
        assert list(sizes["counts"][j]) == (2 * numbers + 1).tolist()
    assert sizes["alone"][0] == ()  # no value twice
    few = Table({"x": torch.arange(N).double() % 5}, (Column("x"),))
    assert fitted(few, bins=8)[0].sizes["alone"] == [(0, 1, 2, 3, 4)]
    assert sizes["unscored"] == [None] * 4
    screened = Screened(Sources(table, Y, "ab"), unscored_gaps=True)
    coding = plan(screened)
    hidden = coding.fit(rows, Y, 2)
    assert (coding.gaps, planned(table).gaps) == ("impute", "value")
    assert [column.missing for column in coding.coded_columns] == [False] * 4
    last = [code - 1 for code in hidden.sizes["codes"]]
    assert hidden.sizes["unscored"] == [last[0], last[1], None, None]
    again = MixedEncoder.from_json(json.loads(json.dumps(hidden.to_json())))
    assert again.sizes == hidden.sizes
    assert again.coding.gaps == "impute"


def test_columns_tell_their_resolution():
    resolutions = {column.name: column.resolution for column in planned(mixed()).coded_columns}
    assert resolutions == {"free": None, "word": None, "count": 0.5, "flag": None}


def test_a_fold_without_values_still_has_a_density():
    table = mixed()
    coding = planned(table)
    rows = coding.prepare(table, Noise(1).each(Y))
    gaps = (table.missing("free")).nonzero().squeeze(1)
    encoder = coding.fit(rows.take(gaps), Y[gaps], 2)
    z, log_det = encoder.encode(rows, Y)
    assert bool(log_det.isfinite().all())
    assert int(code_of(z).max()) < max(encoder.sizes["codes"])


def test_an_unknown_name_in_the_order_is_refused():
    with pytest.raises(sw.InputError, match="did you mean 'flag'"):
        planned(mixed(), order=("flga",))
    with pytest.raises(sw.InputError, match="duplicate"):
        planned(mixed(), order=("flag", "flag"))
