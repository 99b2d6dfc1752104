import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sourcewise.encoders.numeric import NumericCoding, NumericEncoder
from sourcewise.forms import Column, Table
from sourcewise.randomness import Noise
from sourcewise.screening.recorded import recorded_columns
from sourcewise.truths.gaussian import GaussianTruth

N = 200
Y = torch.arange(N) % 2


def table(**columns) -> Table:
    return Table(columns, tuple(Column(name) for name in columns))


def fitted(t: Table, log=()):
    coding = NumericCoding(recorded_columns(t, log))
    rows = coding.prepare(t, Noise(0).each(Y))
    return coding.fit(rows, Y, 2), rows


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 0.5, 1.0, 3.0]), st.booleans())
def test_decoding_undoes_encoding(seed, step, log):
    tied = (1 + Noise(seed).integers(20, N).double()) * step
    free = Noise(seed).of("free").normal(N).exp()
    encoder, rows = fitted(table(tied=tied, free=free), ("tied", "free") if log else ())
    z, _ = encoder.encode(rows, Y)
    back = encoder.decode(z).columns
    assert torch.allclose(back["tied"], tied, rtol=0, atol=1e-9 * step)
    assert torch.allclose(back["free"], free, rtol=1e-12)


def test_the_jacobian_is_that_of_autograd():
    t = table(a=Noise(0).normal(N), b=Noise(1).normal(N).exp())
    encoder, _ = fitted(t, ("b",))
    x = t.matrix().requires_grad_()
    z = (torch.stack([x[:, 0], x[:, 1].log()], 1) - encoder.mean) / encoder.scale
    slopes = [torch.autograd.grad(z[:, j].sum(), x, retain_graph=True)[0][:, j] for j in (0, 1)]
    expected = torch.stack(slopes).log().sum(0)
    _, log_det = encoder.encode(encoder.coding.prepare(t, Noise(0).each(Y)), Y)
    assert torch.allclose(log_det, expected, rtol=1e-10)


def test_density_in_original_units_integrates_to_one():
    values = Noise(3).normal(N).mul(0.4).exp()
    encoder, _ = fitted(table(a=values), ("a",))
    grid = torch.linspace(1e-4, 12, 20_001, dtype=torch.float64)
    y = torch.zeros(len(grid), dtype=torch.int64)
    t = table(a=grid)
    z, log_det = encoder.encode(encoder.coding.prepare(t, Noise(0).each(y)), y)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 0]) + log_det
    assert abs(float(torch.trapezoid(density.exp(), grid)) - 1) < 1e-4


def test_draws_have_the_recorded_decimals():
    free = Noise(0).normal(N)
    t = table(cents=(free * 1e5).round() / 100, free=free, whole=torch.arange(N).double())
    encoder, _ = fitted(t)
    assert [column.decimals for column in encoder.columns] == [2, None, 0]
    drawn = encoder.decode(Noise(1).normal(N, 3)).columns
    assert torch.equal((drawn["cents"] * 100).round() / 100, drawn["cents"])
    assert torch.equal(drawn["whole"].round(), drawn["whole"])
    assert not torch.equal((drawn["free"] * 1e9).round() / 1e9, drawn["free"])


def test_dequantised_values_stay_in_their_cell_and_fill_it():
    t = table(a=Noise(0).integers(3, N).double())
    rows = NumericCoding(recorded_columns(t, ())).prepare(t, Noise(1).each(Y))
    u = rows.values[:, 0] - t.columns["a"]
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(float(u.mean()) - 0.5) < 4 / (12 * N) ** 0.5
    again = NumericCoding(recorded_columns(t, ())).prepare(t, Noise(1).each(Y))
    assert torch.equal(rows.values, again.values)


def gappy() -> tuple[torch.Tensor, torch.Tensor]:
    """Two correlated columns (.9), a third of the first missing; sources 100 apart."""
    noise = Noise(0).normal(2, N)
    b = noise[0] + 100.0 * Y
    a = 0.9 * noise[0] + math.sqrt(0.19) * noise[1] + 100.0 * Y
    return torch.where(torch.arange(N) % 3 == 0, torch.nan, a), b


def test_gaps_are_filled_given_the_row_and_source():
    a, b = gappy()
    encoder, rows = fitted(table(a=a, b=b))
    z, _ = encoder.encode(rows, Y)
    filled = encoder.fill(z, rows, Y)
    gap = a.isnan()
    assert torch.equal(z.isnan(), torch.stack([gap, torch.zeros_like(gap)], 1))
    assert torch.equal(filled[~gap], z[~gap])
    back = filled * encoder.scale + encoder.mean
    own = back - 100.0 * Y[:, None]
    assert float(own.abs().max()) < 5
    assert 0.8 < float(torch.corrcoef(own[gap].T)[0, 1]) < 0.97


def test_rows_without_any_value_are_filled_too():
    a, b = gappy()
    b[0] = torch.nan
    encoder, rows = fitted(table(a=a, b=b))
    assert bool(encoder.fill(encoder.encode(rows, Y)[0], rows, Y).isfinite().all())


def test_held_out_rows_are_scored_on_what_was_observed():
    """The density of a row with a gap is the marginal density, in original units."""
    a, b = gappy()
    encoder, rows = fitted(table(a=a, b=b), ())
    z, log_det = encoder.encode(rows, Y)
    truth = GaussianTruth(
        torch.zeros(2, 2).double(), torch.tensor([[[1.0, 0], [0.5, 2]]]).double()
    )
    row = 3  # a is missing, b is not
    expected = -0.5 * float(z[row, 1]) ** 2 / 4.25 - 0.5 * math.log(2 * math.pi * 4.25)
    expected -= float(encoder.scale[1].log())
    assert float((truth.log_prob(z, Y) + log_det)[row]) == pytest.approx(expected)


def test_imputation_sees_training_rows_only():
    a = Noise(0).normal(N)
    a[5] = torch.nan
    t = table(a=a)
    coding = NumericCoding(recorded_columns(t, ()))
    rows = coding.prepare(t, Noise(0).each(Y))
    train = torch.arange(100)
    changed = a.clone()
    changed[150:] += 1000
    other = coding.prepare(table(a=changed), Noise(0).each(Y))
    fits = [coding.fit(r.take(train), Y[train], 2) for r in (rows, other)]
    assert fits[0].to_json() == fits[1].to_json()


def test_an_encoder_survives_as_json():
    a = Noise(0).normal(N)
    a[3] = torch.nan
    encoder, rows = fitted(table(a=a, b=Noise(1).integers(5, N).double() + 1), ("b",))
    again = NumericEncoder.from_json(encoder.to_json())
    (z, log_det), (z2, log_det2) = encoder.encode(rows, Y), again.encode(rows, Y)
    assert torch.equal(log_det, log_det2)
    assert torch.equal(encoder.fill(z, rows, Y), again.fill(z2, rows, Y))
    assert again.columns == encoder.columns


def test_a_column_without_spread_keeps_its_units():
    coding = NumericCoding(recorded_columns(table(a=Noise(0).normal(N)), ()))
    flat = table(a=torch.full((N,), 3.0, dtype=torch.float64))
    encoder = coding.fit(coding.prepare(flat, Noise(0).each(Y)), Y, 2)
    assert float(encoder.scale) == 1.0
