import math

import pytest

from sourcewise.report.words import clean, fixed, number, p_value, phrase, shorten, signed


@pytest.mark.parametrize("absent", [None, math.nan, math.inf, -math.inf])
def test_an_absent_number_is_a_dash(absent):
    assert number(absent) == fixed(absent, 2) == signed(absent, 2) == p_value(absent) == "–"


@pytest.mark.parametrize("x", [1.0, -2.5, 0.012, 123456.0, 9.99e-5, 3.2e12, -1e-300])
def test_a_number_reads_back_to_three_digits(x):
    text = number(x).replace(",", "").replace("−", "-")
    mantissa, _, power = text.partition("×10")
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    value = float(mantissa) * 10.0 ** int(power.translate(digits) or 0)
    assert value == pytest.approx(x, rel=5e-3)


def test_signed_marks_gains_and_not_zero():
    assert [signed(x, 1) for x in (0.24, -0.24, 0.01, -0.01)] == ["+0.2", "−0.2", "0.0", "0.0"]


def test_clean_leaves_only_what_xml_can_hold():
    text = clean("a\x00\x1b\x7f\ud800\ufffeb\u2028c\n\td\U0001f600")
    assert text == r"a\x00\x1b\x7f\ud800\ufffeb\u2028c\n\td" + "\U0001f600"
    text.encode()


@pytest.mark.parametrize("width", [5, 6, 11, 30])
@pytest.mark.parametrize("name", ["x" * 80, "日本語のデータ源" * 9, "short", ""])
def test_shorten_keeps_both_ends_and_the_width(name, width):
    cut = shorten(name, width)
    assert len(cut) <= width
    assert cut[:1] == name[:1]
    assert cut[-1:] == name[-1:]


def test_phrase_says_no_python():
    values = [None, True, False, [], ["a", None], math.nan, (1, 2.5), ""]
    assert not {"None", "True", "False", "nan", "[]"} & {phrase(value) for value in values}
