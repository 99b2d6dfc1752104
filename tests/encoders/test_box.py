"""The box: inside the cube, back again, in original units."""

import json
from typing import cast

import pytest
import torch

from sourcewise.encoders.box import BoxCoding, BoxEncoder
from sourcewise.encoders.registry import load, plan
from sourcewise.errors import InputError
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.forms import Column, Table, as_table
from sourcewise.metrics.distributions import log_prob
from sourcewise.randomness import Noise
from sourcewise.screening.options import Rules
from sourcewise.screening.registry import screen
from sourcewise.sources import Sources

N = 60
Y = torch.arange(N) % 2


def sample(**columns: torch.Tensor) -> Sources:
    return Sources(Table(columns, tuple(Column(n) for n in columns)), Y, ("a", "b"), name="made")


def numbers() -> dict[str, torch.Tensor]:
    tied = 2 + 0.5 * Noise(0).integers(12, N).double()
    return {"tied": tied, "free": Noise(1).normal(N).exp()}


def planned(data: Sources, settings: EnergySettings, **rules):
    """The screened sample, and its box."""
    options = settings.coding_options()
    screened = screen("box", data, Rules(**rules), options)
    return screened, cast(BoxCoding, plan("box", screened, options))


def boxed(data: Sources, **rules):
    screened, coding = planned(data, EnergySettings(), **rules)
    rows = coding.prepare(screened.data.x, Noise(2).each(Y))
    return coding.fit(rows, Y, 2), rows


def within(z: torch.Tensor) -> torch.Tensor:
    """(D,) standard deviations within the two sources."""
    parts = [z[k == Y] - z[k == Y].mean(0) for k in range(2)]
    return torch.cat(parts).square().mean(0).sqrt()


def test_cells_of_a_grid_are_the_values_of_the_columns():
    """The best density on the cells is that of the frequencies: nothing is lost to the edges."""
    values = torch.tensor([0.0, 2.0, 4.0, 8.0], dtype=torch.float64)[Noise(5).integers(4, N)]
    other = Noise(6).integers(3, N).double()
    settings = EnergySettings.parse({"rule": "grid"})
    screened, coding = planned(sample(a=values, b=other), settings)
    assert coding.cells == 5  # 0, 2, 4, 6, 8
    rows = coding.prepare(screened.data.x, Noise(2).each(Y))
    encoder = coding.fit(rows, Y, 2)
    z, log_det = encoder.encode(rows, Y)
    assert torch.equal((5 * z).floor(), torch.stack([values / 2, other], 1))
    model = Energy(settings, K=2, **encoder.sizes)
    model.reset(Noise(8))
    assert model.nodes == 5
    every = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    u = model.network((every + 0.5) / 5, torch.zeros(25).long())
    table = (-u).softmax(0).view(5, 5)
    chance = table[(values / 2).long(), other.long()].double()
    log_p = log_prob(model, z, torch.zeros_like(Y)).double() + log_det
    assert torch.allclose(log_p, (chance / 2).log(), atol=1e-5)  # cells of 2 by 1


@pytest.mark.parametrize("log", [(), ("free",), ("all",)])
def test_rows_lie_in_the_cube_and_come_back(log):
    columns = numbers()
    encoder, rows = boxed(sample(**columns), log=log)
    z, _ = encoder.encode(rows, Y)
    assert 0.04 < float(z.min()) < float(z.max()) < 0.96
    back = as_table(encoder.decode(z)).columns
    assert torch.equal(back["tied"], columns["tied"])
    assert torch.allclose(back["free"], columns["free"], rtol=1e-12)
    assert encoder.sizes == {"D": 2, "spread": encoder.spread}
    assert encoder.spread == pytest.approx([float(s) for s in within(z)])
    assert encoder.coding.variables == 2
    assert encoder.coding.unit == "row"


def test_density_in_original_units_integrates_to_one():
    encoder, _ = boxed(sample(a=Noise(3).normal(N).mul(0.4).exp()), log=("a",))
    ends = as_table(encoder.decode(torch.tensor([[0.0], [1.0]]).double())).columns["a"]
    low, high = ends.tolist()
    grid = torch.linspace(low * 1.000001, high * 0.999999, 5001, dtype=torch.float64)
    y = torch.zeros(len(grid), dtype=torch.int64)
    table = Table({"a": grid}, (Column("a"),))
    z, log_det = encoder.encode(encoder.coding.prepare(table, Noise(0).each(y)), y)
    model = Energy(EnergySettings(), K=1, D=1)
    model.reset(Noise(0))
    log_p = log_prob(model.double(), z, y).detach() + log_det
    assert abs(float(torch.trapezoid(log_p.exp(), grid)) - 1) < 1e-4


@pytest.mark.parametrize("a", [-3.0, 0.01, 1000.0])
def test_rescaling_a_column_moves_scores_by_its_logarithm(a):
    free = numbers()["free"]
    model = Energy(EnergySettings(), K=2, D=2)
    model.reset(Noise(0))
    model.double()
    scores = []
    for scale in (abs(a), 1.0):
        encoder, rows = boxed(sample(free=scale * free + 5, other=Noise(5).normal(N)))
        z, log_det = encoder.encode(rows, Y)
        scores.append(log_prob(model, z, Y) + log_det)
    shift = torch.tensor(abs(a)).log()
    assert torch.allclose(scores[0], scores[1] - shift, atol=1e-5)


