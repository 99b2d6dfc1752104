"""A table whose columns lie in one matrix is the table of the same columns apart."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sourcewise.forms import Column, Table
from sourcewise.forms.stacked import Stacked

KINDS = st.lists(st.sampled_from(["number", "category"]), min_size=1, max_size=6)


def pair(kinds: list[str], n: int) -> tuple[Table, Table]:
    """The same columns in one matrix, and apart."""
    noise = torch.Generator().manual_seed(n)
    schema, apart, stacked = [], {}, Stacked.empty(n, len(kinds))
    for j, kind in enumerate(kinds):
        name = f"c{j}"
        if kind == "number":
            values = torch.randn(n, generator=noise, dtype=torch.float64)
            values[values > 1] = torch.nan
            schema.append(Column(name))
        else:
            values = torch.randint(-1, 3, (n,), generator=noise)
            schema.append(Column(name, "category", ("a", "b", "c")))
        apart[name] = stacked[name] = values
    return Table(stacked, tuple(schema)), Table(apart, tuple(schema))


def same(one: Table, other: Table) -> bool:
    assert (one.schema, len(one)) == (other.schema, len(other))
    assert torch.equal(one.matrix().nan_to_num(9), other.matrix().nan_to_num(9))
    assert one.matrix().stride() == other.matrix().stride()
    return list(one.content()) == list(other.content())


@given(KINDS, st.integers(1, 5), st.data())
def test_all_is_as_with_columns_apart(kinds, n, data):
    one, other = pair(kinds, n)
    assert same(one, other)
    rows = torch.tensor(data.draw(st.lists(st.integers(0, n - 1), min_size=1)))
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    some = data.draw(st.lists(st.sampled_from(one.names), min_size=1, unique=True))
    for index in (rows, mask):
        assert same(one.take(index), other.take(index))
        assert same(one.select(some).take(index), other.select(some).take(index))
    assert same(one.select(some), other.select(some))
    assert same(one.to("cpu"), other.to("cpu"))
    for (names, block), (others, apart) in zip(one.blocks(some), other.blocks(some), strict=True):
        assert names == others
        assert torch.equal(block.nan_to_num(9), apart.nan_to_num(9))


def test_a_matrix_is_a_copy():
    """Screening writes gaps into it."""
    one, _ = pair(["number"], 3)
    one.matrix().fill_(7)
    assert not (one.columns["c0"] == 7).any()


def test_a_column_is_set_once():
    columns = Stacked.empty(2, 2)
    columns["a"] = torch.zeros(2).double()
    with pytest.raises(ValueError, match="'a' is set already"):
        columns["a"] = torch.ones(2).double()
