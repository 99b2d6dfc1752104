"""Small files as programs and spreadsheets write them, with what is right."""

import contextlib
import datetime
import gzip
import json
import re
import shlex
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import sourcewise as sw
from sourcewise import limits
from sourcewise.commands.options import names
from sourcewise.forms import as_table
from sourcewise.lifecycle.sample_files import write_samples
from sourcewise.readers.files import open_file


def cells(data: sw.Sources) -> dict[str, list]:
    """Columns as they were read: numbers, or the texts of categories."""
    table = as_table(data.x)
    return {name: table.cells(name).tolist() for name in table.names}


def read(tmp_path, content, name="a.csv", **options) -> sw.Sources:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return sw.read(path, **options)


ROWS = "source,x,y\na,1,0.5\nb,2,1.5\n"
SAME = {"x": [1, 2], "y": [0.5, 1.5]}
FILES = {
    "plain": ROWS,
    "semicolons": ROWS.replace(",", ";"),
    "tabs in .csv": ROWS.replace(",", "\t"),
    "bars": ROWS.replace(",", "|"),
    "decimal commas": ROWS.replace(",", ";").replace(".", ","),
    "quoted decimal commas": 'source,x,y\na,1,"0,5"\nb,2,"1,5"\n',
    "everything quoted": 'source,x,y\n"a","1","0.5"\n"b","2","1.5"\n',
    "windows line ends": ROWS.replace("\n", "\r\n"),
    "old mac line ends": ROWS.replace("\n", "\r"),
    "a byte order mark": "\ufeff" + ROWS,
    "utf-16": ROWS.encode("utf-16"),
    "utf-16, big": b"\xfe\xff" + ROWS.encode("utf-16-be"),
    "excel's sep line": "sep=;\n" + ROWS.replace(",", ";"),
    "comments before": "# export 2024\n#\n" + ROWS,
    "blank lines": "\n\n" + ROWS.replace("\n", "\n\n"),
    "empty rows": ROWS + ",,\n,,\n",
    "separators after each row": ROWS.replace("\n", ",\n"),
    "separators after each row but the header": "source,x,y\na,1,0.5,\nb,2,1.5,\n",
    "three nameless columns": "source,x,y,,,\na,1,0.5,,,\nb,2,1.5,,,\n",
    "spaces around": "source,x,y\na, 1,0.5 \nb, 2 , 1.5\n",
    "no end of line at the end": ROWS.rstrip("\n"),
    "gaps all around": ROWS + "a,NA,\n",
}


@pytest.mark.parametrize("case", FILES)
def test_one_table_in_many_files(tmp_path, case):
    data = read(tmp_path, FILES[case])
    found = {name: [v for v in values if v == v] for name, values in cells(data).items()}
    assert found == SAME
    assert data.names == ("a", "b")


def test_separators_inside_headers_are_told_by_the_rows(tmp_path):
    text = "Site;Age, years;Weight, kg, fasted\nn;31;57.8\ns;77;63.9\n"
    assert list(cells(read(tmp_path, text, source="Site"))) == ["Age, years", "Weight, kg, fasted"]


def test_quoted_cells_hold_separators_and_line_ends(tmp_path):
    text = 'source,x,note\na,1,"p, q"\nb,2,"r\ns"\n'
    assert cells(read(tmp_path, text))["note"] == ["p, q", "r\ns"]


