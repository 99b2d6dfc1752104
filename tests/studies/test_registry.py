"""What holds of every study: a new one joins by a line of `SMALL`."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.studies.test_table1 import photographs

from sourcewise.files import read_json
from sourcewise.readers.read import read
from sourcewise.studies.registry import STUDIES
from sourcewise.studies.runner import plan_study

ARM = {"D": 4, "width": 8, "updates": 10, "seeds": 2, "n": 100}
SMALL = {
    "fig1": {
        "K_values": "2,40",
        "n_values": "40",
        "beta_values": "0.4",
        "n": 3,
        "seeds": 20,
        "spread_runs": 50,
    },
    "arm-K": ARM | {"values": "1,2"},
    "arm-n": ARM | {"values": "50,100"},
    "arm-D": ARM | {"values": "3,4"},
    "arm-search": {
        "candidates": "updates=2 width=10,updates=20 width=10",
        "places": "3/1000/10,3/3000/10",
    },
    "ebm": {
        "dimensions": "1",
        "samples": "50,100",
        "sources": "2",
        "embeddings": "2",
        "n": 100,
        "K": 2,
        "width": 4,
        "seeds": 2,
        "updates": 10,
    },
    "audit": {"repetitions": 2, "truth_samples": 2, "only": "normal-4x30-d3"},
    "best": {"repetitions": 2, "rows": 100, "scope": "these models", "only": "3x60-d2"},
    "advice": {"repetitions": 1, "only": "normal-4x30-d3", "most": 3},
    "jko": {"blocks": 2, "n": 200, "test": 100, "width": 4, "steps": 1, "updates": 20},
    "spfm": {
        "closed_rows": 50,
        "rows": 20,
        "draws": 4,
        "seeds": 2,
        "updates": 12,
        "passes": 1,
        "width": 8,
        "guidance": "1",
        "strategies": "pooled",
    },
    "spfm-images": {
        "rows": 8,
        "classes": 2,
        "draws": 2,
        "seeds": 1,
        "classifier_updates": 4,
        "updates": 12,
        "passes": 1,
        "width": 4,
        "guidance": "1",
    },
    "reflow": {
        "sets": "line,normals",
        "rectifications": 1,
        "steps": "1,2",
        "intervals": 4,
        "rows": 60,
        "draws": 40,
        "points": 20,
        "ways": 10,
        "updates": 8,
        "width": 4,
    },
    "samplers": {"steps": "2,3,4", "chain": "20,21,22"},
    "table1": {
        "hierarchy": str(Path(__file__).with_name("tree.csv")),
        "K": "2",
        "levels": "2",
        "rows": "8",
        "seeds": 1,
        "passes": 1,
        "updates": 4,
        "width": 4,
        "draws": 2,
        "features": "principal",
    },
    "crossing": {"repetitions": 2, "sizes": 3, "min_rows": 40, "largest": 40},
}
DATA = {"crossing": lambda: read("wine"), "table1": photographs, "spfm-images": photographs}
SHORT_TRIALS = ("fig1", "arm-K", "ebm", "advice", "crossing", "spfm-images")


def planned(name):
    return plan_study(name, SMALL[name], DATA.get(name, lambda: None)())


@pytest.mark.parametrize("name", STUDIES)
def test_a_killed_run_goes_on_where_it_was(name, tmp_path):
    study, computed = planned(name), []
    grid = study.grid
    document, table = study.run(tmp_path / "whole")
    cells = list(dict.fromkeys(cell.name for cell in grid.cells))

    def dies(cell, *more):
        if cell.name == cells[1]:
            raise KeyboardInterrupt
        return grid.compute(cell, *more)

    with pytest.raises(KeyboardInterrupt):
        replace(study, grid=replace(grid, compute=dies)).run(tmp_path / "run")
    kept = tmp_path / "run" / "cells"
    assert [path for path in kept.rglob("*") if path.is_file()] == [kept / f"{cells[0]}.json"]

    def counted(cell, *more):
        computed.append(cell.name)
        return grid.compute(cell, *more)

    study = replace(study, grid=replace(grid, compute=counted))
    again, text = study.run(tmp_path / "run")
    assert computed == cells[1:]
    assert text == table
    both = [{**one, "seconds": None, "run": None} for one in (document, again)]
    assert both[0] == both[1]
    assert study.run(tmp_path / "run") == (again, table)
    assert computed == cells[1:]


@pytest.mark.parametrize("name", STUDIES)
def test_a_run_writes_what_it_says_and_another_takes_its_place(name, tmp_path):
    study, reports = planned(name), []
    document, table = study.run(tmp_path, progress=lambda *pair: reports.append(pair))
    assert document["name"] == name
    assert document["settings"]
    assert document["cells"]
    assert document["seconds"] > 0
    assert document["run"] == str(tmp_path)
    assert read_json(tmp_path / "result.json") == document
    assert (tmp_path / "table.txt").read_text() == table
    shares = [done / total for done, total in reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    said = yaml.safe_load((tmp_path / "config.yaml").read_text())["content"]
    written = {path.name for path in tmp_path.iterdir()} - {"config.yaml"}
    assert written == set(said) - {"cells"}
    (tmp_path / "notes.txt").write_text("not a run's")
    other = "fig1" if name != "fig1" else "arm-K"
    planned(other).run(tmp_path, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.yaml", "notes.txt", "result.json", "table.txt", f"{other}.png", f"{other}.svg",
        "manifest.json",
    }  # fmt: skip


@pytest.mark.parametrize("name", SHORT_TRIALS)
def test_a_dry_run_can_tell_the_time(name):
    assert 0 < planned(name).estimate() < 600


def test_the_time_of_a_search_counts_its_finalists():
    one, two = (SMALL["arm-search"] | {"finalists": n} for n in (0, 1))
    grids = [plan_study("arm-search", values).grid for values in (one, two)]
    assert [len(grid.later({})) for grid in grids] == [0, 15]


def test_listing_the_studies_is_light():
    code = (
        "import sys; import sourcewise.studies.registry\n"
        "print({'torch', 'numpy', 'pydantic', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_docs_list_all_studies():
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text()
    for study in STUDIES.values():
        assert f"| `{study.name}` | {study.about} |" in page
