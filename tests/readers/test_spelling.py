"""The same words in several spellings: all are kept, and each difference is one note."""

import unicodedata

import numpy as np
import pandas as pd
import pytest

import sourcewise as sw
from sourcewise.forms import Ragged

NFD = unicodedata.normalize("NFD", "Zürich")


def rows(*names):
    return pd.DataFrame({"source": names, "x": np.arange(len(names), dtype=float)})


def as_frame(tmp_path, names):
    return rows(*names)


def as_csv(tmp_path, names):
    rows(*names).to_csv(tmp_path / "a.csv", index=False)
    return tmp_path / "a.csv"


def as_arrays(tmp_path, names):
    return np.arange(len(names), dtype=float)[:, None], np.array(names)


def as_folder(tmp_path, names):
    for i, name in enumerate(names):
        (tmp_path / "f" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / name / f"{i}.txt").write_text(f"text {i}")
    return tmp_path / "f"


@pytest.mark.parametrize("way", [as_frame, as_csv, as_arrays, as_folder])
def test_names_that_look_alike_are_pointed_out_with_their_rows(tmp_path, way):
    data = sw.read(way(tmp_path, ["Site A", "site a ", "Site A", "B", "Site  A"]))
    assert len(data.names) == 4  # nothing is changed
    (note,) = data.notes
    assert "'Site A' (2 rows)" in note
    assert "'site a ' (1 row)" in note
    assert "'Site  A' (1 row)" in note
    assert note.endswith("normal form: if they are one, give them one name")


def test_names_that_look_the_same_are_shown_apart():
    (note,) = sw.read(rows("Zürich", NFD)).notes
    assert r"'Zu\u0308rich' (1 row) and 'Z\xfcrich' (1 row)" in note or (
        r"'Z\xfcrich' (1 row) and 'Zu\u0308rich' (1 row)" in note
    )


def test_the_note_is_said_once_though_data_are_read_again():
    assert len(sw.read(sw.read(rows("a", "A"))).notes) == 1


@pytest.mark.parametrize("names", [["a", "b"], ["a1", "a 1"], ["ss", "s"]])
def test_other_names_raise_no_note(names):
    assert sw.read(rows(*names)).notes == ()


def texts(a, b):
    return pd.DataFrame({"source": ["a"] * len(a) + ["b"] * len(b), "text": [*a, *b]})


def test_normal_forms_that_differ_are_told_with_their_sources():
    data = sw.read(texts(["Zürich", "Bonn"], [NFD, NFD, "Ulm"]))
    assert isinstance(data.x, Ragged)
    assert data.x.strings() == ["Zürich", "Bonn", NFD, NFD, "Ulm"]
    assert data.notes == (
        "Unicode normal forms differ: composed (NFC) in 'a' (1 of 2 texts), decomposed (NFD) in "
        "'b' (2 of 3 texts): models can tell sources apart by that; make them one, as by "
        "unicodedata.normalize('NFC', text)",
    )
    assert sw.read(texts(["Zürich"], ["Köln"])).notes == ()
    assert sw.read(texts([NFD], [NFD])).notes == ()


def test_line_ends_inside_texts_that_differ_are_told():
    (note,) = sw.read(texts(["p\r\nq", "r"], ["s\nt"])).notes
    assert note.startswith(
        r"line ends differ: \r\n in 'a' (1 of 2 texts), \n in 'b' (1 of 1 text)"
    )
    assert sw.read(texts(["p\nq"], ["s\nt"])).notes == ()


def test_line_ends_of_files_that_differ_are_told(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"p\r\nq\r\n")
    (tmp_path / "b.txt").write_bytes(b"p\nq\n")
    data = sw.read(tmp_path)
    (note,) = data.notes
    assert note.startswith(r"line ends differ: \r\n in 'a' (1 of 1 file), \n in 'b' (1 of 1 file)")
    assert note.endswith(r": all are read as \n")


def test_text_that_was_decoded_wrongly_is_told():
    broken = [word.encode().decode("cp1252") for word in ("thé", "père", "fête")]
    (note,) = sw.read(texts(broken, ["thé", "Ångström", "naïve"])).notes
    assert note.startswith("UTF-8 was once read as cp1252 (Ã© for é) in 'a' (3 of 3 texts)")


def test_categories_in_two_forms_are_told():
    frame = pd.DataFrame({"source": list("aabb"), "city": ["Zürich", "Bonn", NFD, "Bonn"]})
    (note,) = sw.read(frame).notes
    assert note.startswith("column 'city': ")
    assert r"'Zu\u0308rich'" in note
    assert r"'Z\xfcrich'" in note
