"""A file that a user asks for goes where it may go, and nowhere else."""

import os

import pytest

from sourcewise.errors import InputError
from sourcewise.outputs import check_output
from sourcewise.run_folders import RunFolder


@pytest.fixture
def run(tmp_path):
    with RunFolder(tmp_path / "run", {"versions": {"sourcewise": "0.1.0"}}) as folder:
        (folder / "models").mkdir()
        return folder.path


@pytest.mark.parametrize(
    "name",
    ["config.yaml", "result.json", "models/pooled.csv", "models/../result.json", "manifest.json"],
)
def test_what_a_run_reads_back_is_not_overwritten(run, name):
    with pytest.raises(InputError, match="the run in .* keeps its own files there"):
        check_output(run / name)


@pytest.mark.parametrize("name", ["report.html", "scores.json", "../result.json"])
def test_beside_the_files_of_a_run_anything_may_go(run, name):
    check_output(run / name)


def test_a_link_into_a_run_is_the_same_place(run, tmp_path):
    (tmp_path / "link").symlink_to(run)
    with pytest.raises(InputError, match="keeps its own files"):
        check_output(tmp_path / "link" / "result.json")


def test_other_places_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "it is no file"),
        (tmp_path / "nowhere" / "a.csv", "there is no folder"),
        (tmp_path / "file" / "a.csv", "there is no folder"),
    ):
        with pytest.raises(InputError, match=message):
            check_output(path)
