"""A few texts by Python and many by Arrow: both ways say the same."""

from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sourcewise.errors import InputError
from sourcewise.readers import cells_of_text as cells
from sourcewise.readers.kinds import Texts, decide, file_mark

CELLS = st.one_of(
    st.text(max_size=6),
    st.from_regex(r"\A[ +−-]?[0-9]{1,4}([.,' ][0-9]{0,4})?([eE][+-]?[0-9]{1,3})?[ %€]?\Z"),
    st.from_regex(r"\A[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}\Z"),
)


def ways(texts):
    return list(texts), pa.array(texts, pa.string())


def outcome(values):
    column = Texts("c", values, np.arange(len(values)))
    found = [None, str(file_mark([column]))]
    with suppress(InputError):
        decided = decide(column)
        found[0] = decided.kind, decided.why, decided.levels, decided.recorded, decided.said
        found.append(repr(decided.numbers))
    return found


@given(st.lists(CELLS, min_size=1, max_size=5, unique=True))
def test_both_ways_decide_the_same(texts):
    few, many = ways(texts)
    assert outcome(few) == outcome(many)


@given(texts=st.lists(CELLS, max_size=5))
@pytest.mark.parametrize("pattern", ["^[+-]?[0-9]+$", "[.,]", "^ ?[0-9].*$"])
def test_both_ways_match_and_replace_the_same(texts, pattern):
    few, many = ways(texts)
    assert cells.matching(few, pattern).tolist() == cells.matching(many, pattern).tolist()
    for head in (cells.HEAD, 1, 0):  # that are asked before Arrow is
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cells, "HEAD", head)
            assert cells.all_match(few, pattern) == cells.all_match(many, pattern)
            assert cells.any_match(few, pattern) == cells.any_match(many, pattern)
    assert cells.replaced(few, pattern, "-") == cells.listed(cells.replaced(many, pattern, "-"))
    assert cells.ascii_only(few) == cells.ascii_only(many)
    assert cells.among(few, {"1", ""}).tolist() == cells.among(many, {"1", ""}).tolist()


def test_both_ways_strip_every_kind_of_space():
    texts = [chr(i) + "a" + chr(i) for i in range(0x3100)]
    few, many = ways(texts)
    assert cells.stripped(few) == cells.listed(cells.stripped(many))


def test_both_ways_read_the_same_numbers():
    texts = ["+3", "-0", "0.1", "1e400", "4.9e-324", "9007199254740993", "no"]
    few, many = ways(texts)
    fits = np.array([text != "no" for text in texts])
    assert cells.floats(few, fits).tobytes() == cells.floats(many, fits).tobytes()
