import json
import math

import pytest
import torch

from sourcewise.encoders.curve import Curve
from sourcewise.encoders.mixed_columns import MixedRows
from sourcewise.encoders.normal_scores import plan as plan_scores
from sourcewise.encoders.registry import load
from sourcewise.encoders.smooth import SmoothEncoder, plan
from sourcewise.forms import Column, Table
from sourcewise.randomness import Noise
from sourcewise.screening.base import Screened
from sourcewise.sources import Sources

N = 600
TIED = [1, 3]


def table() -> Table:
    """Columns without ties and with, in turn."""
    columns = {
        "skewed": (2 * Noise(0).normal(N)).exp(),
        "lattice": (4 * Noise(1).normal(N)).round(),
        "smooth": 1e4 + Noise(2).normal(N),
        "spiked": torch.where(Noise(3).uniform(N) < 0.3, 1.0, (9 * Noise(4).uniform(N)).round()),
    }
    return Table(columns, tuple(Column(name) for name in columns))


def fitted(x: Table, log: frozenset[str] = frozenset()):
    y = torch.arange(N) % 2
    coding = plan(Screened(Sources(x, y, "ab"), log=log))
    rows = coding.prepare(x, Noise(5).each(y))
    return rows, coding.fit(rows, y, 2), y


@pytest.mark.parametrize("log", [frozenset[str](), frozenset(["skewed"])])
def test_the_jacobian_is_that_of_the_map(log):
    """Of columns without ties: in original units, by steps in these."""
    x = table().select(["skewed", "smooth"])
    _, encoder, y = fitted(x, log)
    step = {name: 1e-6 * column for name, column in x.columns.items()}
    none = Noise(0).each(y)
    rows = encoder.coding.prepare(x, none)
    slopes = torch.zeros(N, dtype=torch.float64)
    for j, name in enumerate(x.names):
        ends = [
            encoder.encode(encoder.coding.prepare(Table(moved, x.schema), none), y)[0][:, j]
            for moved in ({**x.columns, name: x.columns[name] + s * step[name]} for s in (-1, 1))
        ]
        slopes += ((ends[1] - ends[0]) / (2 * step[name])).log()
    torch.testing.assert_close(encoder.encode(rows, y)[1], slopes, rtol=0, atol=1e-4)


def test_columns_with_ties_are_normal_scores_and_the_others_curves():
    rows, encoder, y = fitted(table())
    z, log_det = encoder.encode(rows, y)
    x = table().select(["lattice", "spiked"])
    scores = plan_scores(Screened(Sources(x, y, "ab")))
    tied = MixedRows(rows.values[:, TIED], rows.starts[:, TIED], rows.stops[:, TIED])
    theirs, rest = scores.fit(tied, y, 2).encode(tied, y)
    assert torch.equal(z[:, TIED], theirs)
    for j in (0, 2):
        own, log = Curve.of(rows.values[:, j]).scores(rows.values[:, j])
        assert torch.equal(z[:, j], own)
        rest = rest + log
    torch.testing.assert_close(log_det, rest, rtol=0, atol=1e-12)


def test_draws_go_back_to_recorded_values():
    rows, encoder, y = fitted(table(), frozenset(["skewed"]))
    back, x = encoder.decode(encoder.encode(rows, y)[0]), table()
    assert back.names == x.names
    for name in x.names:
        torch.testing.assert_close(back.columns[name], x.columns[name], rtol=1e-9, atol=1e-9)
    far = encoder.decode(torch.tensor([[-9.0] * 4, [9.0] * 4], dtype=torch.float64))
    assert all(bool(column.isfinite().all()) for column in far.columns.values())


@pytest.mark.parametrize("names", [["skewed"], ["lattice"], ["skewed", "lattice"]])
def test_saved_and_loaded_it_is_the_same(names):
    rows, encoder, y = fitted(table().select(names))
    loaded = load(json.loads(json.dumps(encoder.to_json())))
    assert encoder.sizes == loaded.sizes == {"d": len(names)}
    for a, b in zip(encoder.encode(rows, y), loaded.encode(rows, y), strict=True):
        assert isinstance(b, torch.Tensor)
        assert torch.equal(a, b)


def test_damaged_documents_are_refused():
    document = fitted(table())[1].to_json()
    for part, value in (("curves", document["curves"][1:]), ("stepped", None)):
        with pytest.raises(ValueError, match="not those of the columns"):
            SmoothEncoder.from_json({**document, part: value})


def test_a_smooth_density_has_no_jump_in_original_units():
    """The density of a standard normal z, over steps of a grid: no step is more than the slope."""
    x = table().select(["skewed"])
    _, encoder, _ = fitted(x)
    grid = torch.linspace(0, 20, 200_001, dtype=torch.float64)[:, None]
    y = torch.zeros(len(grid), dtype=torch.int64)
    z, log_det = encoder.encode(MixedRows(grid, grid, grid), y)
    log = log_det - 0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    assert float(log.diff().abs().max()) < 1e-2