WRONG = [
    ("source,x\na,1\n,2\n", {}, "'source' is empty in 1 row .first: .*a.csv, line 3"),
    ("source;x\n;cm\na;1\nb;2\n", {}, "'source' is empty in 1 row .first: .*line 2.*units"),
    ("source,x\na,1\n\n\nb,1,2\n", {}, "a.csv, line 5 has 3 cells, but the header has 2"),
    ('source,x\na,"1\n2"\nb,1,2\n', {}, "a.csv, line 4 has 3 cells"),
    ("source,x\na,1,5\nb,2,6\n", {}, "a.csv.* has 3 cells|cell after the last column"),
    (b"source,x\na,1\nb\xf6,2\n", {}, r"line 3: byte 15 .0xf6.*--encoding cp1252"),
    (ROWS.encode("utf-16-le"), {}, "--encoding utf-16-le"),
    (b"source,x\na,\x81\n", {"encoding": "cp1252"}, "byte 12 .0x81. is not CP1252"),
    (ROWS, {"encoding": "latin-x"}, "no encoding 'latin-x'"),
    (ROWS, {"separator": ";;"}, "no separator ';;'"),
    (ROWS, {"decimal": ";"}, "no decimal mark ';'"),
    (ROWS, {"dates": "day first"}, "no format of dates"),
    ("source,x\na,1\nb,9e999\n", {"types": {"x": "number"}}, "'9e999' .*line 3. is too large"),
    ("source,x\na,<0.6\nb,2\na,3\n", {}, "1 rows with '<0.6' .*line 2.*--na '<0.6'"),
    ('source,x\na,"1,234"\nb,"2,581"\n', {}, "'1,234' is 1234 or 1.234"),
    ("source,d\na,01/02/2024\nb,03/04/2024\n", {}, "may be day/month/year or month/day/year"),
]


@pytest.mark.parametrize(("content", "options", "message"), WRONG)
def test_what_is_wrong_is_one_line_with_its_place_and_remedy(tmp_path, content, options, message):
    with pytest.raises(sw.InputError, match=message) as caught:
        read(tmp_path, content, **options)
    assert "\n" not in str(caught.value)


RIGHT = [
    (b"source,x\na,1\nb\xf6,2\n", {"encoding": "cp1252"}, {"x": [1, 2]}),
    (ROWS.encode("utf-16-le"), {"encoding": "utf-16-le"}, SAME),
    ("source,x\na,-999\nb,2\n", {"na": "-999"}, {"x": [None, 2]}),
    ("source,x\na,n. b.\nb,2\nb,.\n", {"na": ["n. b.", "."]}, {"x": [None, 2, None]}),
    ('source,x\na,"1,234"\nb,"2,581"\n', {"decimal": "."}, {"x": [1234, 2581]}),
    ('source,x\na,"1,234"\nb,"2,581"\n', {"decimal": ","}, {"x": [1.234, 2.581]}),
    ('source,x,y\na,"1,234",0.5\nb,"2,581",1\n', {}, {"x": [1234, 2581], "y": [0.5, 1]}),
    ("source~x\na~1\nb~2\n", {"separator": "~"}, {"x": [1, 2]}),
    (
        "source,d\na,01/02/1970\nb,03/01/1970\n",
        {"dates": "%m/%d/%Y"},
        {"d": ["1970-01-02", "1970-03-01"]},
    ),
    ("source,w\na,012\nb,12\nb,0012\n", {}, {"w": ["012", "12", "0012"]}),
    ("source,w\na,\nb,012\nb,12\n", {"types": {"w": "category"}}, {"w": [None, "012", "12"]}),
    ("source,g\na,\nb,3\nb,1\n", {"types": {"g": "category"}}, {"g": [None, "3", "1"]}),
    ("source,s\na,\nb,True\nb,False\n", {}, {"s": [None, "True", "False"]}),
    ("source,i\na,1582218195625938945\nb,\n", {}, {"i": ["1582218195625938945", None]}),
]


@pytest.mark.parametrize(("content", "options", "expected"), RIGHT)
def test_what_the_user_says_and_what_the_column_shows(tmp_path, content, options, expected):
    found = cells(read(tmp_path, content, **options))
    plain = {n: [None if v != v else v for v in values] for n, values in found.items()}
    assert plain == expected


def test_how_columns_were_read_is_said_once_for_all_of_a_kind(tmp_path):
    data = read(tmp_path, "source;w;h;i\na;75,1;169,5;012\nb;80,0;178,3;12\n;;;\n")
    assert data.notes == (
        "1 row without any value left out",
        "'w', 'h': read as numbers (decimal comma)",
        "'i': read as a category: codes with leading zeros (012)",
    )
    assert [(c.name, c.kind, c.example, c.gaps, c.distinct) for c in data.seen] == [
        ("w", "number", "75,1", 0, 2),
        ("h", "number", "169,5", 0, 2),
        ("i", "category", "012", 0, 2),
    ]


