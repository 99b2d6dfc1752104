"""Rows of tables as points."""

from math import log, nan, sqrt

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.families.registry import family
from sourcewise.fitting.prepare import FitSettings, prepare_job
from sourcewise.forms import Column, Table
from sourcewise.metrics.features.columns import ColumnFeatures, ColumnPoints
from sourcewise.metrics.features.registry import fit, load
from sourcewise.sources import Sources
from sourcewise.strategies import parse_strategies


def table(numbers, codes):
    columns = {"a": torch.tensor(numbers).double(), "b": torch.tensor(codes)}
    return Table(columns, (Column("a"), Column("b", "category", ("u", "v", "w"))))


POINTS = ColumnFeatures(
    (ColumnPoints("a", 0, True, 1.0, 2.0, True), ColumnPoints("b", 3, False, 0.0, 1.0, False))
)


def test_points():
    found = POINTS(table([5.0, nan], [0, 2]))
    c = 1 / sqrt(2)
    wanted = torch.tensor([[(log(5) - 1) / 2, 0, c, 0, 0], [0, c, 0, 0, c]], dtype=torch.float64)
    assert torch.allclose(found, wanted)
    other = POINTS(table([5.0, 5.0], [0, 2]))
    assert float((other[0] - other[1]).norm()) == pytest.approx(1.0)


def test_documents_give_them_back():
    assert load(POINTS.to_json()) == POINTS
    with pytest.raises(InputError, match="no features of kind 'x'"):
        load({"kind": "x"})


def test_a_gap_where_none_may_be():
    with pytest.raises(InputError, match="column 'b': distances need values"):
        POINTS(table([1.0], [-1]))


def prepared(x, model, **settings):
    y = torch.arange(len(x)) % 2
    data = Sources(x, y, ("p", "q"))
    chosen = FitSettings(model=model, metric="energy-distance", **settings)
    return prepare_job(data, chosen, family(model), parse_strategies("separate", ("p", "q")))[0]


def numbers(gap):
    x = torch.randn(80, 2, generator=torch.Generator().manual_seed(0)).double()
    x[3, 0] = nan if gap else 0.5
    return Table({"a": x[:, 0], "b": x[:, 1]}, (Column("a"), Column("b")))


def test_gaps_are_levels_where_models_draw_them_and_refused_elsewhere():
    found = fit(numbers(True), prepared(numbers(True), "table").coding)
    assert found(numbers(True)).shape == (80, 3)
    assert found(numbers(True))[3].tolist()[:2] == [0.0, pytest.approx(1 / sqrt(2))]
    with pytest.raises(InputError, match="rows without gaps, .* 'a'; --missing drop"):
        prepared(numbers(True), "gaussian", missing="impute")


def test_scales_are_those_of_all_rows():
    x = numbers(False)
    found = fit(x, prepared(x, "gaussian").coding)(x)
    assert torch.allclose(found.std(0, correction=0), torch.ones(2).double())
