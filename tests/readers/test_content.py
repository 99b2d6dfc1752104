"""Files that are something else than their names say."""

import bz2
import gzip
import io
import lzma
import re
import sqlite3
import zipfile

import numpy as np
import pandas as pd
import pytest

import sourcewise as sw

FRAME = pd.DataFrame({"source": ["a", "b"] * 10, "x": np.arange(20.0)})
TEXT = FRAME.to_csv(index=False).encode()


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "a")
    return file.getvalue()


def saved(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def database(path):
    with sqlite3.connect(path) as base:
        FRAME.to_sql("rows", base, index=False)
    return path.read_bytes()


WORKBOOK = zipped("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml")
ARRAYS = saved(lambda file: np.savez(file, x=FRAME[["x"]].to_numpy(), y=np.arange(20) % 2))
PARQUET = saved(lambda file: FRAME.to_parquet(file))
CONTENTS = {
    "workbook": (WORKBOOK, "a workbook of a spreadsheet: save its sheet as .csv"),
    "old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "a workbook of a spread"),
    "document": (zipped("[Content_Types].xml", "word/document.xml"), "a document of an office"),
    "open document": (zipped("mimetype", "content.xml"), "a document of an office program"),
    "archive": (zipped("a/1.png"), "a zip archive: unpack it, or call it .zip if it holds images"),
    "empty archive": (zipped(), "a zip archive: unpack it"),
    "damaged archive": (WORKBOOK[:40], "a zip archive: unpack it"),
    "arrays": (ARRAYS, "an archive of NumPy arrays: call it .npz"),
    "array": (saved(lambda file: np.save(file, np.zeros(3))), "a lone NumPy array: write x and y"),
    "gzip": (gzip.compress(TEXT), "gzipped: unpack it, or add .gz to its name"),
    "bzip2": (bz2.compress(TEXT), "packed by bzip2: unpack it"),
    "xz": (lzma.compress(TEXT), "packed by xz: unpack it"),
    "parquet": (PARQUET, "a Parquet file: call it .parquet"),
    "feather": (
        b"ARROW1\0\0" + bytes(99),
        "an Arrow (Feather) file: write it as .parquet or .csv",
    ),
    "old feather": (b"FEA1" + bytes(99) + b"FEA1", "a Feather file: write it as .parquet or .csv"),
}


def refused(path):
    with pytest.raises(sw.InputError) as caught:
        sw.read(path)
    told = str(caught.value)
    assert "\n" not in told
    return told


@pytest.mark.parametrize("name", ["a.csv", "a.TSV", "a.txt", "a.jsonl", "a.fasta", "a.xyz", "a"])
@pytest.mark.parametrize("what", list(CONTENTS))
def test_a_file_that_is_something_else_is_called_by_its_name(tmp_path, name, what):
    content, message = CONTENTS[what]
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path / name).startswith(f"{tmp_path / name} is {message}")


def test_a_database_is_no_table_of_text(tmp_path):
    database(tmp_path / "a.csv")
    assert "a.csv is an SQLite database: write it as" in refused(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", PARQUET, "a Parquet file: call it .parquet"),
        ("a.zip", ARRAYS, "an archive of NumPy arrays: call it .npz"),
        ("a.parquet", ARRAYS, "an archive of NumPy arrays: call it .npz"),
        ("a.parquet", gzip.compress(PARQUET), "gzipped: unpack it"),
        ("a.npz", WORKBOOK, "a workbook of a spreadsheet"),
        ("a.csv.gz", WORKBOOK, "a workbook of a spreadsheet"),
        ("a.xlsx", WORKBOOK, "a workbook of a spreadsheet: save its sheet as .csv"),
        ("a.gz", ARRAYS, "an archive of NumPy arrays"),
    ],
)
def test_other_names_are_held_to_the_same(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    assert f"{name} is {message}" in refused(tmp_path / name)


def test_rows_of_given_columns_are_held_to_the_same(tmp_path):
    from sourcewise.readers.read import read_given

    (tmp_path / "a.csv").write_bytes(WORKBOOK)
    with pytest.raises(sw.InputError, match="a workbook of a spreadsheet"):
        read_given(tmp_path / "a.csv", ["x"], {}, "source")


@pytest.mark.parametrize("first", ["PAR1", "FEA1", "PK", "BZh", "7z"])
def test_text_that_begins_like_something_else_is_text(tmp_path, first):
    (tmp_path / "a.csv").write_bytes(re.sub(b"x", first.encode(), TEXT, count=1))
    (tmp_path / "b.csv").write_bytes(f"{first},source\n1.5,a\n2.5,b\n".encode())
    assert len(sw.read(tmp_path / "a.csv")) == 20
    assert len(sw.read(tmp_path / "b.csv")) == 2
