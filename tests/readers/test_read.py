import gzip

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.forms import as_table
from sourcewise.readers.builtin import BUILT_IN

CSV = "site,age,weight,seen,when,label\nb,1,2.5,True,2020-01-02,x\na,2,,False,2021-03-04,y\n"


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text(CSV)
    return path


def kinds(data):
    return {column.name: column.kind for column in as_table(data.x).schema}


def test_csv_types_follow_the_rule(csv):
    data = sw.read(csv, source="site")
    assert data.name == "patients"
    assert data.names == ("a", "b")
    assert data.y.tolist() == [1, 0]
    assert kinds(data) == {
        "age": "number",
        "weight": "number",
        "seen": "number",
        "when": "date",
        "label": "category",
    }
    table = as_table(data.x)
    assert table.columns["weight"].isnan().tolist() == [False, True]
    assert table.columns["seen"].tolist() == [1, 0]
    assert table.columns["when"].tolist() == [1577923200.0, 1614816000.0]
    assert table.schema[-1].categories == ("x", "y")


def test_types_can_be_overridden(csv):
    data = sw.read(csv, source="site", types={"age": "category", "when": "category"})
    assert kinds(data)["age"] == kinds(data)["when"] == "category"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".parquet"])
def test_every_table_format_gives_the_same_sources(tmp_path, csv, suffix):
    path = tmp_path / f"patients{suffix}"
    if suffix == ".csv.gz":
        path.write_bytes(gzip.compress(CSV.encode()))
    elif suffix == ".tsv":
        path.write_text(CSV.replace(",", "\t"))
    elif suffix == ".parquet":
        pd.read_csv(csv).to_parquet(path)
    else:
        path.write_text(CSV)
    data, expected = sw.read(path, source="site"), sw.read(csv, source="site")
    assert data.fingerprint() == expected.fingerprint()
    assert data.name == "patients"


def test_semicolons_and_a_byte_order_mark_are_understood(tmp_path):
    path = tmp_path / "euro.csv"
    path.write_bytes(b"\xef\xbb\xbfsource;x\na;1\nb;2\n")
    assert kinds(sw.read(path)) == {"x": "number"}


def test_columns_ignore_and_group(csv):
    assert list(kinds(sw.read(csv, source="site", columns=["age"]))) == ["age"]
    assert "age" not in kinds(sw.read(csv, source="site", ignore=["age"]))
    grouped = sw.read(csv, source="site", group="when")
    assert "when" not in kinds(grouped)
    assert grouped.group is not None
    assert grouped.group.tolist() == [0, 1]
    assert grouped.group_by == ("when",)


def test_a_source_called_na_is_a_source(tmp_path):
    path = tmp_path / "countries.csv"
    path.write_text("country,x\nNA,1\nDE,NA\n")
    data = sw.read(path, source="country")
    assert data.names == ("DE", "NA")
    assert as_table(data.x).columns["x"].isnan().tolist() == [False, True]


def test_sources_are_in_natural_order():
    frame = pd.DataFrame({"s": [10, 9, 2], "x": [1.0, 2.0, 3.0]})
    assert sw.read(frame, source="s").names == ("2", "9", "10")
    frame["s"] = ["a10", "a9", "b1"]
    assert sw.read(frame, source="s").names == ("a9", "a10", "b1")


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_built_in_data(name):
    data = sw.read(name)
    assert data.K >= 2
    assert data.name == name
    assert int(data.counts.min()) > 40


def test_arrays_and_npz_agree(tmp_path):
    x, y = np.arange(12.0).reshape(6, 2), np.array(["b", "a", "b", "a", "b", "a"])
    path = tmp_path / "arrays.npz"
    np.savez(path, x=x, y=y)
    assert sw.read(path).fingerprint() == sw.read((x, y)).fingerprint()
    assert sw.read((torch.from_numpy(x), y)).fingerprint() == sw.read((x, y)).fingerprint()
    np.savez(path, x=x, where=np.arange(6) % 2, names=np.array(["even", "odd"]))
    assert sw.read(path, source="where").names == ("even", "odd")


def test_integers_are_read_as_they_are():
    data = sw.read((np.arange(6, dtype=np.uint8).reshape(6, 1), np.arange(6) % 2))
    assert as_table(data.x).columns["x1"].tolist() == [0, 1, 2, 3, 4, 5]


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


