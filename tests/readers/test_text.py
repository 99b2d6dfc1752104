"""Every way to bring text gives the same sources; every defect is one clear line."""

import csv
import gzip
import json
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sourcewise as sw
from sourcewise.forms import Ragged, Table
from sourcewise.readers.texts import LONGEST, cut

# Inner and outer spaces, quotes, other scripts, symbols beyond 16 bits, no newline.
TEXTS = {"bö": ["a b", ' "x', "ünder "], "c 2": ["语言", "𝄞🎈"], "c 10": ["only\u2028one"]}
ROWS = [(source, text) for source, texts in TEXTS.items() for text in texts]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def strings(data):
    assert isinstance(data.x, Ragged)
    return data.x.strings()


def json_lines(rows, **more):
    return "".join(
        json.dumps({"source": s, "n": i, "text": t, **more}, ensure_ascii=i % 2 == 0) + "\n"
        for i, (s, t) in enumerate(rows)
    )


def as_folder(tmp_path):
    for source, texts in TEXTS.items():
        write(tmp_path / "texts" / f"{source}.txt", "\n".join(texts))
    return tmp_path / "texts"


def as_odd_folder(tmp_path):
    """A byte order mark, CRLF, blank lines, a gzipped file, a hidden file."""
    for source, texts in TEXTS.items():
        ending = ".TXT.gz" if source == "c 2" else ".txt"
        content = "\ufeff" + "\r\n \r\n\r\n".join(texts) + "\r\n"
        write(tmp_path / "texts" / f"{source}{ending}", content)
    write(tmp_path / "texts" / ".hidden", b"\xff")
    return tmp_path / "texts"


def as_folders(tmp_path):
    for i, (source, text) in enumerate(ROWS):
        write(tmp_path / "texts" / source / f"{i}.txt", text + "\n")
    return tmp_path / "texts"


def as_json_lines(tmp_path):
    return write(tmp_path / "texts.jsonl", json_lines(ROWS))


def as_json_lines_gz(tmp_path):
    return write(tmp_path / "texts.jsonl.gz", "\ufeff" + json_lines(ROWS).replace("\n", "\r\n\n"))


def as_tsv(tmp_path):
    lines = "".join(f"{i}\t{s}\t{t}\r\n" for i, (s, t) in enumerate(ROWS))
    return write(tmp_path / "texts.tsv.gz", "n\tsource\ttext\r\n" + lines)


def as_csv(tmp_path):
    path = tmp_path / "texts.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("source", "text"), *ROWS])
    return path


def as_parquet(tmp_path):
    as_frame().to_parquet(tmp_path / "texts.parquet")
    return tmp_path / "texts.parquet"


def as_frame(tmp_path=None):
    return pd.DataFrame(ROWS, columns=["source", "text"])


WAYS = [as_folder, as_odd_folder, as_folders, as_json_lines, as_json_lines_gz]
WAYS += [as_tsv, as_csv, as_parquet, as_frame]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_bring_text_gives_the_same_sources(tmp_path, way):
    where = way(tmp_path)
    data = sw.read(where)
    assert data.names == ("bö", "c 2", "c 10")
    assert strings(data) == [text for _, text in ROWS]
    assert data.y.tolist() == [0, 0, 0, 1, 1, 2]
    assert data.fingerprint() == sw.read(as_frame()).fingerprint()
    assert data.name == ("data" if way is as_frame else "texts")
    assert data.group is None
    chunked = sw.read(where, chunk=2)
    assert chunked.reading == {"chunk": 2}
    assert "".join(strings(chunked)) == "".join(strings(data))


def test_any_column_can_be_the_text(tmp_path):
    path = write(tmp_path / "words.tsv", 'lang\tword\tcount\nen\t"no\t3\nde\tNA\t2\nde\t\t1\n')
    data = sw.read(path, source="lang", text="word")
    assert strings(data) == ['"no', "NA", ""]
    assert data.names == ("de", "en")
    assert data.reading == {"source": "lang", "text": "word"}
    grouped = sw.read(path, source="lang", text="word", group="count", ignore=["count"])
    assert grouped.group_by == ("count",)
    path = write(tmp_path / "words.csv", 'lang;word\nen;"a ""b"";\nc"\nde;NA\n')
    assert strings(sw.read(path, source="lang", text="word")) == ['a "b";\nc', "NA"]
    path = write(tmp_path / "words.jsonl", '{"lang": 1, "word": "a", "day": 2}\n' * 2)
    data = sw.read(path, source="lang", text="word", group=["day"])
    assert data.names == ("1",)
    assert data.group is not None
    assert data.group.tolist() == [0, 0]


