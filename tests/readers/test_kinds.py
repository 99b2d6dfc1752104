"""The kind of a column of text: right values for each way to write numbers, dates and codes."""

from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sourcewise.errors import InputError
from sourcewise.readers.kinds import Decided, Texts, decide, file_mark

DAY = 86400.0


def texts(*cells: str, name: str = "c") -> Texts:
    values = list(dict.fromkeys(cells))
    codes = [values.index(cell) for cell in cells]
    return Texts(name, pa.array(values, pa.string()), np.array(codes))


def of(*cells: str, override=None, **how) -> Decided:
    return decide(texts(*cells), override, **how)


NUMBERS = {
    "plain": (["1.5", "-2", "+3", ".5", "1e-05", "1.5E3"], [1.5, -2, 3, 0.5, 1e-5, 1500]),
    "decimal comma": (["75,1", "80", "-0,25"], [75.1, 80, -0.25]),
    "thousands comma": (["1,234.5", "12", "1,234,567"], [1234.5, 12, 1234567]),
    "two groups": (["1,234,567", "7"], [1234567, 7]),
    "thousands point": (["1.234,5", "12"], [1234.5, 12]),
    "thousands space": (["1 234,5", "12\u00a0345"], [1234.5, 12345]),
    "thousands apostrophe": (["1'234.50", "3\u2019000"], [1234.5, 3000]),
    "currency before": (["€5.01", "€1,200.00"], [5.01, 1200]),
    "currency after": (["5,01 €", "12,00\u00a0€"], [5.01, 12]),
    "currency and minus": (["-$5", "$3"], [-5, 3]),
    "percent": (["66.6%", "5 %"], [66.6, 5]),
    "typographic minus": (["\u22125", "1"], [-5, 1]),
    "spaces around": ([" 5", "7 "], [5, 7]),
    "zero and decimals": (["0", "0.5", "00.5"], [0, 0.5, 0.5]),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_in_one_notation_are_numbers(case):
    cells, values = NUMBERS[case]
    decided = of(*cells)
    assert decided.kind == "number"
    assert decided.numbers == pytest.approx(values, rel=1e-15)
    assert decided.said == (
        case not in ("plain", "typographic minus", "spaces around", "zero and decimals")
    )


CODES = {
    "leading zeros": ["012", "12", "0012"],
    "exponents": ["11E6", "81E1", "05E6"],
    "exponents among letters": ["11E6", "11D6"],
    "more digits than float64": ["1582218195625938945", "1582218195625938947"],
    "lot numbers": ["2024-10-0848", "2024-02-6847"],
    "one comma too many": ["1,2,3", "4,5,6"],
    "versions": ["1.2.3", "1.2.4"],
    "mixed currencies": ["€5", "$5"],
    "names that look like numbers": ["Nan", "Inf", "Ann"],
    "words": ["a", "b"],
}


@pytest.mark.parametrize("case", CODES)
def test_codes_are_categories_as_they_stand(case):
    decided = of(*CODES[case])
    assert decided.kind == "category"
    assert decided.levels is None


DATES = {
    "iso": (["1970-01-02", "1970-01-03"], [DAY, 2 * DAY]),
    "iso with time and zone": (["1970-01-02T01:00:00+01:00", "1970-01-02"], [DAY, DAY]),
    "fractions": (["1970-01-01 00:00:00.250"], [0.25]),
    "day/month": (["13/01/1970", "02/01/1970"], [12 * DAY, DAY]),
    "month/day": (["01/13/1970", "01/02/1970"], [12 * DAY, DAY]),
    "with a time": (["13/01/1970 06:00", "02/01/1970 00:00:30"], [12.25 * DAY, DAY + 30]),
    "points": (["02.01.1970"], [DAY]),
    "packed": (["19700102", "19700103"], [DAY, 2 * DAY]),
    "months": (["1970-02", "1970-01"], [31 * DAY, 0]),
    "names of months": (["02-Jan-1970"], [DAY]),
    "far": (["9999-12-31"], [253402214400.0]),
}


@pytest.mark.parametrize("case", DATES)
def test_dates_in_one_format_are_dates(case):
    cells, values = DATES[case]
    decided = of(*cells)
    assert decided.kind == "date"
    assert decided.numbers == pytest.approx(values, abs=1e-6)


def test_packed_digits_that_are_no_dates_are_numbers():
    assert of("20241020", "20241340").kind == "number"


def test_yes_and_no_are_two_levels_however_spelled():
    assert of("True", "False", "TRUE").levels == ("True", "False", "True")
    assert of("ja", "nein").kind == "category"
    assert of("True").levels == ("True",)
    assert of("t").levels is None
    assert of("yes", "no", "maybe").levels is None


def test_two_readings_are_asked_for():
    with pytest.raises(InputError, match=r"'1,234' is 1234 or 1.234.*--decimal \. or --decimal ,"):
        of("1,234", "2,581")
    with pytest.raises(InputError, match="--dates '%d/%m/%Y'"):
        of("01/02/2024", "03/04/2024")


def test_other_columns_or_the_user_decide_between_two_readings():
    assert of("1,234", mark=".").numbers == pytest.approx([1234])
    assert of("1,234", mark=",").numbers == pytest.approx([1.234])
    assert of("1.234", mark=",").numbers == pytest.approx([1234])
    assert of("1,234", decimal=",").numbers == pytest.approx([1.234])
    assert of("01/02/1970", dates="%m/%d/%Y").numbers == pytest.approx([DAY])
    assert file_mark([texts("75,1"), texts("1,234"), texts("a")]) == ","
    assert file_mark([texts("75,1"), texts("1.5")]) is None


def test_text_among_numbers_is_named_with_its_row_and_remedies():
    with pytest.raises(InputError, match=r"2 values such as 'x' \(row 3\); say --na x if"):
        of("0,7", "1,2", "x", "y", "3,1")
    with pytest.raises(InputError, match="text among its numbers"):
        of("1", "2", "x", override="number")


def test_values_beyond_a_limit_of_detection_are_told_as_such():
    found = r"2 values such as '<0,6' \(row 3\), beyond a limit of detection: write numbers .*"
    also = r"--types c=category or --ignore c; --na '\"<0,6\",\"> 3,1\"' takes them as missing, "
    with pytest.raises(InputError, match=found + also + "which leaves out the smallest and larg"):
        of("0,7", "1,2", "<0,6", "> 3,1", "3,1")
    with pytest.raises(InputError, match="beyond a limit of detection"):  # even where most are
        of("1", "<1", "<2", "≤ 3")
    assert of("<5", ">=5").kind == "category"  # no number among them
    assert of("<18", "18-65", ">65", "7").kind == "category"


def test_what_is_too_large_is_named():
    with pytest.raises(InputError, match=r"'1.0e999' \(row 2\) is too large"):
        of("1.5", "1.0e999")
    with pytest.raises(InputError, match="too large"):
        of("9e999", override="number")


def test_what_the_user_says_comes_first():
    assert of("012", "12", override="category").levels is None
    assert of("11E6", override="number").numbers == pytest.approx([11e6])
    assert of("012", override="number").numbers == pytest.approx([12])
    with pytest.raises(InputError, match="is not a date"):
        of("x", override="date")


def written(value: float, decimal: str, thousands: str) -> str:
    text = f"{value:,.2f}"
    return text.translate({ord(","): thousands or None, ord("."): decimal})


@given(
    st.lists(
        st.floats(-1e9, 1e9).map(lambda v: round(v, 2)), min_size=1, max_size=20, unique=True
    ),
    st.sampled_from([(".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", "'")]),
)
def test_two_decimals_are_read_under_every_notation(values, marks):
    cells = list(dict.fromkeys(written(v, *marks) for v in values))
    decided = decide(texts(*cells))
    assert decided.kind == "number"
    expected = [float(f"{v:.2f}") for v in values]
    assert decided.numbers == pytest.approx(list(dict.fromkeys(expected)), rel=1e-15)
    assert decided.numbers is not None
    assert decided.numbers.tolist() == list(dict.fromkeys(expected))


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=12, unique=True))
def test_any_text_is_read_or_refused_in_one_line(cells):
    with suppress(InputError):
        assert decide(texts(*cells)).kind in ("number", "category", "date")


@given(st.data())
def test_a_subset_of_rows_with_the_run_s_kind_never_changes_it(data):
    cells = data.draw(st.lists(st.sampled_from(["1", "2", "x", "012", "1970-01-02"]), min_size=1))
    some = data.draw(st.sets(st.sampled_from(cells), min_size=1))
    assert decide(texts(*some), "category").kind == "category"
