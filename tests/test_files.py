import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from sourcewise.errors import InputError
from sourcewise.files import (
    RunFolder,
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


def test_a_finished_run_is_whole_or_names_what_changed(tmp_path):
    with RunFolder(tmp_path / "run", OURS) as run:
        assert run.changed() == ""
        (run / "models").mkdir()
        write_json(run / "models" / "a.json", {"a": 1})
        write_json(run / "result.json", {"b": 2})
        run.finish(["models", "result.json"])
        assert run.changed() is None
        (run / "models" / "a.json").unlink()
        assert run.changed() == "models/a.json"
        write_json(run / "models" / "a.json", {"a": 3})
        assert run.changed() == "models/a.json"
        (run / "manifest.json").write_text("{}")
        assert run.changed() == "manifest.json"


def test_no_run_writes_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    _enter(tmp_path / "run", {})
    (tmp_path / "run" / "cells").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="run/cells is a link"):
        _enter(tmp_path / "run", {})


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


OURS = {"versions": {"sourcewise": "0.1.0"}}


def _enter(path: Path, config: dict, overwrite: bool = False) -> None:
    with RunFolder(path, config | OURS, overwrite):
        pass


def test_a_run_folder_is_resumed_by_the_same_run_only(tmp_path):
    run = tmp_path / "deep" / "run"
    _enter(run, {"settings": {"seed": 0}, "pair": (1, 2)})
    for name in ("results.csv", "notes.txt"):
        (run / name).write_text("kept")
    _enter(run, {"settings": {"seed": 0}, "pair": (1, 2)})
    assert (run / "results.csv").exists()
    with pytest.raises(InputError, match=r"another run \(settings.seed differ\)"):
        _enter(run, {"settings": {"seed": 1}, "pair": (1, 2)})
    assert (run / "results.csv").exists()
    _enter(run, {"settings": {"seed": 1}, "pair": (1, 2)}, overwrite=True)
    assert not (run / "results.csv").exists()
    assert (run / "notes.txt").exists()  # not ours to remove
    assert yaml.safe_load((run / "config.yaml").read_text())["settings"] == {"seed": 1}


def test_a_run_of_another_kind_is_cleared_by_its_own_list(tmp_path):
    """What the folder's run writes goes; a file that only the new run would write was not its."""
    mine, theirs = ("cells", "mine.png"), ("parts", "theirs.csv")
    with RunFolder(tmp_path, OURS | {"study": "theirs"}, content=theirs):
        (tmp_path / "parts").mkdir()
        (tmp_path / "parts" / "a.json").write_text("")
        for name in ("theirs.csv", "mine.png", "results.csv"):
            (tmp_path / name).write_text("")
    with RunFolder(tmp_path, OURS | {"study": "mine"}, overwrite=True, content=mine):
        assert {path.name for path in tmp_path.iterdir()} == {
            "config.yaml", "mine.png", "results.csv",
        }  # fmt: skip
    _enter(tmp_path, {"study": "theirs"}, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "results.csv"}


def test_a_run_that_says_nothing_of_its_files_is_a_comparison(tmp_path):
    """As versions before wrote it."""
    (tmp_path / "config.yaml").write_text("versions: {sourcewise: 0.1.0}\n")
    for name in ("results.csv", "fig1.png"):
        (tmp_path / name).write_text("")
    with RunFolder(tmp_path, OURS, content=["fig1.png"]):  # the same run: it is taken up
        assert (tmp_path / "results.csv").exists()
    (tmp_path / "config.yaml").write_text("versions: {sourcewise: 0.1.0}\n")
    _enter(tmp_path, {"seed": 1}, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "fig1.png"}


@pytest.mark.parametrize("names", ["['../thesis.tex', /, '.', '', 3, [a]]", "thesis.tex", "7"])
def test_nothing_outside_the_folder_is_ever_removed(tmp_path, names):
    (tmp_path / "thesis.tex").write_text("years of work")
    run = tmp_path / "run"
    run.mkdir()
    (run / "thesis.tex").write_text("more")
    (run / "config.yaml").write_text(f"versions: {{sourcewise: 0.1.0}}\ncontent: {names}\n")
    _enter(run, {"seed": 1}, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert (run / "thesis.tex").read_text() == "more"


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "model.json").write_text("")
    _enter(tmp_path / "run", {})
    (tmp_path / "run" / "models").symlink_to(elsewhere)
    _enter(tmp_path / "run", {"seed": 1}, overwrite=True)
    assert not (tmp_path / "run" / "models").exists()
    assert (elsewhere / "model.json").exists()


def test_what_a_killed_process_left_is_removed(tmp_path):
    run = tmp_path / "run"
    _enter(run, {})
    (run / "models").mkdir()
    left = [run / ".result.json.x1.partial", run / "models" / ".model.json.x2.partial"]
    for path in left:
        path.write_text("half")
    _enter(run, {})
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize(
    "config", [None, "theme: material\n", "- a list\n", "versions: 3\n", "versions: {torch: 2}\n"]
)
def test_a_folder_that_is_no_run_is_never_touched(tmp_path, config):
    """Not even one with a config.yaml of its own, or with files named like our partial ones."""
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / ".download.partial").write_text("half")
    if config:
        (tmp_path / "config.yaml").write_text(config)
    for overwrite in (False, True):
        with pytest.raises(InputError, match="not empty and holds no run"):
            _enter(tmp_path, {}, overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / ".download.partial").exists()


def test_a_run_folder_is_held_by_one_process(tmp_path):
    with RunFolder(tmp_path / "run", OURS), pytest.raises(InputError, match="in use"):
        _enter(tmp_path / "run", {})
    _enter(tmp_path / "run", {})


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the run folder"):
        _enter(tmp_path / "file" / "run", {})


def test_a_damaged_configuration_is_no_run(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe: [")
    with pytest.raises(InputError, match="holds no run"):
        _enter(tmp_path, {"seed": 0})


def test_a_run_is_discarded_with_its_folder_unless_something_else_is_there(tmp_path):
    for name, kept in (("one", False), ("two", True)):
        with RunFolder(tmp_path / name, OURS) as folder:
            (folder / "cells").mkdir()
            if kept:
                (folder / "notes.txt").write_text("")
            folder.discard()
        assert (tmp_path / name).exists() == kept


def test_plain_keeps_what_json_has():
    assert plain({1: {"a": {2, 3} & {2}}, "b": None}) == {"1": {"a": [2]}, "b": None}
