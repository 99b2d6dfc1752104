import gzip

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.forms import as_table
from sourcewise.readers.registry import BUILT_IN

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
        "seen": "category",
        "when": "date",
        "label": "category",
    }
    table = as_table(data.x)
    assert table.columns["weight"].isnan().tolist() == [False, True]
    assert table.columns["seen"].tolist() == [1, 0]
    assert table.schema[2].categories == ("False", "True")
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
    ("a.csv", "source,x\na,1,2,3\nb,1\n", {}, "line 2 has 4 cells, but the header has 2 columns"),
    ("a.csv", b"source,x\n\xe9,1\n", {}, "not UTF-8"),
    ("a.csv.gz", b"not gzip", {}, "damaged"),
    ("a.csv", "source,x\na,1\nb,inf\n", {}, "'x' holds 1 infinite value .first: 'inf' .*line 3"),
    (
        "a.csv",
        "source,x\na,1\nb,2\nc,oops\n",
        {},
        "'x' holds text among its numbers.*'oops'.*line 4",
    ),
    ("a.csv", "source,x\na,1\n,2\n", {}, "'source' is empty in 1 row .first: .*line 3"),
    ("a.csv", "site,x\na,1\nb,2\n", {}, "say which column is the source.*site"),
    ("a.csv", "x,site,year\n.5,a,1\n.7,b,2\n", {}, "likely: site, year$"),
    ("a.csv", "site,x\na,1\nb,2\n", {"source": "sitee"}, "did you mean 'site'"),
    ("a.csv", "source,height\na,1\n", {"columns": ["heigth"]}, "did you mean 'height'"),
    ("a.csv", "source,x\na,1\n", {"ignore": ["x"]}, "no column left"),
    ("a.csv", "source,x\na,one\n", {"types": {"x": "number"}}, "holds text.*'one'"),
    ("a.csv", "source,x\na,one\n", {"types": {"x": "float"}}, "no type 'float'"),
    ("a.csv", "source,x\na,one\n", {"types": {"x": "date"}}, "not a date"),
    ("a.csv", ",source\n0,a\n1,b\n", {}, "no name in the header for column 1 of 2"),
    ("a.tsv", "source\tx\t\t\na\t1\t\t3\n", {}, "no name in the header for column 3, 4 of 4"),
    ("a.csv", "source\na,1\nb,2\n", {}, "header has one column only, 'source': .*commas"),
    ("a.tsv", "source x\na 1\n", {}, "header has one column only, 'source x': .*tabs"),
    (
        "a.csv",
        "source,x\na;1\nb;2\n",
        {},
        "header has 2 columns, separated by ',', but the first row has one, 'a;1'",
    ),
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


def test_a_lone_array_is_no_archive(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(2))
    with pytest.raises(sw.InputError, match="a lone NumPy array: write x and y by numpy.savez"):
        sw.read((tmp_path / "a.npy").rename(tmp_path / "a.npz"))


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


def test_words_of_many_places_are_likely_sources_and_dates_and_measures_are_not(tmp_path):
    places = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqr"] * 3
    frame = pd.DataFrame({"county": places, "x": np.arange(240) / 7})
    frame["day"] = pd.date_range("2024-01-01", periods=80).astype(str).tolist() * 3
    frame["word"] = [f"{a}{b}{c}" for a in "abcdefgh" for b in "klmno" for c in "uvwxyz"]
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(sw.InputError, match="likely: county$"):
        sw.read(tmp_path / "a.csv")


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
        (
            (np.zeros((2, 1), complex), np.zeros(2)),
            "x must be an array of numbers, not of complex",
        ),
        ((np.zeros((2, 1)), np.zeros(2, complex)), "y must be .* numbers or text, not of complex"),
        ((np.zeros((2, 0)), np.zeros(2)), "x has shape .2, 0.: its rows hold no values"),
        ((np.zeros(()), np.zeros(())), "x has shape .. and y .."),
        ((np.zeros((2, 1)), np.zeros(())), "y .*: y needs one entry per row"),
        (([[1.0], [2.0, 3.0]], [0, 1]), "x is no array: its rows differ in shape"),
        ((np.full((2, 1), 2**64 - 1, np.uint64), np.zeros(2)), "x holds whole numbers above"),
    ],
)
def test_bad_arrays(pair, message):
    with pytest.raises(sw.InputError, match=message):
        sw.read(pair)


