import os
from pathlib import Path

import pytest
import yaml

from sourcewise.errors import InputError
from sourcewise.files import write_json
from sourcewise.run_folders import RunFolder

OURS = {"versions": {"sourcewise": "0.1.0"}}


def _enter(path: Path, config: dict, overwrite: bool = False) -> None:
    with RunFolder(path, config | OURS, overwrite):
        pass


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


def test_a_run_is_discarded_with_its_folder_unless_something_else_is_there(tmp_path):
    for name, kept in (("one", False), ("two", True)):
        with RunFolder(tmp_path / name, OURS) as folder:
            (folder / "cells").mkdir()
            if kept:
                (folder / "notes.txt").write_text("")
            folder.discard()
        assert (tmp_path / name).exists() == kept


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe: [", "no UTF-8"),
        (b"", "it is empty"),
        (b"a: [1, 2", "line 1: expected"),
        (b"a: &x [1]\nb: [*x, *x]\n", "line 2: an alias"),
        (b"a: " + b"[" * 10000, "line 1: nested too deep"),
        (b"a: " + b"9" * 10000, "a number too long"),
        (b"a: " + b"x" * 5_000_000, "more than 4194304 bytes"),
    ],
)
def test_a_damaged_configuration_says_how_to_go_on(tmp_path, content, why):
    run = tmp_path / "a run"
    _enter(run, OURS)
    (run / "config.yaml").write_bytes(content)
    (run / "result.json").write_text("mine")
    with pytest.raises(InputError) as refused:
        _enter(run, OURS, overwrite=True)
    assert f"config.yaml is damaged ({why}" in str(refused.value)
    assert f"(mv '{run}' '{run}.damaged') and run the same command again" in str(refused.value)
    assert (run / "result.json").read_text() == "mine"
    os.rename(run, f"{run}.damaged")
    _enter(run, OURS)


def test_folders_that_were_made_for_a_run_that_cannot_be_go_with_it(tmp_path):
    with RunFolder(tmp_path / "runs" / "new" / "one", OURS) as folder:
        folder.discard()
    assert not (tmp_path / "runs").exists()
