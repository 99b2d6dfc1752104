"""The box: inside the cube, back again, in original units."""

import json
from typing import cast

import pytest
import torch

from sourcewise.encoders.box import BoxCoding, BoxEncoder
from sourcewise.encoders.registry import load, screen
from sourcewise.errors import InputError
from sourcewise.forms import Column, Table
from sourcewise.models.energy import Energy
from sourcewise.models.settings import EnergySettings
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

N = 60
Y = torch.arange(N) % 2


def sample(**columns: torch.Tensor) -> Sources:
    return Sources(Table(columns, tuple(Column(n) for n in columns)), Y, ("a", "b"), name="made")


def numbers() -> dict[str, torch.Tensor]:
    tied = 2 + 0.5 * Noise(0).integers(12, N).double()
    return {"tied": tied, "free": Noise(1).normal(N).exp()}


def boxed(data: Sources, **options):
    screened = screen("box", data, EnergySettings(), **options)
    coding = cast(BoxCoding, screened.coding)
    rows = coding.lift(screened.data.x, Noise(2).each(Y))
    return coding.fit(rows, Y, 2), rows


@pytest.mark.parametrize("log", [(), ("free",), ("all",)])
def test_rows_lie_in_the_cube_and_come_back(log):
    columns = numbers()
    encoder, rows = boxed(sample(**columns), log=log)
    z, _ = encoder.encode(rows, Y)
    assert 0.04 < float(z.min()) < float(z.max()) < 0.96
    back = encoder.decode(z).columns
    assert torch.equal(back["tied"], columns["tied"])
    assert torch.allclose(back["free"], columns["free"], rtol=1e-12)
    assert encoder.sizes == {"D": 2}
    assert encoder.coding.variables == 2
    assert encoder.coding.unit == "row"


def test_density_in_original_units_integrates_to_one():
    encoder, _ = boxed(sample(a=Noise(3).normal(N).mul(0.4).exp()), log=("a",))
    ends = encoder.decode(torch.tensor([[0.0], [1.0]], dtype=torch.float64)).columns["a"]
    low, high = ends.tolist()
    grid = torch.linspace(low * 1.000001, high * 0.999999, 5001, dtype=torch.float64)
    y = torch.zeros(len(grid), dtype=torch.int64)
    table = Table({"a": grid}, (Column("a"),))
    z, log_det = encoder.encode(encoder.coding.lift(table, Noise(0).each(y)), y)
    model = Energy(EnergySettings(), K=1, D=1)
    model.reset(Noise(0))
    log_p = model.double().log_prob(z, y).detach() + log_det
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
        scores.append(model.log_prob(z, Y) + log_det)
    shift = torch.tensor(abs(a)).log()
    assert torch.allclose(scores[0], scores[1] - shift, atol=1e-5)


def test_json_keeps_all_of_it():
    encoder, rows = boxed(sample(**numbers()), log=("free",))
    again = load(json.loads(json.dumps(encoder.to_json())))
    assert isinstance(again, BoxEncoder)
    assert again == encoder
    for one, other in zip(encoder.encode(rows, Y), again.encode(rows, Y), strict=True):
        assert torch.equal(one, other)


def test_new_rows_outside_are_refused():
    encoder, _ = boxed(sample(**numbers()), log=("free",))
    new = numbers()
    new["free"][7] = 1000.0
    rows = encoder.coding.lift(sample(**new).x, Noise(0).each(Y))
    with pytest.raises(InputError, match=r"'free': 1000 lies outside the box \[0\..*1 such"):
        encoder.encode(rows, Y)
    new["free"][7] = torch.nan
    rows = encoder.coding.lift(sample(**new).x, Noise(0).each(Y))
    with pytest.raises(InputError, match="column 'free': a missing value"):
        encoder.encode(rows, Y)


def test_more_than_three_columns_and_gaps_are_refused():
    four = {name: Noise(i).normal(N) for i, name in enumerate("abcd")}
    with pytest.raises(InputError, match=r"4 columns .*takes 1 to 3 for now: choose with --col"):
        screen("box", sample(**four), EnergySettings())
    gap = numbers()
    gap["free"][3] = torch.nan
    with pytest.raises(InputError, match="--missing drop"):
        screen("box", sample(**gap), EnergySettings(), missing="impute")
    dropped = screen("box", sample(**gap), EnergySettings(), missing="drop")
    assert len(dropped.data.y) == N - 1