def test_other_objects_are_refused():
    with pytest.raises(sw.InputError, match="cannot read a int"):
        sw.read(3)


def test_columns_of_built_in_data_can_be_chosen():
    wine = sw.read("wine")
    chosen = sw.read("wine", columns=["ash", "alcohol"])
    assert as_table(chosen.x).names == ("ash", "alcohol")
    assert torch.equal(as_table(chosen.x).columns["ash"], as_table(wine.x).columns["ash"])
    assert torch.equal(chosen.y, wine.y)
    rest = tuple(name for name in as_table(wine.x).names if name != "ash")
    assert as_table(sw.read("wine", ignore=["ash"]).x).names == rest
    both = sw.read("wine", columns=["ash", "alcohol"], ignore=["ash", "hue"])
    assert as_table(both.x).names == ("alcohol",)
    gaussian = sw.read("gaussian", columns=["x2"])
    assert torch.equal(
        as_table(gaussian.x).matrix()[:, 0], as_table(sw.read("gaussian").x).matrix()[:, 1]
    )


ARRAYS = (np.arange(6.0).reshape(6, 1), np.arange(6) % 2)
REFUSED = [
    ("wine", {"columns": ["alcohl"]}, "did you mean 'alcohol'"),
    ("wine", {"ignore": ["ashh"]}, "did you mean 'ash'"),
    ("wine", {"columns": ["ash"], "ignore": ["ash"]}, "wine: no column left"),
    (
        "wine",
        {"source": "ash", "group": "hue"},
        "apply to wine: --source, --group .allowed: --columns",
    ),
    ("gaussian", {"types": {"x1": "category"}}, "apply to gaussian: --types"),
    (ARRAYS, {"source": "a", "columns": ["b"]}, "apply to a pair of arrays: source, columns"),
    (ARRAYS, {"types": {"a": "date"}, "group": "b"}, "apply to a pair of arrays: group, types"),
    (sw.read(ARRAYS), {"ignore": ["a"]}, "apply to Sources: ignore"),
    (ARRAYS[:1], {}, "cannot read a tuple of 1: allowed are .x, y., .x, y, names."),
    (ARRAYS + ARRAYS + ARRAYS[:1], {}, "cannot read a tuple of 5"),
    ((*ARRAYS, ["a"]), {}, "1 names, but y goes up to 1"),
    ((*ARRAYS, "ab"), {}, "names must be a one-dimensional array of text"),
    ((*ARRAYS, np.array("ab")), {}, "names must be a one-dimensional array of text"),
    ((*ARRAYS, np.array([["a", "b"]])), {}, "names must be a one-dimensional array of text"),
    ((*ARRAYS, [2019, 2020]), {}, "names must be a one-dimensional array of text"),
]


@pytest.mark.parametrize(("data", "options", "message"), REFUSED)
def test_what_does_not_apply_is_refused_in_one_line(data, options, message):
    with pytest.raises(sw.InputError, match=message) as caught:
        sw.read(data, **options)
    assert "\n" not in str(caught.value)


def test_options_of_an_npz_file(tmp_path):
    np.savez(tmp_path / "a.npz", x=ARRAYS[0], y=ARRAYS[1])
    with pytest.raises(
        sw.InputError,
        match="apply to .*a.npz: --columns .allowed: --source, --size.*; an array has no",
    ):
        sw.read(tmp_path / "a.npz", source="y", columns=["x"])


def test_names_go_with_arrays():
    assert sw.read((*ARRAYS, ["even", "odd"])).names == ("even", "odd")


