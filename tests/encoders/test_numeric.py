import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sourcewise.encoders.numeric import NumericEncoder, lift, plan, resolution
from sourcewise.forms import Column, Table
from sourcewise.randomness import Noise

N = 200
Y = torch.arange(N) % 2


def table(**columns) -> Table:
    return Table(columns, tuple(Column(name) for name in columns))


def fitted(t: Table, log=()):
    columns = plan(t, log)
    rows = lift(t, columns, Noise(0).each(Y))
    return NumericEncoder.fit(columns, rows, Y, 2), rows


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
    _, log_det = encoder.encode(lift(t, encoder.columns, Noise(0).each(Y)), Y)
    assert torch.allclose(log_det, expected, rtol=1e-10)


def test_density_in_original_units_integrates_to_one():
    values = Noise(3).normal(N).mul(0.4).exp()
    encoder, _ = fitted(table(a=values), ("a",))
    grid = torch.linspace(1e-4, 12, 20_001, dtype=torch.float64)
    y = torch.zeros(len(grid), dtype=torch.int64)
    t = table(a=grid)
    z, log_det = encoder.encode(lift(t, encoder.columns, Noise(0).each(y)), y)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 0]) + log_det
    assert abs(float(torch.trapezoid(density.exp(), grid)) - 1) < 1e-4


def test_resolution_is_the_smallest_gap_of_tied_columns():
    rounded = torch.tensor([0.1 + 0.2, 0.3, 0.3, 0.5, 0.5, 0.5], dtype=torch.float64)
    assert resolution(rounded) == 0.2
    assert resolution(torch.tensor([1.0, 2.0, 3.0])) is None
    assert resolution(torch.tensor([2.0, 2.0])) is None
    assert resolution(torch.tensor([1.0, torch.nan, 1.0, 3.0])) == 2.0


def test_dequantised_values_stay_in_their_cell_and_fill_it():
    t = table(a=Noise(0).integers(3, N).double())
    rows = lift(t, plan(t, ()), Noise(1).each(Y))
    u = rows.values[:, 0] - t.columns["a"]
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(float(u.mean()) - 0.5) < 4 / (12 * N) ** 0.5
    again = lift(t, plan(t, ()), Noise(1).each(Y))
    assert torch.equal(rows.values, again.values)


def test_missing_values_are_filled_from_their_own_source():
    a = Noise(0).normal(N) + 100.0 * Y
    b = Noise(1).normal(N)
    a[:20] = torch.nan
    b[Y == 1] = torch.nan  # no value at all in source 1: filled from source 0
    encoder, rows = fitted(table(a=a, b=b))
    z, _ = encoder.encode(rows, Y)
    filled = encoder.decode(z).columns
    assert bool(z.isfinite().all())
    assert bool((filled["a"][:20][Y[:20] == 0] < 50).all())
    assert bool((filled["a"][:20][Y[:20] == 1] > 50).all())
    assert abs(float(filled["b"][Y == 1].mean())) < 1
    assert torch.equal(
        filled["a"][20:],
        (a[20:] - encoder.mean[0]) / encoder.scale[0] * encoder.scale[0] + encoder.mean[0],
    )


def test_imputation_sees_training_rows_only():
    a = Noise(0).normal(N)
    a[5] = torch.nan
    t = table(a=a)
    columns = plan(t, ())
    rows = lift(t, columns, Noise(0).each(Y))
    train = torch.arange(100)
    changed = a.clone()
    changed[150:] += 1000
    other = lift(table(a=changed), columns, Noise(0).each(Y))
    for encoder_rows in (rows, other):
        encoder = NumericEncoder.fit(columns, encoder_rows.take(train), Y[train], 2)
        assert abs(float(encoder.mean)) < 1


def test_an_encoder_survives_as_json():
    a = Noise(0).normal(N)
    a[3] = torch.nan
    encoder, rows = fitted(table(a=a, b=Noise(1).integers(5, N).double() + 1), ("b",))
    again = NumericEncoder.from_json(encoder.to_json())
    for one, two in zip(encoder.encode(rows, Y), again.encode(rows, Y), strict=True):
        assert torch.equal(one, two)
    assert again.columns == encoder.columns


def test_a_column_without_spread_keeps_its_units():
    columns = plan(table(a=Noise(0).normal(N)), ())
    flat = lift(table(a=torch.full((N,), 3.0, dtype=torch.float64)), columns, Noise(0).each(Y))
    encoder = NumericEncoder.fit(columns, flat, Y, 2)
    assert float(encoder.scale) == 1.0
