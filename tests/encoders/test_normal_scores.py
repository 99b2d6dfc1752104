import json
import math

import pytest
import torch
from scipy.stats import kstest

from sourcewise.encoders.bins import Bins
from sourcewise.encoders.mixed_columns import MixedRows
from sourcewise.encoders.normal_scores import NormalScoresEncoder, plan
from sourcewise.encoders.places import code_of
from sourcewise.encoders.registry import load
from sourcewise.forms import Column, Table
from sourcewise.randomness import Noise
from sourcewise.screening.base import Screened
from sourcewise.sources import Sources

N = 600


def table() -> Table:
    """A smooth column, one on a lattice, and one of which a quarter of the values is 1.00."""
    smooth = Noise(0).normal(N)
    lattice = (4 * Noise(1).normal(N)).round()
    spiked = (Noise(2).normal(N).exp() * 100).round() / 100 + 1.0
    spiked[::4] = 1.0
    columns = {"smooth": smooth, "lattice": lattice, "spiked": spiked}
    return Table(columns, tuple(Column(name) for name in columns))


def fitted(log: frozenset[str] = frozenset()):
    x, y = table(), torch.arange(N) % 2
    coding = plan(Screened(Sources(x, y, "ab"), log=log))
    rows = coding.prepare(x, Noise(3).each(y))
    return coding, rows, coding.fit(rows, y, 2), y


def test_margins_of_training_rows_are_standard_normal():
    _, rows, encoder, y = fitted()
    z, _ = encoder.encode(rows, y)
    for column in z.T:
        assert kstest(column.numpy(), "norm").statistic < 0.03


@pytest.mark.parametrize(
    ("name", "log", "low", "high"),
    [
        ("smooth", False, -60.0, 60.0),
        ("lattice", False, -200.0, 200.0),
        ("spiked", False, -60.0, 200.0),
        ("spiked", True, 1e-12, 4000.0),
    ],
)
def test_a_standard_normal_score_is_a_density_of_the_column(name, log, low, high):
    """It integrates to one in original units, lattices, spikes and tails included."""
    x, y = table().select([name]), torch.arange(N) % 2
    coding = plan(Screened(Sources(x, y, "ab"), log=frozenset([name] if log else [])))
    encoder = coding.fit(coding.prepare(x, Noise(3).each(y)), y, 2)
    bins = encoder.bins.maps[0]
    assert isinstance(bins, Bins)
    ends = torch.tensor([low, high], dtype=torch.float64)
    pieces = torch.cat([ends, bins.knots.exp() if log else bins.knots]).unique()
    share = (torch.arange(5000, dtype=torch.float64) + 0.5) / 5000
    v = (pieces[:-1, None] + pieces.diff()[:, None] * share).flatten()
    weight = (pieces.diff()[:, None] / 5000).expand(-1, 5000).flatten()
    values = (v.log() if log else v)[:, None]  # prepared by hand: a grid is not dequantised
    z, log_det = encoder.encode(MixedRows(values, values, values), torch.zeros(len(v)).long())
    density = (log_det - 0.5 * (z.square() + math.log(2 * math.pi)).sum(1)).exp()
    assert float((density * weight).sum()) == pytest.approx(1, abs=2e-3)


def test_the_jacobian_is_that_of_the_map():
    _, rows, encoder, y = fitted()
    step = 1e-7
    moved = type(rows)(rows.values + step, rows.starts, rows.stops)
    (z, log_det), (other, _) = (encoder.encode(r, y) for r in (rows, moved))
    slopes = ((other - z) / step).log().sum(1)
    codes, others = (code_of(encoder.bins.encode(r, y)[0]) for r in (rows, moved))
    same = (codes == others).all(1)
    close = (slopes - log_det).abs() < 1e-3
    assert float(close[same].double().mean()) > 0.97  # the others cross a knot


def test_draws_go_back_to_recorded_values():
    _, rows, encoder, y = fitted()
    z, _ = encoder.encode(rows, y)
    back, x = encoder.decode(z), table()
    for name in ("lattice", "spiked"):
        assert torch.allclose(back.columns[name], x.columns[name], atol=1e-9)
    assert torch.allclose(back.columns["smooth"], x.columns["smooth"], atol=1e-8)
    far = encoder.decode(torch.tensor([[-40.0] * 3, [40.0] * 3], dtype=torch.float64))
    assert all(bool(column.isfinite().all()) for column in far.columns.values())


def test_saved_and_loaded_it_is_the_same():
    _, rows, encoder, y = fitted()
    loaded = load(json.loads(json.dumps(encoder.to_json())))
    for a, b in zip(encoder.encode(rows, y), loaded.encode(rows, y), strict=True):
        assert isinstance(a, torch.Tensor)
        assert isinstance(b, torch.Tensor)
        assert torch.equal(a, b)
    damaged = encoder.to_json()
    damaged["masses"][0] = damaged["masses"][0][1:]
    with pytest.raises(ValueError, match="not those of bins"):
        NormalScoresEncoder.from_json(damaged)