def test_a_column_called_text_can_stay_in_a_table(tmp_path):
    path = write(tmp_path / "a.csv", "source,text,x\na,u,1\nb,v,2\n")
    assert strings(sw.read(path)) == ["u", "v"]
    assert not isinstance(sw.read(path, columns=["text", "x"]).x, Ragged)
    assert not isinstance(sw.read(path, types={"text": "category"}).x, Ragged)
    assert not isinstance(sw.read(path, ignore=["text"]).x, Ragged)
    assert not isinstance(sw.read(path, source="text", ignore=["source"]).x, Ragged)
    numbers = pd.DataFrame({"source": ["a", "b"], "text": [1, 2]})
    assert not isinstance(sw.read(numbers).x, Ragged)


FASTA = ">r1 source=b x\nACGT\nAC GT\n\n>r2 source=a\r\nTT\n>r3 source=a\nT\n"


def test_fasta_records(tmp_path):
    data = sw.read(write(tmp_path / "a.fasta", FASTA))
    assert strings(data) == ["ACGTACGT", "TT", "T"]
    assert data.names == ("a", "b")
    assert data.y.tolist() == [1, 0, 0]
    first_words = write(tmp_path / "b.fa.gz", ">a 1\nAC\n>b 2\nGG\n>a 3\nT\n")
    assert sw.read(first_words).y.tolist() == [0, 1, 0]
    write(tmp_path / "f" / "b.fasta", FASTA)
    write(tmp_path / "f" / "a.faa.gz", ">p\nMK\nV")
    folder = sw.read(tmp_path / "f")
    assert strings(folder) == ["MKV", "ACGTACGT", "TT", "T"]
    assert folder.y.tolist() == [0, 1, 1, 1]


def test_chunks_of_a_document_stay_together(tmp_path):
    rows = [("a", "12345"), ("b", "12345"), ("a", ""), ("b", "xy")]
    data = sw.read(write(tmp_path / "a.jsonl", json_lines(rows)), chunk=2)
    assert strings(data) == ["12", "34", "5", "12", "34", "5", "", "xy"]
    assert data.y.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    # The two documents are the same: their chunks are one group.
    assert data.units.tolist() == [0, 0, 0, 0, 0, 0, 1, 2]
    assert data.group_by == ("document",)
    grouped = sw.read(tmp_path / "a.jsonl", chunk=2, group="n")
    assert grouped.units.tolist() == [0, 0, 0, 1, 1, 1, 2, 3]


@given(st.lists(st.text(max_size=20)), st.integers(1, 7))
def test_cutting_loses_nothing(texts, chunk):
    pieces, row = cut(Ragged.of_strings(texts), chunk)
    joined = [""] * len(texts)
    for piece, i in zip(pieces.strings(), row.tolist(), strict=True):
        joined[i] += piece
        assert len(piece) <= chunk
    assert joined == texts
    assert torch.equal(row, row.sort().values)


