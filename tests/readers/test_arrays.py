"""Arrays in every form that programs hand over: taken for what they are, or refused by name."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sparse
import torch

import sourcewise as sw
from sourcewise.forms import Images
from sourcewise.lifecycle.sample_files import write_samples

X = np.array([[1.0, 2.5], [3.0, -4.0], [5.0, 6.0]])
Y = np.array([0, 1, 1])


def matrix(data):
    assert isinstance(data.x, torch.Tensor)
    return data.x.tolist()


FORMS = {
    "lists": X.tolist(),
    "objects": X.astype(object),
    "a sparse matrix": sparse.csr_matrix(X),
    "a sparse array": sparse.coo_array(X),
    "a sparse tensor": torch.tensor(X).to_sparse(),
    "a tensor with gradients": torch.tensor(X, requires_grad=True),
    "a frame": pd.DataFrame(X),
    "a nullable frame": pd.DataFrame(X).convert_dtypes(),
    "a masked array without masks": np.ma.masked_array(X),
    "columns first": np.asfortranarray(X),
    "big endian": X.astype(">f8"),
    "short floats": X.astype(np.float16),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_matrix_in_many_forms(form):
    data = sw.read((FORMS[form], Y))
    assert matrix(data) == X.tolist()
    assert data.fingerprint() == sw.read((X, Y)).fingerprint()


def test_masked_values_are_missing():
    masked = np.ma.masked_array([[1, -9999], [2, 3]], mask=[[False, True], [False, False]])
    found = matrix(sw.read((masked, [0, 1])))
    assert found[1] == [2, 3]
    assert found[0][0] == 1
    assert np.isnan(found[0][1])
    with pytest.raises(sw.InputError, match="y is empty in 1 row .first: row 2"):
        sw.read((X, np.ma.masked_array(Y, mask=[False, True, False])))
    gaps = sw.read((pd.DataFrame({"a": pd.array([None, 1.5], "Float64")}), [0, 1]))
    assert np.isnan(matrix(gaps)[0][0])


LABELS = {
    "(n, 1)": (Y[:, None], ("0", "1")),
    "objects": (np.array(["b", "a", "a"], dtype=object), ("a", "b")),
    "whole objects": (np.array([10, 9, 9], dtype=object), ("9", "10")),
    "categories": (pd.Series(["b", "a", "a"], dtype="category"), ("a", "b")),
    "above 2^53": (np.array([2**60, 2**60 + 1, 2**60]), (str(2**60), str(2**60 + 1))),
    "above 2^63": ([2**70, 2**70 + 1, 2**70], (str(2**70), str(2**70 + 1))),
    "lists that NumPy rounds": ([2**63, -1, -1], ("-1", str(2**63))),
    "unsigned": (np.array([2**64 - 1, 0, 0], np.uint64), ("0", str(2**64 - 1))),
    "1 and True": (np.array([1, True, True], dtype=object), ("1", "True")),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_in_many_forms(form):
    labels, names = LABELS[form]
    assert sw.read((X, labels)).names == names


WRONG_LABELS = [
    (np.array([1, "1", "1"], dtype=object), "y holds 1 and '1': are they one"),
    (np.array([1, 1.0, 2], dtype=object), r"y holds 1 and 1.0: are they one"),
    (np.array(["a", None, "b"], dtype=object), "y is empty in 1 row .first: row 2"),
    (np.array([{1}, "a", "a"], dtype=object), r"numbers or text, not of objects \(set\)"),
    (np.array([b"a", b"b", b"b"]), "not of bytes: y.astype"),
    (np.array(["2024"] * 3, "M8[D]"), "not of dates"),
    (np.array([1j, 2, 2]), "not of complex numbers"),
    (np.eye(3), r"x has shape .3, 2. and y .3, 3.: y needs one entry per row"),
]


@pytest.mark.parametrize(("labels", "message"), WRONG_LABELS)
def test_labels_that_name_no_source_are_refused(labels, message):
    with pytest.raises(sw.InputError, match=message) as caught:
        sw.read((X, labels))
    assert "\n" not in str(caught.value)


WRONG = {
    "complex numbers": X + 1j,
    "dates": np.full((3, 1), "2024", "M8[D]"),
    "durations": np.full((3, 1), 1, "m8[s]"),
    "bytes": np.full((3, 1), b"a"),
    "text": np.full((3, 1), "a"),
    "named fields": np.zeros(3, [("a", "f8"), ("b", "f8")]),
    "objects .str.": pd.DataFrame({"a": ["t"] * 3}),
    "objects .list.": np.array([[1], [2, 3], []], dtype=object),
    "objects .complex.": np.array([[1j], [2j], [3j]], dtype=object),
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_no_number_is_refused_by_name(words):
    with pytest.raises(sw.InputError, match=f"^x must be an array of numbers, not of {words}"):
        sw.read((WRONG[words], Y))


LARGE = {
    "negative": np.array([[1], [-(2**53) - 1], [3]]),
    "int64": np.array([[1], [2**53 + 1], [3]]),
    "uint64": np.array([[1], [2**63], [3]], np.uint64),
    "objects": np.array([[1.5], [2**70], [3]], dtype=object),
    "lists": [[0.5], [2**60 + 1], [3]],
    "masked": np.ma.masked_array([[1], [2**60 + 1], [3]], mask=[[True], [False], [False]]),
}


@pytest.mark.parametrize("form", LARGE)
def test_whole_numbers_are_never_rounded(form):
    with pytest.raises(sw.InputError, match=r"above 2\^53 .first: row 2.*a category") as caught:
        sw.read((LARGE[form], Y))
    assert "\n" not in str(caught.value)
    kept = sw.read((np.array([[2**53], [0], [-(2**53)]]), Y))
    assert matrix(kept) == [[2**53], [0], [-(2**53)]]


def test_in_files_too(tmp_path):
    np.savez(tmp_path / "a.npz", x=LARGE["int64"], y=Y)
    with pytest.raises(sw.InputError, match=r"above 2\^53"):
        sw.read(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_recorded_decimals_come_back_in_draws(tmp_path, kind):
    rng = np.random.default_rng(0)
    # A float16 records three digits.
    x = (rng.integers(100, 999, (120, 2)) / 100).astype(kind)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(120) % 2)
    data = sw.read(tmp_path / "a.npz")
    assert matrix(data) == np.round(x.astype(float), 2).tolist()
    assert data.fingerprint() == sw.read((x, np.arange(120) % 2)).fingerprint()
    drawn = sw.sample(sw.train(data, strategy="pooled", model="gaussian"), n=5)
    write_samples(drawn, tmp_path / "draws.csv")
    rows = (tmp_path / "draws.csv").read_text().splitlines()[1:]
    assert all(len(cell.partition(".")[2]) <= 2 for row in rows for cell in row.split(",")[1:])


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.random.default_rng(0).random((6, 4, 5)), "20 columns of numbers, not as images, "),
        (np.zeros((6, 3, 4, 5), np.float32), "60 columns of numbers, not as images, which are by"),
        (np.full((6, 4, 5), 2.5), "'uint8') makes them so, if its values are whole numbers from"),
        (np.zeros((6, 4, 5), np.int64), ": x.astype('uint8') makes them so, if its values"),
        (np.zeros((6, 2, 2, 2, 2)), "(6, 2, 2, 2, 2) and is read as 16 columns of numbers"),
    ],
    ids=["shares", "channels", "other values", "whole numbers", "more axes"],
)
def test_arrays_of_several_axes_that_are_no_bytes_are_told_to_be_columns(tmp_path, x, told):
    y = np.arange(6) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y)
    for data in (sw.read((x, y)), sw.read(tmp_path / "a.npz")):
        assert told in data.notes[0]
        assert len(data.notes) == 1


def test_shares_become_images_as_the_note_says():
    x, y = np.random.default_rng(0).random((6, 4, 5)), np.arange(6) % 2
    assert "(255 * x).round().astype('uint8')" in sw.read((x, y)).notes[0]
    images = sw.read(((255 * x).round().astype("uint8"), y))
    assert isinstance(images.x, Images)
    assert images.notes == ()


def test_pictures_stay_short():
    data = sw.read((np.zeros((3, 1, 2, 2), np.float32), Y))
    assert isinstance(data.x, torch.Tensor)
    assert data.x.dtype == torch.float32


def test_sparse_matrices_that_fill_the_memory_are_refused():
    with pytest.raises(sw.InputError, match="x is sparse and takes 7451 GiB"):
        sw.read((sparse.csr_matrix((10**6, 10**6)), np.zeros(10**6)))


def member(array=X):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def archive(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


WHOLE = {"x": member(), "y": member(Y)}
LYING = {
    "does not hold as many values as it says": {"x": member()[:-8]},
    "as many values": {"x": member().replace(b"(3, 2), ", b"(99999,)")},
    "a.npz is damaged": {"x": b"\x93NUMPY\x01\x00\xff\xff{" + b"[" * 9000},
    "is damaged": {"x": b"\x93NUMPY\x09\x00"},
    "holds pickled objects": {"x": member(np.array([{}], dtype=object))},
    "10001 names": {"names": member(np.array(["a"] * 10001))},
    "text of 2000 characters": {"names": member(np.array(["a" * 2000]))},
}


@pytest.mark.parametrize("message", LYING)
def test_arrays_that_lie_are_refused_before_memory_is_spent(tmp_path, message):
    members = {**WHOLE, **LYING[message]}
    path = archive(tmp_path / "a.npz", members)
    with pytest.raises(sw.InputError, match=message) as caught:
        sw.read(path)
    assert "\n" not in str(caught.value)


def test_other_packings_and_passwords_are_refused(tmp_path):
    path = archive(tmp_path / "a.npz", WHOLE, zipfile.ZIP_BZIP2)
    with pytest.raises(sw.InputError, match="'x' is packed in a way that NumPy does not write"):
        sw.read(path)
    raw = bytearray(archive(tmp_path / "b.npz", WHOLE).read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 8] |= 1
    (tmp_path / "b.npz").write_bytes(raw)
    with pytest.raises(sw.InputError, match="'x' is encrypted"):
        sw.read(tmp_path / "b.npz")


def test_an_array_that_unpacks_to_more_than_it_can_is_refused(tmp_path):
    raw = bytearray(archive(tmp_path / "a.npz", WHOLE).read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 24 : at + 28] = (1 << 31).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(sw.InputError, match="larger than it can be"):
        sw.read(tmp_path / "a.npz")