BAD = [
    ("a.csv", "", {}, "is empty"),
    ("a.csv", "\n\n", {}, "is empty"),
    ("a.csv", "source,x\n", {}, "holds no rows"),
    ("a.csv", "source,x,x\na,1,2\n", {}, "duplicate column names: 'x'"),
    ("a.csv", "source,x\na,1,2,3\nb,1\n", {}, "damaged"),
    ("a.csv", b"source,x\n\xe9,1\n", {}, "not UTF-8"),
    ("a.csv.gz", b"not gzip", {}, "damaged"),
    ("a.csv", "source,x\na,1\nb,inf\n", {}, "'x' holds 1 infinite values .first: row 2"),
    (
        "a.csv",
        "source,x\na,1\nb,2\nc,oops\n",
        {},
        "'x' holds text among its numbers.*'oops'.*row 3",
    ),
    ("a.csv", "source,x\na,1\n,2\n", {}, "'source' is empty in 1 rows .first: row 2"),
    ("a.csv", "site,x\na,1\nb,2\n", {}, "say which column is the source.*site"),
    ("a.csv", "site,x\na,1\nb,2\n", {"source": "sitee"}, "did you mean 'site'"),
    ("a.csv", "source,height\na,1\n", {"columns": ["heigth"]}, "did you mean 'height'"),
    ("a.csv", "source,x\na,1\n", {"ignore": ["x"]}, "no column left"),
    ("a.csv", "source,x\na,one\n", {"types": {"x": "number"}}, "holds text.*'one'"),
    ("a.csv", "source,x\na,one\n", {"types": {"x": "float"}}, "no type 'float'"),
    ("a.csv", "source,x\na,one\n", {"types": {"x": "date"}}, "not a date"),
    ("a.parquet", b"PAR1 is not enough", {}, "damaged"),
    ("a.npz", b"PK is not enough", {}, "damaged or no .npz"),
    ("a.xlsx", b"", {}, "cannot read .*allowed are .csv"),
]


@pytest.mark.parametrize(("name", "content", "options", "message"), BAD)
def test_bad_files_are_one_clear_line(tmp_path, name, content, options, message):
    path = write(tmp_path, name, content)
    with pytest.raises(sw.InputError, match=message) as caught:
        sw.read(path, **options)
    assert "\n" not in str(caught.value)


def test_a_truncated_archive_is_damaged(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).normal(size=(100, 3)), y=np.arange(100))
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes(50) + content[250:])
    with pytest.raises(sw.InputError, match="damaged"):
        sw.read(path)


def test_pickled_objects_are_never_read(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    np.savez(tmp_path / "a.npz", x=np.array([Bomb()], dtype=object), y=np.zeros(1))
    with pytest.raises(sw.InputError, match="'x' holds pickled objects"):
        sw.read(tmp_path / "a.npz")
    assert not (tmp_path / "exploded").exists()


def test_missing_names_suggest_the_nearest(tmp_path):
    with pytest.raises(sw.InputError, match="did you mean 'wine'"):
        sw.read("wien")
    with pytest.raises(sw.InputError, match="no file"):
        sw.read(tmp_path / "absent.csv")
    np.savez(tmp_path / "a.npz", x=np.zeros(2), labels=np.zeros(2))
    with pytest.raises(sw.InputError, match="did you mean 'labels'"):
        sw.read(tmp_path / "a.npz", source="label")


def test_an_identifier_is_no_source():
    n = 20_000
    frame = pd.DataFrame({"id": np.arange(n), "x": np.zeros(n)})
    with pytest.raises(sw.InputError, match="20000 different values.*is it an identifier"):
        sw.read(frame, source="id")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((np.zeros((2, 2)), np.zeros(3)), "one entry per row"),
        ((np.array([["a"], ["b"]]), np.zeros(2)), "x must be an array of numbers"),
        ((np.array([[1.0], [np.inf]]), np.zeros(2)), "infinite values .first: row 2"),
        ((np.zeros((2, 1)), np.array([0.0, np.nan])), "y holds NaN"),
    ],
)
def test_bad_arrays(pair, message):
    with pytest.raises(sw.InputError, match=message):
        sw.read(pair)


def test_other_objects_are_refused():
    with pytest.raises(sw.InputError, match="cannot read a int"):
        sw.read(3)
    with pytest.raises(sw.InputError, match="not a table of named columns"):
        sw.read("wine", columns=["alcohol"])
