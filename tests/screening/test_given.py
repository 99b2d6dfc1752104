"""Which given columns can be used."""

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.forms import Column, Table, as_table
from sourcewise.screening.given import MOST_LEVELS, screen_given
from sourcewise.screening.options import Rules
from sourcewise.sources import Sources


def sample(**columns):
    schema, values = [], {}
    for name, column in columns.items():
        values[name], kind = torch.tensor(column), "category"
        if values[name].is_floating_point():
            values[name], kind = values[name].double(), "number"
        levels = () if kind == "number" else tuple(map(str, range(int(values[name].max()) + 1)))
        schema.append(Column(name, kind, levels))
    n = len(values[schema[0].name])
    y = torch.arange(n) % 2
    return Sources(torch.zeros(n, 1), y, "ab", c=Table(values, tuple(schema)))


def test_rows_with_gaps_are_refused_or_dropped():
    data = sample(a=[1.0, float("nan"), 2.0, 3.0])
    with pytest.raises(InputError, match=r"missing values \(a 1; 4 rows\).*--missing drop"):
        screen_given(data, Rules())
    for missing in ("drop", "impute"):  # nothing fills in what is given
        found = screen_given(data, Rules(missing=missing))
        assert len(found) == 3
        assert found.notes == ("1 row dropped for missing values of given columns (a 1)",)
    with pytest.raises(InputError, match="missing values"):
        screen_given(sample(a=[float("nan")] * 4), Rules(missing="impute"))


def test_constant_columns_are_left_out_with_a_note():
    found = screen_given(sample(a=[1.0, 2.0], b=[5.0, 5.0]), Rules())
    assert found.c is not None
    assert as_table(found.c).names == ("a",)
    assert "given column 'b' left out: it is the same in every row" in found.notes
    with pytest.raises(InputError, match="no given column left"):
        screen_given(sample(b=[5.0, 5.0]), Rules())


def test_too_many_categories_and_too_large_numbers():
    with pytest.raises(InputError, match=f"has {MOST_LEVELS + 1} categories"):
        screen_given(sample(a=list(range(MOST_LEVELS + 1))), Rules())
    with pytest.raises(InputError, match="holds values above 1e"):
        screen_given(sample(a=[1e200, 0.0]), Rules())
