"""Short texts as numbers: they are the texts, whatever the blocks they came in."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.forms import as_table
from sourcewise.readers import blocks
from sourcewise.readers.distinct import encoded
from sourcewise.readers.notation import Notation, admitted, numbers
from sourcewise.readers.short import Short, all_different, as_text, blank, equal, joined, packed

TEXTS = st.lists(st.text("a0. é€\n", max_size=4), max_size=12)


@given(TEXTS, st.integers(0, 12))
def test_short_texts_are_told_apart_as_texts_are(texts, start):
    array = pa.array(texts, pa.string())[start:]
    texts = texts[start:]
    found = packed(array)
    column = joined([found])
    assert as_text(column).to_pylist() == texts
    if isinstance(found.type, Short):
        values, codes = encoded(column)
        assert values.to_pylist() == list(dict.fromkeys(texts))
        assert [values[code].as_py() for code in codes.tolist()] == texts
        assert blank(column).tolist() == [not text.strip() for text in texts]
        assert all(equal(column, text).tolist() == [text == t for t in texts] for text in texts)
    if all_different(pa.chunked_array([array])):
        assert len(set(texts)) == len(texts)


def test_what_is_long_or_holds_nul_stays_text():
    for cell in ("nine byte", "€€€", "a\0"):
        assert packed(pa.array(["a", cell])).type == pa.string()
    assert joined([packed(pa.array(["a"])), pa.array(["nine byte"])]).to_pylist() == [
        "a",
        "nine byte",
    ]


PLAIN = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text("0123456789.-+eE,", min_size=1, max_size=6),
)


@given(st.lists(PLAIN, min_size=40, max_size=60, unique=True))
def test_numbers_found_at_once_are_those_that_match(texts):
    values = pa.array(texts, pa.string())
    every = pc.all(pc.match_substring_regex(values, pattern=Notation().pattern)).as_py()
    assert (Notation() in admitted(values)) == every
    if every:
        assert numbers(values, Notation()).tolist() == list(map(float, texts))


@pytest.mark.parametrize("block", [1 << 16, 1 << 24])
def test_blocks_change_nothing(tmp_path, monkeypatch, block):
    """The tenth column holds long texts in some blocks only; gaps are where they were."""
    n = 20_000
    cells = np.random.default_rng(0).normal(size=(n, 3)).round(3)
    words = [f"word {i % 7}" if i < n - 5 else "a longer text" for i in range(n)]
    lines = [
        f"s{i % 3},{a},{b!r},{'' if i % 5 == 0 else c},{w}"
        for i, ((a, b, c), w) in enumerate(zip(cells.tolist(), words, strict=True))
    ]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["source,a,b,c,w", *lines]) + "\n")
    monkeypatch.setattr(blocks, "_SMALL", block)
    monkeypatch.setattr(blocks, "_MANY", 10)
    data = sw.read(path)
    table = as_table(data.x)
    cells[::5, 2] = np.nan
    for j, name in enumerate("abc"):
        assert np.array_equal(table.columns[name].numpy(), cells[:, j], equal_nan=True)
    assert table.cells("w").tolist() == words
    assert torch.equal(data.y, torch.arange(n) % 3)
    seen = {column.name: column for column in data.seen}
    assert (seen["c"].gaps, seen["w"].distinct) == (n // 5, 8)
    assert seen["a"].distinct == len(set(cells[:, 0].tolist()))  # 0.0 and -0.0 are one


def test_a_row_longer_than_a_block_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("source,w\n" + "a,b\n" * 50 + f"b,{'c' * 5000}\n")
    monkeypatch.setattr(blocks, "_SMALL", 1000)
    assert sw.read(path).counts.tolist() == [50, 1]


def test_all_different_texts_keep_their_rows(tmp_path):
    texts = [f"{i + 0.123456789012:.12f}" for i in range(400)]
    assert all_different(pa.chunked_array([texts]))
    path = tmp_path / "a.csv"
    path.write_text("source,x\n" + "".join(f"s{i % 2},{t}\n" for i, t in enumerate(texts)))
    data = sw.read(path)
    assert as_table(data.x).columns["x"].tolist() == list(map(float, texts))
    assert data.seen[0].distinct == 400
    path.write_text(path.read_text() + "s0,no number at all\n")
    with pytest.raises(InputError, match=r"1 rows with 'no number at all' \(.*line 402\)"):
        sw.read(path)