LINE = '{"source": "a", "text": "b"}\n'
LONG = "a" * 10_000_000
BAD = [
    ({"f/a.txt": "x\n", "f/b.txt": ""}, {}, r"f/b.txt is empty: every file needs text"),
    ({"f/a.txt": "x\n", "f/b.txt": "\n \r\n\n"}, {}, r"f/b.txt is empty"),
    (
        {"f/a.txt": "x\n", "f/b.txt": b"x\ny\r\nab\xe9c\n"},
        {},
        r"b.txt, line 3: byte 8 .0xe9. is not UTF-8 text: say --encoding cp125",
    ),
    ({"f/a.txt": b"a\0"}, {}, r"a.txt, line 1: byte 2 .0x00. is not .* --encoding utf-16-le"),
    ({"f/a.txt": f"x\n\n{LONG}\n"}, {}, r"line 3 is one example of 10000000 char.*--chunk 1000"),
    ({"f/.hidden": "x"}, {}, r"f holds neither images nor text files \(.txt, .txt.gz, .fasta"),
    ({"f/a.txt": "x", "f/notes.md": "x"}, {}, r"no text to read .notes.md.: allowed are .txt"),
    ({"f/a.txt": "x", "f/b/c.txt": "x"}, {}, r"both files .a.txt. and folders .b.: either one"),
    ({"f/a/c.txt": "x", "f/b/c/d.txt": "x"}, {}, r"f/b holds folders again .c.: a source holds"),
    ({"f/a/c.txt": "x", "f/b/.d": "x"}, {}, r"f/b holds no text files: a source needs examples"),
    ({"f/a/c.txt": "x", "f/b/c.txt": "\n"}, {}, r"f/b/c.txt is empty"),
    ({"f/a/c.fasta": ">x\nA"}, {}, r"FASTA files are read from one folder, file = source"),
    ({"f/a.txt": "x", "f/a.txt.gz": "x"}, {}, r"a.txt.* and a.txt.* are both called 'a'"),
    (
        {"f/a.txt": "x"},
        {"source": "a", "text": "b"},
        r"apply to .*f: --source, --text .allowed",
    ),
    ({"f/a.txt": "x"}, {"chunk": 0}, r"chunk is 0, not a whole number from 1 to 100000"),
    ({"f/a.txt": "x"}, {"chunk": 2.5}, r"chunk is 2.5, not a whole number"),
    ({"a.txt": "x\ny\n"}, {}, r"a.txt is one source only: bring a folder with one .txt"),
    (
        {"a.txt": ">x\nACGT\n"},
        {},
        r"one source only: .* call it .fasta",
    ),
    ({"a.jsonl": LINE + "{oops\n"}, {}, r"a.jsonl, line 2 is no JSON: .* at character 2"),
    ({"a.jsonl": LINE + "\n[1]\n"}, {}, r"line 3 is no JSON object"),
    ({"a.jsonl": LINE + "[" * 200_000}, {}, r"line 2 is no JSON"),
    ({"a.jsonl": '{"source": "a"}'}, {}, r"line 1 has no key 'text' .keys: source.; --text names"),
    (
        {"a.jsonl": '{"lang": "a", "text": "b"}'},
        {},
        r"line 1 has no key 'source'.*: lang, text",
    ),
    ({"a.jsonl": LINE + '{"source": "a", "text": 1}'}, {}, r"line 2: 'text' is 1, not text"),
    ({"a.jsonl": '{"source": null, "text": ""}'}, {}, r"'source' is null, not text or a number"),
    ({"a.jsonl": '{"source": "a", "text": "\\ud83c"}'}, {}, r"line 1 holds half a surrogate pair"),
    ({"a.jsonl": LINE + json_lines([("a", LONG)])}, {}, r"line 2 is one example of 10000000"),
    ({"a.jsonl": "\n"}, {}, r"a.jsonl is empty"),
    (
        {"a.jsonl.gz": LINE},
        {"columns": ["n"]},
        r"a.jsonl.gz: --columns .allowed: --source, --group",
    ),
    ({"a.jsonl": b'{"source": "a", "text": "\xe9"}'}, {}, r"line 1: byte 26 .0xe9. is not UTF-8"),
    ({"a.tsv": "source\ttext\na\tb\na\n"}, {}, r"a.tsv, line 3 has 1 cells, but the header has 2"),
    ({"a.tsv": "source\ttext\na\tb\tc\n"}, {}, r"a.tsv, line 2 has 3 cells, but the header has 2"),
    (
        {"a.csv": 'source,text\na,b\n"a,b\n'},
        {},
        r"a.csv, line 3 has 1 cells, but the header has 2",
    ),
    ({"a.csv": "source,text\na,b\n\na\n"}, {}, r"a.csv, line 4 has 1 cells"),
    ({"a.csv": b"source,text\na,b\na,\xe9\n"}, {}, r"a.csv, line 3: byte 19 .0xe9. is not UTF-8"),
    ({"a.csv": f"source,text\na,{LONG}\n"}, {}, r"a.csv, line 2 is one example of 10000000"),
    ({"a.csv": "source,text\n"}, {}, r"holds no rows"),
    ({"a.csv": "source,word\na,b\n"}, {"text": "wrod"}, r"no column 'wrod': did you mean 'word'"),
    ({"a.csv": "source,word\na,b\n"}, {"text": "source"}, r"'source' is the source"),
    (
        {"a.csv": "source,text\na,b\n"},
        {"text": "text", "columns": ["text"]},
        r"to text.*columns",
    ),
    ({"a.csv": "source,text\na,b\n"}, {"text": "text", "ignore": ["text"]}, r"left out with"),
    ({"a.csv": "source,x\na,1\n"}, {"chunk": 5}, r"--chunk cuts text: a has no column 'text'"),
    ({"a.csv": "source,text\n,b\n"}, {}, r"source column 'source' is empty in 1 row"),
    ({"a.fa": ""}, {}, r"a.fa is empty"),
    ({"a.fa": "\nACGT\n>a\nA\n"}, {}, r"a.fa, line 2: no FASTA, which begins with '>'"),
    ({"a.fa": ">a\nA\n>b x\n\n>a\nA\n"}, {}, r"a.fa, line 3: a header without a sequence .'b x'"),
    ({"a.fa": ">a\nA\n>\nA\n"}, {}, r"a.fa, line 3: the header is empty"),
    ({"a.fa": ">a\nA\n>b\nA\n"}, {}, r"name 2 sources for 2 records: start each header with"),
    ({"a.fa": ">a source=x\nA\n>b\nA\n"}, {}, r"a.fa, line 3: no source=NAME in this header"),
    ({"a.fa.gz": ">a\nA"}, {"group": "x"}, r"apply to .*a.fa.gz: --group .allowed: --chunk"),
]


