"""Rows that are no data: totals, units, repeated headers, remarks; left out with their place."""

import pytest

import sourcewise as sw

DATA = "site;x;y\na;0.7;-0.1\na;1.5;2.4\nb;0.3;1.9\nb;0.2;1.1\n"


def read(tmp_path, content, **options):
    (tmp_path / "a.csv").write_text(content)
    return sw.read(tmp_path / "a.csv", source="site", **options)


OUT = {
    "Total;2.7;5.3\n": "as what looks like totals: 'Total' (",
    "summe:;2,7;5,3\n": "as what looks like totals: 'summe:' (",
    "Grand Total;2.7;5.3\n": "as what looks like totals: 'Grand Total' (",
    "TOTAL;;\n": "as what looks like totals: 'TOTAL' (",
    "Mean ;0.7;1.3\n": "as what looks like totals: 'Mean ' (",
    "a Total;2.2;2.3\n": "as what looks like totals: 'a Total' (",
    "site;x;y\n": "as the header again: 'site' (",
    "* below the limit;;\n": "as remarks at the end: '* below the limit' (",
}


@pytest.mark.parametrize("row", OUT)
def test_a_last_row_that_is_no_data_is_left_out_with_its_line(tmp_path, row):
    data = read(tmp_path, DATA.replace(".", ",") + row if "," in row else DATA + row)
    assert data.names == ("a", "b")
    assert data.counts.tolist() == [2, 2]
    note = next(note for note in data.notes if note.startswith("left out"))
    assert note == f"left out, {OUT[row]}{tmp_path}/a.csv, line 6)"


def test_totals_between_the_rows_are_left_out_too(tmp_path):
    lines = DATA.splitlines(keepends=True)
    data = read(tmp_path, "".join([*lines[:3], "a Total;2.2;2.3\n", *lines[3:], "b Total;.5;3\n"]))
    assert data.counts.tolist() == [2, 2]
    (note,) = data.notes
    assert "line 4)" in note
    assert "line 7)" in note


KEPT = [
    "total;1;2\ntotal;2;3\n",
    "Total Energies;1;2\n",
    "Totals of c;1;2\n",
    "c;;\n",
    "Summer;1;2\n",
]


@pytest.mark.parametrize("row", KEPT)
def test_what_may_be_a_source_is_kept(tmp_path, row):
    data = read(tmp_path, DATA + row)
    assert data.K == 3
    assert data.notes == ()


REFUSED = {
    ";2.7;5.3\n": "'site' is empty in 1 row .first: .*line 6.: .* remove what is no row of data",
    "Total\n": "line 6 has 1 cells, but the header has 3 columns.* correct the row",
    "Source: https\n": "line 6 has 1 cells",
    "c;cm;kg\n": "'cm' .*line 6.*",
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_cannot_be_left_out_for_sure_is_refused_with_its_line(tmp_path, row):
    with pytest.raises(sw.InputError, match=REFUSED[row]) as caught:
        read(tmp_path, DATA + row)
    assert "\n" not in str(caught.value)


def test_units_below_the_header_are_refused_with_their_line(tmp_path):
    with pytest.raises(sw.InputError, match="line 2.*such as units"):
        read(tmp_path, DATA.replace("y\n", "y\n;cm;kg\n", 1))


UNITS = {
    "unit;cm;kg\n": "line 2 holds 'cm', 'kg' where all other rows hold numbers: remove what is no",
    "a;mmHg;\n": "line 2 holds 'mmHg' where",
    "-;;[µg/l]\n": "line 2 holds '.µg/l.' where",
    "a;10^9/l;cells\n": "line 2 holds '10.9/l', 'cells' where",
    "a;oops;2.4\n": "'oops' .*line 2.; say --na oops",
    "a;oops;\n": "'oops' .*line 2.; say --na oops",
    "1;cm;kg\n": "line 2 holds 'cm', 'kg' where",
    "a;<0.6;<0.5\n": "'<0.6' .*line 2., beyond a limit",
    "a;12%;\n": "'12%' .*line 2.; say --na",
    "a;7 kg;1 cm\n": "'7 kg' .*line 2.; say --na",
}


@pytest.mark.parametrize("row", UNITS)
def test_units_beside_a_source_are_told_from_values(tmp_path, row):
    with pytest.raises(sw.InputError, match=UNITS[row]):
        read(tmp_path, DATA.replace("y\n", f"y\n{row}", 1))


def test_words_that_are_missing_are_no_units(tmp_path):
    data = read(tmp_path, DATA.replace("y\n", "y\na;none;none\n", 1), na="none")
    assert data.counts.tolist() == [3, 2]
    both = "site;sex;x\na;f;1\na;m;2\nb;f;3\n"  # a category has text in every row
    assert read(tmp_path, both).notes == ()


@pytest.mark.parametrize(
    "options",
    [
        {"types": {"code": "category", "ward": "category"}},
        {"ignore": ("code", "ward")},
        {"columns": ("x",)},
        {"group": ("code", "ward")},
    ],
)
def test_only_columns_in_use_tell_units(tmp_path, options):
    rows = "".join(f"b;1;1;{i / 7:.3f}\n" for i in range(9))
    data = read(tmp_path, f"site;code;ward;x\na;A;N;\n{rows}", **options)
    assert data.counts.tolist() == [1, 9]


def test_texts_have_no_totals(tmp_path):
    data = read(tmp_path, "site;text\na;x\na;y\nTotal;z\n")
    assert data.names == ("Total", "a")


def test_places_are_those_of_the_file_after_rows_are_left_out(tmp_path):
    content = "site;x\na;1\n;\na Total;1\na;2\na;3\nb;oops\n"
    with pytest.raises(sw.InputError, match="'oops' .*line 7"):
        read(tmp_path, content)


def test_a_quote_that_never_ends_is_named(tmp_path):
    """The rows after it would be one cell of it."""
    for end in ("", '"said yes"\n'):
        lines = [f"a;{i / 7:.3f};said no\n" for i in range(20)]
        lines[5] = 'b;0.1;"said no\n'
        content = "site;x;note\n" + "".join(lines) + end
        with pytest.raises(
            sw.InputError, match="line 7: a cell holds 1[0-9] lines that look like"
        ):
            read(tmp_path, content)
    several = 'site;x;note\na;1;"one\nand two; or\nthree"\na;2;z\nb;3;z\n'
    assert read(tmp_path, several).counts.tolist() == [2, 1]