def test_json_keeps_all_of_it():
    encoder, rows = boxed(sample(**numbers()), log=("free",))
    again = load(json.loads(json.dumps(encoder.to_json())))
    assert isinstance(again, BoxEncoder)
    assert again == encoder
    for one, other in zip(encoder.encode(rows, Y), again.encode(rows, Y), strict=True):
        assert torch.equal(one, other)


def prepared(encoder: BoxEncoder, columns: dict[str, torch.Tensor], seed: int = 0):
    return encoder.coding.prepare(sample(**columns).x, Noise(seed).each(Y))


def test_new_rows_outside_are_refused():
    encoder, _ = boxed(sample(**numbers()), log=("free",))
    new = numbers()
    new["free"][7] = 1000.0
    told = r"'free': 1000 lies outside \[0\..*, widened by 5 % \(rows outside: 1\); leave such"
    with pytest.raises(InputError, match=told):
        prepared(encoder, new)
    new["free"][7] = torch.nan
    with pytest.raises(InputError, match="column 'free': a missing value"):
        prepared(encoder, new)


def test_a_value_outside_is_told_as_recorded_whatever_the_draws():
    """The range told is that of recorded values: all of the cell of each lies in the box."""
    columns = numbers()
    encoder, _ = boxed(sample(**columns))
    top = float(columns["tied"].max())
    high = encoder.coding.high[0] - 0.5
    for seed in range(5):
        for value, inside in ((high, True), (high + 0.01, False), (top + 5, False)):
            new = {**columns, "tied": columns["tied"].clone()}
            new["tied"][3:5] = value
            if inside:
                z, _ = encoder.encode(prepared(encoder, new, seed), Y)
                assert bool((z <= 1).all())
                continue
            told = f"'tied': {value:.9g} lies outside \\[.*, {high:.9g}\\].*rows outside: 2"
            with pytest.raises(InputError, match=told):
                prepared(encoder, new, seed)


@pytest.mark.parametrize(
    ("values", "options", "value", "message"),
    [
        (
            {"a": torch.arange(N).double() % 9},
            {"rule": "grid"},
            9.0,
            r"9 lies outside \[0, 8\], the values that the grid made cells for .*nodes=N, which "
            "adds cells above, or with another rule",
        ),
        (
            {"a": 0.5 * (torch.arange(N) % 9)},
            {"rule": "grid", "nodes": 10},
            -1.0,
            r"-1 lies outside \[0, 4.5\].*, or train on data that hold such values, or with ano",
        ),
        (
            {"a": Noise(3).uniform(N)},
            {"rule": "grid", "nodes": 10},
            7.25,
            "7.25 lies outside .*, the range of the sample that the models were made for .rows",
        ),
    ],
)
def test_rows_outside_a_grid_hear_what_helps(values, options, value, message):
    data = sample(**{name: column.double() for name, column in values.items()})
    _, coding = planned(data, EnergySettings.parse(options))
    encoder = coding.fit(coding.prepare(data.x, Noise(2).each(Y)), Y, 2)
    new = {name: column.double().clone() for name, column in values.items()}
    new["a"][5] = value
    with pytest.raises(InputError, match=message) as caught:
        prepared(encoder, new)
    assert "widened" not in str(caught.value)


def rounded_columns() -> dict[str, torch.Tensor]:
    """On lattices from 0 and elsewhere, with decimals, at a far origin, and none of these."""
    u = Noise(11).normal(N, 5)
    return {
        "rating": (1 + 4 * Noise(12).uniform(N)).round(),
        "coarse": 0.25 * (3 * u[:, 0]).round() + 0.1,
        "cents": (100 * u[:, 1].exp()).round() / 100,
        "far": 1e9 + 3 * u[:, 2],
        "free": u[:, 3].exp(),
    }


@pytest.mark.parametrize("log", [(), ("cents", "free"), ("rating", "cents", "free", "far")])
@pytest.mark.parametrize("rule", ["gauss-legendre", "grid"])
def test_draws_lie_in_the_box_as_recorded(log, rule):
    """Draws at the walls too: rounding does not take them out, nor to values never recordable."""
    columns = rounded_columns()
    settings = EnergySettings.parse({"rule": rule} | ({"nodes": 64} if rule == "grid" else {}))
    screened, coding = planned(sample(**columns), settings, log=log)
    encoder = coding.fit(coding.prepare(screened.data.x, Noise(2).each(Y)), Y, 2)
    ends = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 5)
    z = torch.cat([ends, ends * (1 - 2e-9) + 1e-9, Noise(13).uniform(200, 5)])
    drawn = encoder.decode(z)
    assert isinstance(drawn, Table)
    y = torch.zeros(len(z), dtype=torch.int64)
    coding.prepare(drawn, Noise(3).each(y))
    assert torch.equal(drawn.columns["rating"], drawn.columns["rating"].round())
    if rule != "grid":
        ratings = drawn.columns["rating"]
        assert 1 <= float(ratings.min()) < float(ratings.max()) <= 5
    steps = (drawn.columns["coarse"] - columns["coarse"].min()) / 0.25
    assert torch.allclose(steps, steps.round(), atol=1e-9)
    assert torch.allclose(drawn.columns["cents"], (100 * drawn.columns["cents"]).round() / 100)
