"""Text in other encodings: read where it says so, told for all files at once where not."""

import contextlib
import gzip
import os
import socket
import time
from pathlib import Path

import pytest

import sourcewise as sw
from sourcewise.forms import Ragged

WORDS = "thé là\nmère pêche\n"


def folder(tmp_path, **files):
    (tmp_path / "texts").mkdir()
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "texts" / name.replace("__", ".")).write_bytes(raw)
    return tmp_path / "texts"


def strings(data):
    assert isinstance(data.x, Ragged)
    return data.x.strings()


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_enough(tmp_path, code):
    path = folder(tmp_path, a__txt=WORDS.encode(code), b__txt="île\n")
    expected = ["thé là", "mère pêche", "île"]
    assert strings(sw.read(path)) == expected
    told = sw.read(path, encoding="cp1252")  # the mark goes before, and é is UTF-8 for sure
    assert strings(told) == expected
    assert told.notes == ("b.txt: read as UTF-8, which it is, not as cp1252",)


@pytest.mark.parametrize("code", ["cp1252", "latin-1", "utf-16-le", "utf-16-be", "cp1251"])
def test_other_encodings_are_read_as_the_user_says(tmp_path, code):
    words = "хлеб\nмолоко\n" if code == "cp1251" else WORDS
    path = folder(tmp_path, a__txt=words.encode(code), b__txt="plum\nbread\n")
    assert strings(sw.read(path, encoding=code)) == [*words.split("\n")[:2], "plum", "bread"]


@pytest.mark.parametrize("code", ["cp1252", "utf-16-le", "utf-16-be", "cp1251"])
def test_the_likely_encoding_is_named_and_right(tmp_path, code):
    words = "хлеб\nмолоко\nзавтра утром\n" if code == "cp1251" else WORDS
    path = folder(tmp_path, a__txt=words.encode(code), b__txt="plum\n")
    with pytest.raises(sw.InputError, match=f"say --encoding {code} if it was") as caught:
        sw.read(path)
    guess = str(caught.value).split("--encoding ")[1].split()[0]
    assert strings(sw.read(path, encoding=guess))[:2] == words.split("\n")[:2]


def test_all_bad_files_of_a_folder_are_told_at_once(tmp_path):
    files = {f"{name}__txt": f"ab\n{name} é\n".encode("cp1252") for name in "abcde"}
    path = folder(tmp_path, **files, good__txt="é\n")
    with pytest.raises(sw.InputError) as caught:
        sw.read(path)
    assert str(caught.value) == (
        f"5 files are not UTF-8 text ({path}/a.txt, line 2: byte 6 (0xe9), {path}/b.txt, line 2: "
        f"byte 6 (0xe9), {path}/c.txt, line 2: byte 6 (0xe9) and 2 more): say --encoding cp1252 "
        "if they were written so, or save them as UTF-8"
    )
    assert strings(sw.read(path, encoding="cp1252")) == [
        *(text for name in "abcde" for text in ("ab", f"{name} é")), "é",
    ]  # fmt: skip


def test_files_of_several_encodings_have_no_one_remedy(tmp_path):
    path = folder(tmp_path, a__txt="é".encode("cp1252"), b__txt="abc".encode("utf-16-le"))
    with pytest.raises(sw.InputError, match=r"2 files are not .*\): save them as UTF-8"):
        sw.read(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.fasta"])
def test_single_files_take_the_same_option(tmp_path, name):
    text = '{"source": "a", "text": "é"}\n' if "json" in name else ">a source=é\nAC\n"
    raw = text.encode("cp1252")
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    with pytest.raises(sw.InputError, match="line 1: byte .*--encoding cp1252 if it was"):
        sw.read(tmp_path / name)
    data = sw.read(tmp_path / name, encoding="cp1252")
    assert "é" in (*strings(data), *data.names)


@pytest.mark.parametrize("code", ["latin-x", "base64", "a\0b", "rot13"])
def test_what_is_no_encoding_is_refused(tmp_path, code):
    with pytest.raises(sw.InputError, match="no encoding"):
        sw.read(folder(tmp_path, a__txt="x"), encoding=code)


def test_codecs_of_python_that_say_no_place_are_refused_in_one_line(tmp_path):
    path = folder(tmp_path, a__txt=b"an\r\x80\0")
    with pytest.raises(sw.InputError, match=r"a.txt.* is not UNICODE_ESCAPE text"):
        sw.read(path, encoding="unicode_escape")


def test_what_systems_leave_in_folders_is_left_out_with_a_note(tmp_path):
    path = folder(
        tmp_path, a__txt="x\n", b__txt="y\n", README__md="read", LICENSE="mine",
        Thumbs__db=b"\xff", desktop__ini="[x]", __DS_Store=b"\0",
    )  # fmt: skip
    data = sw.read(path)
    assert data.names == ("a", "b")
    (note,) = data.notes
    assert note == ("left out, as no data: .DS_Store, LICENSE, README.md, Thumbs.db, desktop.ini")


def test_so_it_is_inside_the_folders_of_sources(tmp_path):
    for name in ("a/1.txt", "a/Thumbs.db", "b/1.txt", "b/.hidden", ".git/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    data = sw.read(tmp_path)
    assert data.names == ("a", "b")
    assert data.notes == ("left out, as no data: .git, a/Thumbs.db, b/.hidden",)


@pytest.mark.parametrize("name", ["a.csv", "a.npz", "a.parquet", "a.jsonl", "folder/a.txt"])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_no_file_is_refused_at_once(tmp_path, monkeypatch, name, kind):
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    (tmp_path / "folder").mkdir()
    if kind == "pipe":
        os.mkfifo(name)
    else:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(name)
    start = time.perf_counter()
    with pytest.raises(sw.InputError, match=f"a.* is a {kind}, no file: write its content"):
        sw.read(name.split("/")[0])
    assert time.perf_counter() - start < 5


def test_a_device_is_refused(tmp_path):
    (tmp_path / "a.csv").symlink_to("/dev/zero")
    with pytest.raises(sw.InputError, match="a.csv is a device or terminal, no file"):
        sw.read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "name",
    ["a.csv", "a.csv.gz", "a.npz", "a.parquet", "a.jsonl", "a.fasta", "folder", "folder/a.txt"],
)
def test_what_may_not_be_read_says_so(unprivileged, name):
    path, data = Path(name), name.split("/")[0]
    Path("folder").mkdir()
    if name != "folder":
        path.write_text("source,x\n")
    with contextlib.suppress(sw.InputError):  # all that reading imports
        sw.read(data)
    path.chmod(0)
    unprivileged()
    with pytest.raises(sw.InputError, match=f"^cannot read {name}: Permission denied$"):
        sw.read(data)


def test_what_stands_in_a_closed_folder_says_so(unprivileged):
    Path("closed").mkdir()
    Path("closed/a.csv").write_text("source,x\n")
    Path("closed").chmod(0)
    unprivileged()
    with pytest.raises(sw.InputError, match="^cannot read closed/a.csv: Permission denied$"):
        sw.read("closed/a.csv")


def test_a_path_that_cannot_be_is_one_line(tmp_path):
    with pytest.raises(sw.InputError, match="cannot read .*: File name too long"):
        sw.read(f"{'a' * 300}.csv")
