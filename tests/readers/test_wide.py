"""Wide tables of few rows: `csv` splits them as Arrow does, or leaves them to it."""

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sourcewise as sw
from sourcewise.forms import Table
from sourcewise.readers import blocks, wide
from sourcewise.readers.delimited import Delimited, layout_of

LOOSE = [HealthCheck.function_scoped_fixture]
ANY = st.text(st.sampled_from('ab1., ;\t"\r\n\0\u00e9\u2028\ufeff'), max_size=30)
CELL = st.text(st.sampled_from('ab1. ,;"\r\n\u00e9\u2028'), max_size=5)


def cells(path: Path, quoted: bool, separator: str, d: int, *, by_csv: bool) -> object:
    """All cells, as one of the two reads them, or why not."""
    read = pa_csv.ReadOptions(
        use_threads=False,
        column_names=[str(j) for j in range(d)],
        skip_rows_after_names=1,
        encoding="utf-8",
    )
    parse = pa_csv.ParseOptions(
        delimiter=separator, quote_char='"' if quoted else False, newlines_in_values=quoted
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide, "_COLUMNS", 1)
        if by_csv:
            table = wide.wide_cells(path, 0, read, parse)
        else:
            patch.setattr(wide, "_COLUMNS", 1 << 30)
            try:
                table = blocks.cells_of(path, 0, read, parse, (), ())
            except pa.ArrowInvalid:
                return "refused"
    return None if table is None else table.to_pylist()


@settings(max_examples=400, deadline=None, suppress_health_check=LOOSE)
@given(ANY, st.booleans(), st.sampled_from(",;\t"), st.integers(2, 3))
def test_what_csv_reads_at_all_arrow_reads_alike(tmp_path, text, quoted, separator, d):
    path = tmp_path / "any.csv"
    path.write_bytes((separator.join("xyz"[:d]) + "\n" + text).encode())
    found = cells(path, quoted, separator, d, by_csv=True)
    assert found is None or found == cells(path, quoted, separator, d, by_csv=False)


@settings(max_examples=200, deadline=None, suppress_health_check=LOOSE)
@given(st.lists(st.tuples(CELL, CELL), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_what_programs_write_is_read(tmp_path, rows, end):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("x", "y"), *rows])
    path = tmp_path / "written.csv"
    path.write_bytes(text.getvalue().encode())
    found = cells(path, True, ",", 2, by_csv=True)
    assert found == [{"0": first, "1": second} for first, second in rows]
    assert found == cells(path, True, ",", 2, by_csv=False)


def many(path: Path, rows: int, last: str = "") -> Path:
    """A file of 300 columns."""
    head = ",".join(["source", *(f"x{j}" for j in range(299))])
    body = (f"{'ab'[i % 2]}," + ",".join(f"{i}.{j}" for j in range(299)) for i in range(rows))
    path.write_text("\n".join([head, *body, last]))
    return path


def test_a_wide_file_is_read_by_row(tmp_path, monkeypatch):
    file = Delimited(path := many(tmp_path / "wide.csv", 22), layout_of(path))
    table = file.read((), ())
    assert table.num_rows == 22
    assert table.column("x298").to_pylist() == [f"{i}.298" for i in range(22)]
    monkeypatch.setattr(wide, "_COLUMNS", 1000)
    assert Delimited(path, file.layout).read((), ()).equals(table)


def test_long_files_rows_and_faults_are_left_to_arrow(tmp_path, monkeypatch):
    monkeypatch.setattr(wide, "_ROWS", 30)
    assert sw.read(many(tmp_path / "long.csv", 31)).K == 2
    with pytest.raises(sw.InputError, match="line 24 has 2 cells, but the header has 300"):
        sw.read(many(tmp_path / "uneven.csv", 22, "a,b\n"))
    (tmp_path / "latin.csv").write_bytes(many(tmp_path / "a.csv", 22).read_bytes() + b"\xe9,")
    with pytest.raises(sw.InputError, match="is not UTF-8 text"):
        sw.read(tmp_path / "latin.csv")
    monkeypatch.setattr(wide, "_ROW", 100)
    assert len(sw.read(many(tmp_path / "broad.csv", 22))) == 22


def test_few_rows_and_many_say_the_same(tmp_path, monkeypatch):
    """Texts that are held, and columns in one matrix: neither changes what is read."""
    path = many(tmp_path / "data.csv", 22)
    words = zip(path.read_text().split(), ["w", *"xy" * 11], strict=True)
    path.write_text("\n".join(f"{line},{word}" for line, word in words))
    few = sw.read(path)
    for module in ("columns", "distinct"):
        monkeypatch.setattr(f"sourcewise.readers.{module}.FEW", 10)
    many_rows = sw.read(path)
    assert isinstance(few.x, Table)
    assert isinstance(many_rows.x, Table)
    assert type(few.x.columns) is not type(many_rows.x.columns)
    assert few.fingerprint() == many_rows.fingerprint()
    assert (few.seen, few.notes) == (many_rows.seen, many_rows.notes)
