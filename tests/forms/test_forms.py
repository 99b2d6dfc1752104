"""Ragged sequences: strings and back, taking, padding; whatever is in them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sourcewise as sw
from sourcewise.forms import Ragged, as_table, content, ragged, take

STRINGS = st.lists(st.text(max_size=8), max_size=12)
SOME = ["no", "", "𝄞🎈é", "yes", ""]


@given(STRINGS)
def test_strings_survive(strings):
    x = Ragged.of_strings(strings)
    assert x.strings() == strings
    assert x.lengths.tolist() == [len(s) for s in strings]
    assert x.values.dtype == x.offsets.dtype == torch.int64
    assert x.codes.dtype == torch.uint8
    assert Ragged.of([[ord(c) for c in s] for s in strings]).strings() == strings


@given(STRINGS)
def test_padding_and_back(strings):
    x = Ragged.of_strings(strings)
    padded = x.padded()
    assert padded.shape == (len(strings), max(map(len, strings), default=0))
    assert Ragged.of_padded(padded).strings() == strings


@pytest.mark.parametrize(
    "index",
    [
        torch.tensor([2, 0, 2]),
        torch.tensor([-1, -3]),
        torch.tensor([True, False, True, False, False]),
        torch.zeros(5, dtype=torch.bool),
        torch.empty(0, dtype=torch.int64),
    ],
)
def test_taking_is_what_a_list_would_give(index):
    expected = [SOME[i] for i in torch.arange(5)[index].tolist()]
    x = Ragged.of_strings(SOME)
    assert x.take(index).strings() == expected
    assert Ragged.of_padded(x.padded(index)).strings() == expected
    taken = take(x, index)
    assert isinstance(taken, Ragged)
    assert taken.strings() == expected
    assert len(taken) == len(expected)


def test_a_mask_of_another_length_is_an_error():
    with pytest.raises(IndexError):
        Ragged.of_strings(SOME).take(torch.ones(4, dtype=torch.bool))


def test_padding_at_an_index_of_two_axes():
    x = Ragged.of_strings(SOME)
    index = torch.tensor([[0, 2, 1], [4, 3, 3]])
    padded = x.padded(index, fill=-7)
    assert padded.shape == (2, 3, 3)
    for i, row in enumerate(index.tolist()):
        for j, k in enumerate(row):
            points = [ord(c) for c in SOME[k]]
            assert padded[i, j].tolist() == points + [-7] * (3 - len(points))
    assert x.padded(torch.tensor([[1], [4]])).shape == (2, 1, 0)
    assert Ragged.of_strings(["", ""]).padded().shape == (2, 0)


def test_content_tells_sequences_apart():
    def digest(*strings):
        return b"".join(content(Ragged.of_strings(strings)))

    different = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc")]
    assert len({digest(*strings) for strings in different}) == len(different)
    x = Ragged.of_strings(["x", "ab", "c"]).take(torch.tensor([1, 2]))
    assert b"".join(content(x)) == digest("ab", "c")


def test_text_is_no_table():
    with pytest.raises(sw.InputError, match="needs a table"):
        as_table(Ragged.of_strings(SOME))


@pytest.mark.parametrize(
    ("different", "held"), [(256, torch.uint8), (257, torch.int16), (40_000, torch.int32)]
)
def test_an_entry_takes_the_fewest_bytes(different, held):
    """Whatever the entries are: it is their number in the alphabet that counts."""
    points = [0x10FFFF - i for i in range(different)]
    strings = [*map(chr, points), "".join(map(chr, points))]
    for x in (Ragged.of_strings(strings), Ragged.of([*([p] for p in points), points])):
        assert x.codes.dtype == held
        assert x.strings() == strings


@given(STRINGS, st.integers(1, 5), st.data())
def test_blocks_change_nothing(strings, size, data):
    """Fingerprints are those of int64 values and offsets, in whatever blocks they are made."""
    rows = st.lists(st.integers(0, len(strings) - 1)) if strings else st.just([])
    x = Ragged.of_strings(strings).take(torch.tensor(data.draw(rows), dtype=torch.int64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "_BLOCK", size)
        texts = x.strings()
        values = torch.tensor([ord(c) for text in texts for c in text], dtype=torch.int64)
        assert torch.equal(x.values, values)
        ends = torch.tensor([0, *map(len, texts)]).cumsum(0)
        assert b"".join(content(x)) == b"".join([*content(ends), *content(values)])
        counts = dict(zip(x.alphabet.tolist(), x.counts().tolist(), strict=True))
        assert counts == {ord(c): "".join(texts).count(c) for c in map(chr, counts)}
        wide = x.sums(x.alphabet > 0x7F)
        assert wide.tolist() == [sum(ord(c) > 0x7F for c in text) for text in texts]
        found = x.first(x.alphabet > 0x7F)
        firsts = [(i, c) for i, t in enumerate(texts) for c in map(ord, t) if c > 0x7F]
        assert found == next(iter(firsts), None)
        assert Ragged.joined([x, x]).strings() == 2 * texts


def test_strings_that_need_wider_codes_later_are_kept(monkeypatch):
    monkeypatch.setattr(ragged, "_BLOCK", 10)
    strings = ["abc" * 5, "".join(map(chr, range(300, 900))), "cab"]
    x = Ragged.of_strings(strings)
    assert x.strings() == strings
    assert x.codes.dtype == torch.int16


def test_what_is_taken_shares_its_codes():
    x = Ragged.of_strings(SOME)
    assert x.take(torch.tensor([2])).codes is x.codes
    alone = x.take(torch.tensor([2])).to("meta")
    assert len(alone.codes) == 3