DTYPES = {
    ">f8": torch.float64,
    "longdouble": torch.float64,
    "float16": torch.float64,
    ">f4": torch.float64,
    ">i4": torch.int64,
    "uint16": torch.int64,
    "uint64": torch.int64,
    "uint8": torch.uint8,
    "bool": torch.uint8,
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_real_dtype_is_read(tmp_path, dtype):
    x, y = np.array([[1, 0], [0, 1]]).astype(dtype), np.array([1, 0]).astype(dtype)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    for data in (sw.read((x, y)), sw.read(tmp_path / "a.npz")):
        assert isinstance(data.x, torch.Tensor)
        assert data.x.dtype == DTYPES[dtype]
        assert data.x.tolist() == [[1, 0], [0, 1]]
        assert data.y.tolist() == [1, 0]
        assert len(data.take(torch.tensor([0]))) == 1


def test_bfloat16_is_read():
    x = torch.tensor([[1.5], [2.5]], dtype=torch.bfloat16)
    assert as_table(sw.read((x, [0, 1])).x).columns["x1"].tolist() == [1.5, 2.5]


def test_sources_with_superscripts_are_in_order():
    frame = pd.DataFrame({"s": ["1²", "10", "2", "1"], "x": np.zeros(4)})
    assert sw.read(frame, source="s").names == ("1", "1²", "2", "10")


def test_named_indexes_are_columns(tmp_path):
    flat = pd.DataFrame({"s": ["b", "a"], "day": [1, 2], "x": [3.0, 4.0]})
    expected = sw.read(flat, source="s").fingerprint()
    frame = flat.set_index(["s", "day"])
    assert sw.read(frame, source="s").fingerprint() == expected
    assert sw.read(flat.set_index("s"), source="s").fingerprint() == expected
    frame.to_parquet(tmp_path / "a.parquet")
    assert sw.read(tmp_path / "a.parquet", source="s").fingerprint() == expected
    with pytest.raises(sw.InputError, match="duplicate column names: 'x'"):
        sw.read(flat.set_index(pd.Index([1, 2], name="x")), source="s")


@pytest.mark.parametrize("index", [[30, 10, 20], ["u", "v", "w"]])
@pytest.mark.parametrize(
    ("x", "types", "message"),
    [
        (["1", "2", "oops"], {}, "text among its numbers.*'oops' .row 3"),
        ([1.0, 2.0, np.inf], {}, "infinite values .first: row 3"),
        (["2020-01-01", "2020-01-02", "oops"], {"x": "date"}, "not a date.*'oops' .row 3"),
    ],
)
def test_rows_are_counted_from_one_whatever_the_index(index, x, types, message):
    frame = pd.DataFrame({"source": ["a", "b", "a"], "x": x}, index=index)
    with pytest.raises(sw.InputError, match=message):
        sw.read(frame, types=types)
    frame = pd.DataFrame({"source": ["a", "b", None], "x": 1.0}, index=index)
    with pytest.raises(sw.InputError, match="empty in 1 row .first: row 3"):
        sw.read(frame)


def test_labels_may_come_from_pandas():
    labels = pd.Series(["b", "a", "b"])
    for y in (
        labels,
        labels.to_numpy(),
        labels.astype("category"),
        labels.astype(object),
        ["b", "a", "b"],
    ):
        assert sw.read((np.arange(3.0)[:, None], y)).names == ("a", "b")


def test_what_was_asked_for_is_recorded(csv):
    data = sw.read(csv, source="site", ignore=["label"], types={"age": "number"})
    assert data.reading == {"source": "site", "ignore": ("label",), "types": {"age": "number"}}


def test_an_array_under_another_name_and_a_run_folder_hear_what_helps(tmp_path):
    np.savez(tmp_path / "a.npz", x=ARRAYS[0], site=ARRAYS[1])
    with pytest.raises(sw.InputError, match="there are: x, site.; --source NAME says where"):
        sw.read(tmp_path / "a.npz")
    with pytest.raises(sw.InputError) as caught:
        sw.read(tmp_path / "a.npz", source="sites")
    assert "did you mean 'site'" in str(caught.value)
    assert "--source NAME" not in str(caught.value)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("")
    with pytest.raises(sw.InputError, match="folder of a run, .* report, evaluate or sample"):
        sw.read(tmp_path / "run")


def test_a_file_keeps_every_digit(tmp_path):
    values = 1e9 + 3 * np.random.default_rng(0).normal(size=500)
    rows = "".join(f"{'ab'[i % 2]},{value!r}\n" for i, value in enumerate(values.tolist()))
    (tmp_path / "a.csv").write_text("source,x\n" + rows)
    found = as_table(sw.read(tmp_path / "a.csv").x).columns["x"]
    assert found.tolist() == values.tolist()
