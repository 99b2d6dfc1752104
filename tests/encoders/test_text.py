"""Text <-> ids: nothing is lost but the unknown, and probabilities are of strings."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sourcewise as sw
from sourcewise.encoders.base import Unknown
from sourcewise.encoders.registry import load
from sourcewise.encoders.text import CHARACTERS, TextCoding, TextEncoder
from sourcewise.forms import Ragged

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def fit(strings, **options):
    coding = TextCoding(**options)
    rows = coding.prepare(Ragged.of_strings(strings))
    return coding, coding.fit(rows, torch.zeros(len(strings), dtype=torch.int64), 1)


def encode(coding, encoder, strings):
    rows = coding.prepare(Ragged.of_strings(strings))
    z, log_det = encoder.encode(rows, torch.zeros(len(strings), dtype=torch.int64))
    assert encoder.fill(z, rows, torch.zeros(len(strings))) is z
    return z, log_det


@given(st.lists(TEXT, min_size=1, max_size=6), st.sampled_from(["characters", "bytes"]))
def test_what_is_known_survives(strings, symbols):
    coding, encoder = fit(strings * 2, symbols=symbols)
    z, log_det = encode(coding, encoder, strings)
    assert encoder.decode(z).strings() == strings
    assert encoder.decode(z.padded()).strings() == strings
    assert log_det.tolist() == [0.0] * len(strings)
    assert torch.equal(coding.sizes(Ragged.of_strings(strings)), z.lengths.double() + 1)
    assert not len(z.values) or int(z.values.max()) < encoder.sizes["vocabulary"]


@given(st.lists(TEXT, max_size=6), st.lists(TEXT, min_size=1, max_size=6))
def test_what_was_seen_less_than_twice_is_unknown(training, strings):
    coding, encoder = fit(training)
    seen = "".join(training)
    z, log_det = encode(coding, encoder, strings)
    known = ["".join(c if seen.count(c) > 1 else "\ufffd" for c in s) for s in strings]
    assert encoder.decode(z).strings() == known
    outside = CHARACTERS - len({c for c in seen if seen.count(c) > 1})
    for string, value in zip(strings, log_det.tolist(), strict=True):
        unknown = sum(seen.count(c) < 2 for c in string)
        assert value == pytest.approx(-unknown * math.log(outside))
    assert z.take(z.lengths > 0).lengths.tolist() == [len(s) for s in strings if s]


def test_probabilities_are_of_strings():
    """Under any p(z), all strings of at most one character have the mass of their codes."""
    coding, encoder = fit(["abba", "c"])
    assert encoder.sizes == {"vocabulary": 3}
    p = torch.tensor([0.15, 0.35, 0.1, 0.4], dtype=torch.float64)  # unknown, a, b, end
    points = torch.arange(0x110000)
    points = points[(points < 0xD800) | (points > 0xDFFF)]
    assert len(points) == CHARACTERS
    everything = Ragged.of_values(points, torch.ones(CHARACTERS))
    z, log_det = encoder.encode(coding.prepare(everything), torch.zeros(CHARACTERS))
    one = (p[z.values] * p[3] * log_det.exp()).sum()
    assert float(one) == pytest.approx(0.6 * 0.4, rel=1e-9)


def test_a_unigram_model_sums_to_one():
    """All strings over {a, b, unknown} to length 30, unknowns counted by their density."""
    _, encoder = fit(["abba"])
    outside = CHARACTERS - len(encoder.vocabulary)
    p_unknown, p_end = 0.2, 0.3
    coding = TextCoding()
    log_det = float(encode(coding, encoder, ["?"])[1])
    each = 0.5 + outside * p_unknown * math.exp(log_det)  # the mass of one more character
    assert sum(each**length * p_end for length in range(200)) == pytest.approx(1.0)


def test_encoders_are_saved_whole():
    for symbols in ("characters", "bytes"):
        _, encoder = fit(["ab\x00ba\x00𝄞𝄞"], symbols=symbols)
        assert load(encoder.to_json()) == encoder
    assert load(TextEncoder("characters").to_json()).sizes == {"vocabulary": 1}


def test_bytes_that_are_no_text_are_marked():
    z = Ragged.of([[0xC3, 0xA9], [0xC3], [0x61, 0xFF]])
    assert TextEncoder("bytes").decode(z).strings() == ["é", "\ufffd", "a\ufffd"]


def test_long_examples_are_refused_by_row():
    x = Ragged.of_strings(["ab", "é" * 11, "c" * 30])
    with pytest.raises(
        sw.InputError, match=r"^row 2 .and 1 more rows. holds 11 characters, at mo"
    ):
        TextCoding(longest=10).prepare(x)
    with pytest.raises(
        sw.InputError, match=r"^row 2 holds 22 bytes, at most 21 .*--chunk 10 cuts"
    ):
        TextCoding("bytes", longest=21).prepare(x.take(torch.tensor([0, 1])))
    assert len(TextCoding(longest=30).prepare(x)) == 3


@pytest.mark.parametrize("x", [torch.zeros(2, 1), Ragged.of([[0xD800]]), Ragged.of([[0x110000]])])
def test_what_is_no_text_is_refused(x):
    with pytest.raises(sw.InputError, match="the examples are no text"):
        TextCoding().prepare(x)


def test_unknown_characters_are_counted():
    rows = Ragged.of_strings(["abba", "axa"])
    _, encoder = fit(["abba", "axa"])
    assert encoder.unknown(rows) == Unknown(1, 7, ("x",))
    assert encoder.unknown(rows.take(torch.tensor([0]))) is None
    assert TextEncoder("bytes").unknown(rows) is None