@pytest.mark.parametrize("form", ["frame", "parquet", "arrow", "stream"])
def test_declared_types_are_honoured_wherever_they_come_from(tmp_path, form):
    table = pa.table(
        {
            "source": ["a", "b", "a"],
            "flag": pa.array([True, None, False]),
            "count": pa.array([1, 2, None], pa.int32()),
            "short": pa.array([5.01, 7.25, 0.1], pa.float32()),
            "level": pa.array(["01", "1", "01"]).dictionary_encode(),
            "day": pa.array([0, 1, None], pa.date32()),
            "id": pa.array([2**60, 2**60 + 1, 7]),
            "price": pa.array(["1.10", "2.20", "3.30"]).cast(pa.decimal128(6, 2)),
        }
    )
    if form == "parquet":
        pq.write_table(table, tmp_path / "a.parquet")
        data = sw.read(tmp_path / "a.parquet")
    elif form == "frame":
        data = sw.read(table.to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get))
    elif form == "arrow":
        data = sw.read(table)
    else:
        data = sw.read(pa.RecordBatchReader.from_batches(table.schema, table.to_batches()))
    found = cells(data)
    assert found["flag"] == ["True", None, "False"]
    assert found["count"][:2] == [1, 2]
    assert np.isnan(found["count"][2])
    assert found["short"] == [5.01, 7.25, 0.1]
    assert found["level"] == ["01", "1", "01"]
    assert found["day"][:2] == ["1970-01-01", "1970-01-02"]
    assert found["id"] == [str(2**60), str(2**60 + 1), "7"]
    assert found["price"] == [1.1, 2.2, 3.3]


REFUSED = {
    "lists": pa.array([[1], [2]]),
    "structs": pa.array([{"a": 1}, {"a": 2}]),
    "maps": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    "durations": pa.array([1, 2], pa.duration("s")),
    "times of day": pa.array([1, 2], pa.time32("s")),
    "bytes": pa.array([b"a", b"b"]),
}


@pytest.mark.parametrize("words", REFUSED)
@pytest.mark.parametrize("role", ["column", "source", "group"])
def test_what_cannot_be_modelled_is_refused_by_name(words, role):
    table = pa.table({"odd": REFUSED[words], "source": ["a", "b"], "x": [1, 2]})
    options: dict[str, Any] = {} if role == "column" else {role: "odd"}
    with pytest.raises(sw.InputError, match=f"'odd' holds {words}"):
        sw.read(table, **options)


ODD = {
    "complex numbers": np.array([1j, 2]),
    "intervals": pd.cut(np.array([0.0, 1.0]), 2),
    "durations": pd.to_timedelta([1, 2], "s"),
    "values of type": pd.Series([{1}, "a"], dtype=object),
    "1 and '1'": pd.Series([1, "1"], dtype=object),
    "complex numbers ": pd.Series([np.complex64(1j), None], dtype=object),
    "values of type datetime64": pd.Series([np.datetime64("2024"), np.float32(1)], dtype=object),
    "values of type object": pd.Series([object(), "a"], dtype=object),
    "half a surrogate pair": pd.Series(["\ud800", "a"], dtype=object),
}


@pytest.mark.parametrize("words", ODD)
def test_odd_columns_of_frames_are_refused_by_name(words):
    frame = pd.DataFrame({"source": ["a", "b"], "odd": ODD[words]})
    with pytest.raises(sw.InputError, match=f"'odd' holds {words.strip()}"):
        sw.read(frame)


def test_dates_among_numbers_are_no_dates():
    """Arrow would take 5 for five millionths of a second after 1970."""
    frame = pd.DataFrame({"source": ["a", "b"], "x": [datetime.date(2024, 1, 1), 5]}, dtype=object)
    with pytest.raises(sw.InputError, match="'x' holds text among its numbers: .*'2024-01-01'"):
        sw.read(frame)
    frame["x"] = [datetime.date(2024, 1, 1), float("nan")]
    assert [(c.kind, c.recorded, c.gaps) for c in sw.read(frame).seen] == [("date", "day", 1)]


