"""Rows of symbols: numbers, tables and text of one length, one to one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sourcewise as sw
from sourcewise.encoders.registry import load
from sourcewise.encoders.tokens import TokenCoding
from sourcewise.forms import Column, Images, Ragged, Table


def there_and_back(x):
    coding = TokenCoding.of(x)
    rows = coding.prepare(x)
    y = torch.zeros(len(x), dtype=torch.int64)
    encoder = coding.fit(rows, y, 1)
    z, log_det = encoder.encode(rows, y)
    assert isinstance(z, torch.Tensor)
    assert z.dtype == torch.int64
    assert z.shape == (len(x), coding.D)
    assert 0 <= int(z.min()) <= int(z.max()) < coding.M
    assert torch.equal(log_det, torch.zeros(len(x), dtype=torch.float64))
    assert torch.equal(coding.sizes(x), torch.ones(len(x), dtype=torch.float64))
    assert encoder.fill(z, rows, y) is z
    assert encoder.sizes == {"M": coding.M, "D": coding.D}
    assert (coding.unit, coding.variables) == ("row", coding.D)
    assert len(rows.take(torch.tensor([0]))) == 1
    assert load(encoder.to_json()) == encoder
    return coding, encoder.decode(z)


@given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 9)))
def test_matrices_survive(x):
    x[0, 0] = 9
    x = torch.from_numpy(x)
    coding, back = there_and_back(x)
    assert coding.M == 10
    assert isinstance(back, torch.Tensor)
    assert torch.equal(back, x)
    assert TokenCoding.of(x.float()) == TokenCoding.of(x.to(torch.uint8)) == coding


@given(st.integers(1, 5).flatmap(lambda D: st.lists(st.text(min_size=D, max_size=D), min_size=1)))
def test_text_survives(strings):
    x = Ragged.of_strings([*strings, "a" * len(strings[0]), "b" * len(strings[0])])
    coding, back = there_and_back(x)
    assert isinstance(back, Ragged)
    assert back.strings() == x.strings()
    assert torch.equal(back.offsets, x.offsets)
    assert coding.M == len(set("".join(x.strings())))


def test_tables_of_numbers_survive():
    table = Table(
        {"a": torch.tensor([0.0, 3]), "b": torch.tensor([1.0, 1])}, (Column("a"), Column("b"))
    )
    coding, back = there_and_back(table)
    assert (coding.M, coding.D) == (4, 2)
    assert isinstance(back, Table)
    assert torch.equal(back.matrix(), table.matrix())
    assert back.schema == table.schema


def test_a_coding_holds_for_other_rows_of_its_sample():
    coding = TokenCoding.of(Ragged.of_strings(["ACGT", "TTTT"]))
    assert coding.prepare(Ragged.of_strings(["CATG"])).values.tolist() == [1, 0, 3, 2]
    for strings, message in (
        (["ACGT", "ACGN"], "row 2 holds a symbol that is not among the 4 known"),
        (["ACGT", "ACG"], "row 2 holds 3 symbols, not 4"),
    ):
        with pytest.raises(sw.InputError, match=message):
            coding.prepare(Ragged.of_strings(strings))
    with pytest.raises(sw.InputError, match="no text"):
        coding.prepare(torch.zeros(2, 4))
    with pytest.raises(sw.InputError, match="rows of 3 symbols, not 2"):
        TokenCoding(4, 2).prepare(torch.zeros(2, 3))


def test_images_are_flattened():
    digits = sw.read("digits").x
    assert isinstance(digits, Images)
    square = digits.pixels()
    assert TokenCoding.of(square).sizes(square).sum() == 1797
    coding = TokenCoding.of(square)
    assert (coding.M, coding.D) == (17, 64)
