"""Names and values of data on the screen, in reports, files and shells; and what is too much."""

import ast
import csv
import io
import json
import os
import shlex
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sourcewise as sw
from sourcewise import cli
from sourcewise.cells import as_option, csv_text, in_shell
from sourcewise.commands.options import names
from sourcewise.errors import InputError, unknown, visible
from sourcewise.forms import as_table
from sourcewise.limits import LONGEST_NAME, MOST_CATEGORIES, MOST_COLUMNS, MOST_SOURCES

ROOT = Path(sw.__file__).parent
# Of one split: what is printed has the same names, and less has to be computed.
QUICK = ("--seeds", 1, "--model", "gaussian", "--scope", "these models")
HOSTILE = (
    "\x1b[31mred",
    "\u202eabc",
    "a\rb",
    "a\nb",
    "<script>alert(1)</script>",
    ' lead, "and" trail ',
    "\u200bzero",
    "#" + "x" * 900,
)


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(*arguments) -> tuple[int, str]:
        """The exit code, and all that was printed: checked to be harmless."""
        monkeypatch.setattr(sys, "argv", ["sourcewise", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        assert not raw(out + err), arguments
        assert "failed:" not in err
        return int(stop.value.code or 0), out + err

    return run


def raw(text: str) -> set[str]:
    """What moves the cursor, hides, or turns a line around."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return {hex(ord(c)) for c in text if c != "\n" and unicodedata.category(c) in kinds}


def rows(n: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    source = [name for name in HOSTILE for _ in range(n)]
    columns = {f"{name}!": rng.normal(size=len(source)) for name in HOSTILE[:3]}
    return pd.DataFrame({"so\x1burce": source, **columns})


def hostile(form: str) -> list[str]:
    """A file of such names, and the option that reads it."""
    frame, path = rows(), Path(f"data.{form}")
    if form == "csv":
        path.write_text(csv_text([frame.columns, *frame.to_numpy().tolist()]), newline="")
    elif form == "parquet":
        frame.to_parquet(path)
    elif form == "jsonl":
        every = [{"so\x1burce": s, "text": f"{s[:3]}{i}"} for i, s in enumerate(frame.iloc[:, 0])]
        path.write_text("".join(json.dumps(row) + "\n" for row in every))
    else:
        x, y = frame.iloc[:, 1:].to_numpy(), np.arange(len(frame)) // 12
        arrays = {"x": x, "names": np.array(HOSTILE), "so\x1burce": y}
        np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    return [str(path), "--source", "so\x1burce"]


def test_every_verb_shows_names_of_data_by_escapes(command):
    data = hostile("csv")
    code, out = command("compare", *data, *QUICK, "--out", "run")
    assert code == 0
    assert "\n  \\x1b[31mred" in out
    page = Path("run/report.html").read_text()
    assert not raw(page)
    assert "<script" not in page
    assert "\\u202eabc" in page
    for ending in ("svg", "html"):
        assert command("report", "run", "--out", f"again.{ending}")[0] == 0
    assert not raw(Path("again.svg").read_text())
    assert command("train", *data, "--model", "gaussian", "--out", "trained")[0] == 0
    for verb in (
        ["sample", "trained", "-n", 2],
        ["sample", "run", "-n", 2, "--json"],
        ["evaluate", "run", data[0]],
        ["evaluate", "run", data[0], "--json"],
        ["evaluate", "run", data[0], "--dry-run"],
    ):
        assert command(*verb)[0] == 0


def test_json_keeps_every_name(command):
    _, out = command("compare", *hostile("csv"), "--dry-run", "--json")
    assert {column["name"] for column in json.loads(out)["columns"]} == set(rows().columns[1:])


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "npz"])
def test_every_reader_keeps_hostile_names_and_none_is_shown_raw(command, form):
    data = hostile(form)
    assert command("compare", *data, "--dry-run")[0] == 0
    assert set(sw.read(data[0], source=data[2]).names) == set(HOSTILE)


@pytest.mark.parametrize(
    "more",
    [
        ["--source", "no\x1b"],
        ["--group", "a\u202e"],
        ["--group", "a\rq"],
        ["--types", "\x1b!=date"],
        ["--set", "\u202e=1"],
        ["--encoding", "\x1b8"],
        ["--dates", "%\x1b8"],
        ["--dates", "%d%d"],
        ["--strategies", "groups:\x1b+\u202e|b"],
        ["--strategies", "\x1b[2J"],
        ["--metric", "\x1b"],
        ["--model", "\x1b"],
        ["--\x1b", "1"],
        ["--separator", "\x1b\x1b"],
        ["--ignore", "x" * 10_000],
    ],
)
def test_what_was_typed_wrong_is_named_by_one_harmless_line(command, more):
    code, out = command("compare", *hostile("csv"), *more)
    assert code == 2
    assert out.count("\n") == 1
    assert len(out) < 2200


def test_wrong_files_are_named_by_one_harmless_line(command):
    Path("a\x1b.csv").write_text("source,a\x1b\n1,2,3\n")
    Path("b.jsonl").write_text('{"source": 1, "\\u202e": 2}\n')
    Path("c").mkdir()
    Path("c", "\u202e.txt").write_text("abc\n")
    for path in ("a\x1b.csv", "b.jsonl", "c", "no\x1b.csv", "no\udcff.csv"):
        code, out = command("compare", path, "--dry-run")
        assert (code, out.count("\n")) == (2, 1)


def test_a_file_may_be_called_anything(command):
    text = "source,a\n" + "".join(f"{i % 2},{i * 7 % 11}.{i % 3}\n" for i in range(40))
    for name in ("caf\udce9\x1b", "z" * 250):
        Path(f"{name}.csv").write_text(text)
        assert command("compare", f"{name}.csv", *QUICK)[0] == 0
        assert command("compare", f"{name}.csv", "--json", *QUICK)[0] == 0  # read again
    assert not raw("".join(path.name for path in Path("runs").iterdir()))


def test_only_one_place_prints():
    for path in ROOT.rglob("*.py"):
        calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
        found = any(isinstance(c.func, ast.Name) and c.func.id == "print" for c in calls)
        assert found == (path == ROOT / "commands" / "screen.py"), path


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2)))
def test_csv_reads_back_as_it_was_written(cells):
    text = csv_text(cells)
    assert list(csv.reader(io.StringIO(text, newline=""))) == cells


@given(st.lists(TEXTS.filter(str.strip), min_size=1))
def test_options_take_names_as_they_are_printed(wanted):
    word = as_option("--ignore", *wanted).removeprefix("--ignore ")
    plain = word.startswith("$'")  # the next test holds this to a shell
    text = ast.literal_eval(word[1:]) if plain else shlex.split(word)[0]
    assert names([text]) == wanted


def test_a_shell_gives_back_what_is_printed_for_it():
    words = [*HOSTILE, "it's", "a\\b\x85", "$(rm x) `y` !z", "\U000e0001\xad\x7f", "tab\t"]
    line = "printf '%s\\0' " + " ".join(map(in_shell, words))
    env = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, env=env)
    assert done.stdout.decode().split("\0")[:-1] == words
    assert not raw(line)


def test_samples_and_results_read_back_with_hostile_names(command):
    data = hostile("csv")
    command("compare", *data, *QUICK, "--out", "run")
    command("sample", "run", "-n", 2, "--out", "drawn.csv")
    with open("drawn.csv", newline="", encoding="utf-8") as file:
        head, *cells = csv.reader(file)
    assert head == list(rows().columns)
    assert {row[0] for row in cells} == set(HOSTILE)
    drawn = sw.read("drawn.csv", source="so\x1burce")
    assert (set(drawn.names), as_table(drawn.x).names) == (set(HOSTILE), tuple(rows().columns[1:]))
    with open("run/results.csv", newline="", encoding="utf-8") as file:
        assert {row["source"] for row in csv.DictReader(file)} == set(HOSTILE)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_plain_terminal_gets_other_marks_and_files_keep_theirs(tmp_path, encoding):
    frame = rows(3).set_axis(["Stätte", "東京", "b", "c"], axis=1)
    frame["Stätte"] = ["Łódź", "Zürich"] * (len(frame) // 2)
    frame.to_csv(tmp_path / "a.csv", index=False)
    line = [sys.executable, "-c", "from sourcewise.cli import main; main()", "compare", "a.csv"]
    line += ["--source", "Stätte", "--out", "run", *map(str, QUICK)]
    how = {"capture_output": True, "cwd": tmp_path}
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(line, env=os.environ | env, check=True, **how)
    out = done.stdout.decode(encoding)
    assert "within +-" in out if encoding == "ascii" else "within ±" in out
    assert "\\u0141" in out
    assert "東京" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_reader_that_goes_ends_quietly(tmp_path):
    code = "from sourcewise.cli import main; main()"
    line = f"{sys.executable} -c '{code}' families --json | head -c 1; "
    line += f"{sys.executable} -c '{code}' families | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=False)
    assert done.stderr == b""


def test_a_wrong_name_is_compared_with_some_names_only():
    every = ["z" * 900 + str(i) for i in range(20_000)] + [f"column {i}" for i in range(20_000)]
    assert len(str(unknown("column", "y" * 5000, every))) < 2100
    assert "did you mean 'height'?" in str(unknown("column", "heigth", ["height", *every]))


def test_messages_are_not_longer_than_a_screen():
    assert len(str(InputError("a" * 10**6))) < 2100
    assert visible("a\tb") == "a\\tb"


def wide_csv(path: Path, header: str, row: str) -> Path:
    path.write_text(header + "\n" + row * 4)
    return path


def test_more_columns_than_the_limit_are_refused_by_all_readers(tmp_path):
    n = MOST_COLUMNS + 1
    told = rf"{n}.* columns \(at most {MOST_COLUMNS}\)"
    frame = pd.DataFrame(np.zeros((2, n)), columns=[f"c{i}" for i in range(n)])
    frame.to_parquet(tmp_path / "a.parquet")
    path = wide_csv(tmp_path / "a.csv", ",".join(["a"] * n), ",".join(["1"] * n) + "\n")
    for data in (path, tmp_path / "a.parquet", frame, (frame.to_numpy(), [0, 1])):
        with pytest.raises(InputError, match=told):
            sw.read(data)


def test_a_very_long_header_is_read_whole(tmp_path):
    wanted = [f"{'a long name ' * 10}{i}" for i in range(3000)]  # 360 kB
    row = ",".join(["1"] * 3000)
    path = wide_csv(tmp_path / "a.csv", ",".join(["source", *wanted]), f"a,{row}\nb,{row}\n")
    assert as_table(sw.read(path).x).names == tuple(wanted)


def test_names_beyond_the_limit_are_refused_by_all_readers(tmp_path):
    long = "n" * (LONGEST_NAME + 1)
    told = rf"{LONGEST_NAME + 1} characters \(at most {LONGEST_NAME}\)"
    header = wide_csv(tmp_path / "a.csv", f"source,{long}", "a,1\nb,2\n")
    source = wide_csv(tmp_path / "b.csv", "source,x", f"a,1\n{long},2\n")
    (tmp_path / "c.jsonl").write_text(json.dumps({"source": long, "text": "a"}) + "\n")
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 1)), y=[0, 1], names=np.array(["a", long]))
    frame = pd.DataFrame({"source": ["a", "b"], long: [1.0, 2.0]})
    every = [header, source, *(tmp_path / f for f in ("c.jsonl", "d.npz")), frame]
    for data in (*every, (np.zeros((2, 1)), [0, 1], ["a", long])):
        with pytest.raises(InputError, match=told):
            sw.read(data)


@pytest.mark.parametrize(("bad", "told"), [("a\0", "NUL"), ("a\ud800", "half a surrogate pair")])
def test_names_that_no_file_can_hold_are_refused(bad, told):
    with pytest.raises(InputError, match=told):
        sw.read((np.zeros((2, 1)), [0, 1], ["a", bad]))
    with pytest.raises(InputError, match=told):
        sw.read(pd.DataFrame([["a", 1.0], ["b", 2.0]], columns=pd.Index(["source", bad], object)))


def test_more_sources_than_the_limit_are_refused():
    y = np.arange(MOST_SOURCES + 1)
    for data in ((np.zeros((len(y), 1)), y), pd.DataFrame({"source": y, "x": 0.5})):
        with pytest.raises(InputError, match=rf"at most {MOST_SOURCES}"):
            sw.read(data)


def test_the_header_of_an_array_is_believed_before_its_memory_is_asked_for(tmp_path):
    """100 000 names of 200 000 characters would take 74 GiB."""
    members = {"x": np.zeros((2, 1)), "y": np.array([0, 1])}
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for key, array in members.items():
            content = io.BytesIO()
            np.save(content, array)
            file.writestr(f"{key}.npy", content.getvalue())
        content = io.BytesIO()
        header = {"descr": "<U200000", "fortran_order": False, "shape": (100_000,)}
        np.lib.format.write_array_header_1_0(content, header)
        file.writestr("names.npy", content.getvalue() + bytes(100))
    with pytest.raises(InputError, match="does not hold as many values as it says"):
        sw.read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", **members, names=np.array([f"{i}" for i in range(10_001)]))
    with pytest.raises(InputError, match=rf"10001 names \(at most {MOST_SOURCES}\)"):
        sw.read(tmp_path / "b.npz")


def test_huge_cells_rows_and_categories_are_refused(tmp_path):
    cell = wide_csv(tmp_path / "a.csv", "source,x", f"a,{'z' * 100_001}\nb,q\n")
    with pytest.raises(InputError, match=r"100001 characters \(at most 100000\): --ignore x"):
        sw.read(cell)
    row = wide_csv(tmp_path / "b.csv", "source,x", f"a,{'z' * (1 << 25)}\nb,q\n")
    with pytest.raises(InputError, match="a row is longer than 16 MiB"):
        sw.read(row)
    n = MOST_CATEGORIES + 1
    frame = pd.DataFrame({"source": np.arange(n) % 2, "my id": [f"id{i}" for i in range(n)]})
    with pytest.raises(InputError, match=f"{n} categories .*--ignore 'my id'"):
        sw.read(frame)


def test_a_header_in_quotes_may_spread_over_lines(tmp_path):
    text = 'source,"Weight\n(kg)","a\rb"\r\n' + 'a,1,2\r\nb,"3",4\r\n'
    (tmp_path / "a.csv").write_text(text, newline="")
    table = as_table(sw.read(tmp_path / "a.csv").x)
    assert table.names == ("Weight\n(kg)", "a\rb")
    assert table.columns["a\rb"].tolist() == [2.0, 4.0]