SAME_SOURCE = [(1, True, "1"), ("1", 1), ("True", True), (True, "True", 2), (1, True, "b")]


@pytest.mark.parametrize("values", SAME_SOURCE)
def test_sources_of_several_types_are_told_apart_or_refused(tmp_path, values):
    frame = pd.DataFrame({"source": pd.Series(values, dtype=object), "text": "ab"})
    lines = "".join(json.dumps(row) + "\n" for row in frame.to_dict("records"))
    for data in (lambda: sw.read(frame), lambda: read(tmp_path, lines, "a.jsonl")):
        with pytest.raises(
            sw.InputError, match="'source' holds .* and .*: are they one."
        ) as caught:
            data()
        assert "\n" not in str(caught.value)
    apart = pd.DataFrame({"source": pd.Series([2, True, "b"], dtype=object), "text": "ab"})
    assert sw.read(apart).names == ("2", "True", "b")


def test_arrow_columns_are_what_they_stand_for():
    table = pa.table(
        {
            "source": pa.array(["a", "b"]).cast(pa.string_view()),
            "x": pc.run_end_encode(pa.array([1.5, 2.5])),
        }
    )
    assert cells(sw.read(table)) == {"x": [1.5, 2.5]}
    with pytest.raises(sw.InputError, match="'id' holds fixed bytes: leave it out"):
        sw.read(table.append_column("id", pa.array([b"a" * 16] * 2, pa.uuid())))


def test_dates_beyond_python_are_read(tmp_path):
    far = pa.array([2**61, 0], pa.timestamp("us"))
    table = pa.table({"source": ["a", "b"], "x": [1, 2], "when": far})
    assert sw.read(table).K == 2
    assert sw.read(table, source="when", ignore=["source"]).K == 2


def test_invalid_text_in_parquet_is_refused(tmp_path):
    raw = pa.array([b"a", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"source": raw, "x": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(sw.InputError, match="a.parquet is damaged: .*UTF8"):
        sw.read(tmp_path / "a.parquet")


def test_names_with_half_a_pair_are_refused():
    frame = pd.DataFrame([["a", 1], ["b", 2]])
    frame.columns = pd.Index(["source", "\ud800"], dtype=object)
    with pytest.raises(sw.InputError, match="half a surrogate pair"):
        sw.read(frame)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_draws_come_back_in_the_types_that_came_in(tmp_path, ending):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "source": np.repeat(["a", "b"], 60),
            "flag": rng.random(120) < 0.4,
            "count": rng.integers(0, 9, 120),
            "x": rng.normal(size=120).round(2),
            "level": rng.choice(["lo", "hi"], 120),
        }
    )
    options = {"model": "table", "set": {"updates": 20, "passes": 1}}
    drawn = sw.sample(sw.train(sw.read(frame), strategy="pooled", **options), n=20)
    assert drawn.frame().dtypes.astype(str).to_dict() | {"source": "", "level": ""} == {
        "source": "", "flag": "boolean", "count": "Int64", "x": "float64", "level": "",
    }  # fmt: skip
    write_samples(drawn, tmp_path / f"draws{ending}")
    again = sw.read(tmp_path / f"draws{ending}")
    assert [column.recorded for column in again.seen] == ["boolean", "integer", "", ""]
    assert set(cells(again)["level"]) <= {"lo", "hi"}


def test_headers_with_commas_are_named_with_their_quotes(tmp_path):
    text = 'source,"Weight, kg",y\na,1,2\nb,2,3\n'
    with pytest.raises(sw.InputError) as refused:
        read(tmp_path, text, columns=["Weight", "kg"])
    (*_, word) = shlex.split(str(refused.value))
    assert names([word]) == ["Weight, kg"]
    assert list(cells(read(tmp_path, text, columns=names([word])))) == ["Weight, kg"]
    with pytest.raises(sw.InputError, match=re.escape('(there are: source, "Weight, kg", y)')):
        read(tmp_path, text, columns=["height"])


