import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from sourcewise import files
from sourcewise.errors import InputError
from sourcewise.files import (
    plain,
    read_json,
    read_tensors,
    write_atomic,
    write_json,
    write_tensors,
)


def test_json_survives_and_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"x": float("nan"), "y": (1, 2.5, "é"), "z": float("inf")})
    assert read_json(tmp_path / "a.json") == {"x": None, "y": [1, 2.5, "é"], "z": None}


def test_tensors_survive_and_give_the_same_bytes(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.tensor([True])}
    for name in ("one", "two"):
        write_tensors(tmp_path / name, tensors)
    back = read_tensors(tmp_path / "one")
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "a.json").write_text('{"x": ')
    (tmp_path / "a.safetensors").write_bytes(b"\x08\x00\x00")
    for read, name in ((read_json, "a.json"), (read_tensors, "a.safetensors")):
        with pytest.raises(InputError, match=f"{name} is damaged"):
            read(tmp_path / name)
        with pytest.raises(InputError, match="no file"):
            read(tmp_path / "absent")


def _sealed(folder: Path) -> list[tuple[Path, Callable[[Path], object]]]:
    write_json(folder / "a.json", {"x": [1.5, "é"], "y": {"digest": "0" * 32}, "z": None})
    write_tensors(folder / "a.safetensors", {"b": torch.arange(5.0), "c": torch.tensor([True])})
    return [(folder / "a.json", read_json), (folder / "a.safetensors", read_tensors)]


def test_no_bit_changes_without_notice(tmp_path):
    for path, read in _sealed(tmp_path):
        whole = path.read_bytes()
        for place in range(8 * len(whole)):
            raw = bytearray(whole)
            raw[place // 8] ^= 1 << place % 8
            path.write_bytes(raw)
            with pytest.raises(InputError, match="is damaged"):
                read(path)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b"", lambda b: b + b" ", lambda b: b[::-1]]
)
def test_whatever_else_happens_to_a_file_is_noticed(tmp_path, damage):
    for path, read in _sealed(tmp_path):
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(InputError, match="is damaged"):
            read(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    """The system itself refuses to write past a limit, as it does when the disk is full."""
    target = tmp_path / "result.json"
    write_atomic(target, "old")
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from sourcewise.files import write_atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomic(Path(sys.argv[1]), 'x' * 100_000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "OSError" in done.stderr
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_plain_keeps_what_json_has():
    assert plain({1: {"a": {2, 3} & {2}}, "b": None}) == {"1": {"a": [2]}, "b": None}


KINDS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool, torch.uint8]
KINDS += [torch.int8, torch.int16, torch.int32, torch.int64]


def test_tensors_of_all_types_and_shapes_are_what_safetensors_reads(tmp_path):
    tensors = {
        f"{kind} {shape}": torch.arange(12).reshape(3, 4)[: shape[0], : shape[1]].T.to(kind)
        for kind in KINDS
        for shape in ((3, 4), (0, 4), (1, 3))
    }
    tensors |= {"one": torch.tensor(2.5), '"é\\': torch.ones(1, requires_grad=True)}
    write_tensors(tmp_path / "a", tensors)
    with safe_open(tmp_path / "a", "pt") as file:
        other = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for found in (read_tensors(tmp_path / "a"), other):
        assert found.keys() == tensors.keys()
        for name, value in tensors.items():
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value)


def test_offsets_go_beyond_what_four_bytes_hold(tmp_path):
    """As 80 averages of 119 million numbers have them: 38 GB, of which no byte is written."""
    n = 119_000_000
    head = files._header({f"{i:02d}": torch.empty(n, device="meta") for i in range(80)})
    path = tmp_path / "a"
    path.write_bytes(head)
    with path.open("r+b") as file:
        file.truncate(len(head) + 80 * 4 * n)  # a hole
    assert path.stat().st_size < files.MOST_OF_TENSORS
    assert files._layout(path)[-1] == ("79", "float32", [n])
    with path.open("r+b") as file:
        file.truncate(len(head) + 79 * 4 * n)
    with pytest.raises(InputError, match="a is damaged: Error while deserializing header"):
        read_tensors(path)


def test_the_limit_of_documents_is_not_that_of_tensors(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 1000)
    write_tensors(tmp_path / "a", {"x": torch.arange(1000)})
    assert torch.equal(read_tensors(tmp_path / "a")["x"], torch.arange(1000))
    write_json(tmp_path / "b", {"x": [0] * 1000})
    with pytest.raises(InputError, match=r"b is damaged: \d+ bytes \(at most 1000\)"):
        read_json(tmp_path / "b")
    with (tmp_path / "c").open("wb") as file:
        file.truncate(files.MOST_OF_TENSORS + 1)
    with pytest.raises(InputError, match=r"c is damaged: 274877906945 bytes \(at most"):
        read_tensors(tmp_path / "c")


def test_tensors_are_not_copied_to_be_written(tmp_path):
    """Memory beside them, as Python has it, is a part of what they take (torch has its own)."""
    tensors = {name: torch.ones(4_000_000) for name in "ab"}
    for work in (
        lambda: write_tensors(tmp_path / "a", tensors),
        lambda: read_tensors(tmp_path / "a"),
    ):
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2_000_000