@pytest.mark.parametrize(("files", "options", "message"), BAD)
def test_bad_text_is_one_clear_line(tmp_path, files, options, message):
    for name, content in files.items():
        write(tmp_path / name, content)
    with pytest.raises(sw.InputError, match=message) as caught:
        sw.read(tmp_path / next(iter(files)).split("/")[0], **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))
    assert csv.field_size_limit() == 131072


def test_unreadable_and_damaged_files_are_named(tmp_path):
    write(tmp_path / "f" / "a.txt", "x")
    (tmp_path / "f" / "b.txt").symlink_to(tmp_path / "nowhere")
    with pytest.raises(sw.InputError, match=r"cannot read .*f/b.txt: No such file"):
        sw.read(tmp_path / "f")
    (tmp_path / "a.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(sw.InputError, match=r"a.jsonl.gz is damaged"):
        sw.read(tmp_path / "a.jsonl.gz")
    cut_short = gzip.compress(b"source\ttext\n" * 100)[:-9]
    (tmp_path / "a.tsv.gz").write_bytes(cut_short)
    with pytest.raises(sw.InputError, match=r"a.tsv.gz is damaged"):
        sw.read(tmp_path / "a.tsv.gz")


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, 3, ["a"]])
def test_what_is_no_text_in_a_frame_is_named(value):
    frame = pd.DataFrame({"source": ["a", "b"], "text": ["x", value]}, index=[7, 8])
    with pytest.raises(sw.InputError, match=r"^row 2: the column of text 'text' (is empty|holds)"):
        sw.read(frame)


def test_a_long_document_is_read_in_chunks(tmp_path):
    path = write(tmp_path / "a.csv", f"source,text\na,{'ab' * LONGEST}\nb,c\n")
    data = sw.read(path, chunk=LONGEST)
    assert data.counts.tolist() == [2, 1]


REAL = {
    "names": ({}, 14, 19337),
    "words_by_language.tsv.gz": ({"source": "lang", "text": "word"}, 26, 518511),
    "text_domains.jsonl.gz": ({}, 5, 3984),
    "udhr.jsonl.gz": ({"source": "lang"}, 62, 62),
}


@pytest.mark.parametrize("name", list(REAL))
def test_real_text_is_read_whole(shared_data, name):
    options, K, n = REAL[name]
    data = sw.read(shared_data / "text" / name, **options)
    assert (data.K, len(data)) == (K, n)
    assert int(data.counts.min()) > 0
    assert len(data.units) == n


def test_real_words_are_those_of_the_file(shared_data):
    path = shared_data / "text" / "words_by_language.tsv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().rstrip("\n").split("\n")[1:]
    data = sw.read(path, source="lang", text="word")
    assert strings(data) == [line.split("\t")[1] for line in lines]
    assert [data.names[k] for k in data.y.tolist()] == [line.split("\t")[0] for line in lines]


def test_real_long_texts_need_chunks(shared_data):
    path = shared_data / "text" / "genesis.jsonl.gz"
    with pytest.raises(sw.InputError, match=r"line 1 is one example .* .and 3 more such."):
        sw.read(path)
    data = sw.read(path, chunk=500)
    assert len(data.units.unique()) == data.K == 4


def test_texts_have_given_columns_beside_them(tmp_path):
    rows = "site,age,sex,note\na,1,f,x\nb,2,m,x\na,1,f,x\nb,3,m,y\n"
    path = write(tmp_path / "a.csv", rows)
    data = sw.read(path, source="site", text="note", given=("age", "sex"), types={"age": "number"})
    assert strings(data) == ["x", "x", "x", "y"]
    assert isinstance(data.c, Table)
    assert data.c.columns["age"].tolist() == [1.0, 2.0, 1.0, 3.0]
    assert data.same.tolist() == [0, 0, 0, 1]  # a text stays one, whatever is given beside it
    assert len(data.marks.unique()) == 3
    cases: list[tuple[dict[str, Any], str]] = [
        ({"given": ("note",)}, "the column of text 'note' is given"),
        ({"given": ("age",), "chunk": 5}, "it does not go with --chunk"),
        ({"given": ("age",), "types": {"sex": "category"}}, "do not apply to text"),
    ]
    for options, told in cases:
        with pytest.raises(sw.InputError, match=told):
            sw.read(path, source="site", text="note", **options)