def test_rows_without_a_group_are_groups_of_their_own(tmp_path):
    data = read(tmp_path, "source,p,x\na,1,1\nb,,2\nb,NA,3\na,1,4\n", group="p")
    assert data.group is not None
    together = data.group.tolist()
    assert together[0] == together[3]
    assert len(set(together)) == 3
    assert data.notes == ("2 rows without a value of p: each is a group of its own",)


def test_one_source_written_in_two_types_is_told(tmp_path):
    lines = [{"source": s, "text": "ab"} for s in (1, "1", True)]
    content = "\n".join(map(json.dumps, lines))
    with pytest.raises(sw.InputError, match="'source' holds 1 and '1'"):
        read(tmp_path, content, "a.jsonl")


def test_groups_that_group_nothing_are_told(tmp_path):
    alone = ("--group p: every row is a group of its own, so none stay together",)
    for ids, notes in (("123", alone), (("", "", ""), alone), ("112", ())):
        rows = "".join(f"{s},{p},{s}\n" for s, p in zip("aba", ids, strict=True))
        assert read(tmp_path, f"source,p,x\n{rows}", group="p").notes == notes


LARGE = {
    "a.csv.gz": b"source,x\n" + b"a,1\n" * 400_000,
    "a.jsonl.gz": b'{"source": "a", "text": "b"}\n' * 60_000,
    "a.fasta.gz": b">a source=a\n" + b"ACGT\n" * 300_000,
    "folder/a.txt.gz": b"one\n" * 400_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_packed_too_well_is_refused(tmp_path, monkeypatch, name):
    """Each holds about 1.5 MB, packed in few; .5 MB are allowed here, or 100 times the file."""
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(gzip.compress(LARGE[name]))
    monkeypatch.setattr(limits, "MOST_UNPACKED", 1 << 19)
    where = file.parent if name.startswith("folder") else file
    told = f"{file} holds more than 0.5 MiB, over 100 times .*, unpack it first: gunzip {file}"
    with pytest.raises(sw.InputError, match=told):
        sw.read(where)
    monkeypatch.setattr(limits, "MOST_TIMES", 10_000)
    with contextlib.suppress(sw.InputError):  # of one source only
        assert len(sw.read(where)) > 1
    monkeypatch.undo()
    assert open_file(file).read() == LARGE[name]


def test_arrays_that_are_packed_too_well_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_UNPACKED", 1 << 19)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((100_000, 1)), y=np.arange(100_000) % 2)
    with pytest.raises(sw.InputError, match=r"array 'x' holds more than 0.5 MiB.*, save it with"):
        sw.read(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=np.zeros((100_000, 1)), y=np.arange(100_000) % 2)
    assert len(sw.read(tmp_path / "a.npz")) == 100_000


def test_texts_that_parquet_holds_once_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_UNPACKED", 1 << 19)
    frame = pd.DataFrame({"source": ["a", "b"] * 5000, "t": "long " * 600, "x": 1.5})
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(sw.InputError, match="holds more than .* MiB, over 100 times .* as .csv"):
        sw.read(tmp_path / "a.parquet", source="source", ignore=("t",))


@pytest.mark.parametrize("column", [pd.cut(np.arange(4.0), 2), np.array([1j, 1j, 2, 2])])
@pytest.mark.parametrize("role", ["source", "group"])
def test_a_column_that_is_needed_is_not_to_be_left_out(column, role):
    """The remedy for intervals and complex numbers, as for lists, keeps what sources come from."""
    frame = pd.DataFrame({"z": column, "s": ["a", "a", "b", "b"], "x": range(4)})
    given: Any = {"source": "z"} if role == "source" else {"source": "s", "group": "z"}
    with pytest.raises(
        sw.InputError, match="'z' holds .*: make it text, .* or name another"
    ) as told:
        sw.read(frame, **given)
    assert "--ignore" not in str(told.value)
