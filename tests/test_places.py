"""Rows are named by where they stand in their file, whatever was left out before."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.places import Places
from sourcewise.readers import delimited
from sourcewise.screening.numeric import screen
from sourcewise.screening.options import Rules

DROP = Rules(missing="drop")
N = 60


def rows(value: str = "1000") -> list[str]:
    """A header and 60 rows; the last but one holds another value."""
    x, y = np.random.default_rng(0).normal(size=(2, N))
    values = [f"{v:.3f}" for v in x]
    values[N - 2] = value
    body = (f"{'ab'[i % 2]},{values[i]},{y[i]:.3f},n" for i in range(N))
    return ["source,x,y,note", *body]


def noted(path, **options) -> str:
    """The note of outliers."""
    found = screen(sw.read(path, ignore=["note"], **options), DROP).warnings
    return next(note for note in found if "so far out" in note)


MESSY = {
    "plain": (rows(), 60),
    "no last line end": (rows(), 60),
    "comments": (["# made by hand", "", *rows()], 62),
    "blank lines": ([*rows()[:9], "", ",,,", *rows()[9:]], 62),
    "totals": ([*rows()[:9], "Total,1,2,n", *rows()[9:]], 61),
    "gaps": ([*rows()[:9], "a,,3,n", "b,4,,n", *rows()[9:]], 62),
    "a cell of two lines": ([*rows()[:9], 'a,1,2,"p', 'q"', *rows()[9:]], 62),
}


@pytest.mark.parametrize("how", MESSY)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_an_outlier_is_named_by_its_line(tmp_path, how, name):
    lines, line = MESSY[how]
    text = "\n".join(lines) + "\n" * (how != "no last line end")
    assert text.splitlines()[line - 1].startswith("a,1000,")
    raw = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    assert f"'x' ({tmp_path / name}, line {line}, of 'a': 1000)" in noted(tmp_path / name)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_lines_are_counted_in_any_encoding(tmp_path, encoding):
    text = "\n".join(rows()).replace("a,", "ä,").replace("\n", "\r\n")
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    given = {"encoding": encoding} if encoding == "cp1252" else {}
    assert "a.csv, line 60, of 'ä': 1000" in noted(tmp_path / "a.csv", **given)


def test_other_refusals_of_rows_name_lines_too(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\n".join([rows()[0], ",,,", *rows("-7")[2:]]))
    with pytest.raises(sw.InputError, match=r"not above 0 \(first: .*a.csv, line 3, -"):
        sw.compare(sw.read(path, ignore=["note"]), log="x")
    path.write_text("\n".join([*rows()[:9], ",,,", *rows("1e+200")[9:]]))
    with pytest.raises(sw.InputError, match=r"above 1e\+100 \(first: .*a.csv, line 61\)"):
        sw.compare(sw.read(path, ignore=["note"]))


def test_rows_without_a_file_are_named_by_their_number_as_they_were_given():
    frame = pd.DataFrame(
        {"source": ["a", "b"] * 30, "x": np.random.default_rng(0).normal(size=60)}
    )
    frame.loc[[3, 5], "x"], frame.loc[58, "x"] = np.nan, 1000.0
    found = screen(sw.read(frame), DROP)
    assert found.dropped == 2
    assert any("'x' (row 59, of 'a': 1000)" in note for note in found.warnings)


def test_texts_are_named_by_their_line_pieces_by_that_of_the_whole(tmp_path):
    texts = ["ab", "abcd", "", "ac", "abc"]
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"source": "uv"[i % 2], "text": t}) for i, t in enumerate(texts)]
    path.write_text("\n\n".join(lines))
    data = sw.read(path)
    assert [data.places(i) for i in (0, 4)] == [f"{path}, line 1", f"{path}, line 9"]
    cut = sw.read(path, chunk=2)
    assert cut.places(2) == f"{path}, line 3"  # the second piece of the second text
    with pytest.raises(sw.InputError, match=f"^{path}, line 3 holds 4 symbols, not 2"):
        sw.compare(data, model="arm")


def test_places_follow_the_rows_that_are_taken():
    all_of = Places()
    some = all_of.take(torch.tensor([5, 1, 3]))
    assert [some(i) for i in range(3)] == ["row 6", "row 2", "row 4"]
    assert some.take(torch.tensor([False, True, True]))(1) == "row 4"
    assert all_of.take(torch.tensor([False, True]))(0) == "row 2"


def test_a_message_does_not_fail_for_want_of_a_file(tmp_path):
    """Nor is it read again for every place."""
    path = tmp_path / "a.csv"
    path.write_text("source,x\n\n" + "".join(f"s{i % 2},{i}\n" for i in range(5)))
    places = sw.read(path).places
    path.unlink()
    assert places(2) == f"{path}, row 3"


def test_places_are_found_in_one_pass(tmp_path, monkeypatch):
    path, passes = tmp_path / "a.csv", []
    path.write_text("source,x\n\n" + "".join(f"s{i % 2},{i}\n" for i in range(50)))
    places, records = sw.read(path).places, delimited._records
    monkeypatch.setattr(delimited, "_records", lambda *of: passes.append(1) or records(*of))
    assert [places(i) for i in range(50)] == [f"{path}, line {i + 3}" for i in range(50)]
    assert len(passes) == 1
