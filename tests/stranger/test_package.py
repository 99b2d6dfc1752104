"""A family and a metric of another package, found by entry points: its folder is all of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sourcewise as sw
from sourcewise import cli

PACKAGE = Path(__file__).parent / "package"
QUICK = {"updates": 40, "passes": 1, "batch": 64}


@pytest.fixture(autouse=True)
def installed(stranger):
    """Every test here finds the package."""


def frame(shift: float, n: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    site = np.repeat(["north", "south"], n)
    x = rng.normal(size=(2 * n, 2)) + shift * (site == "south")[:, None]
    return pd.DataFrame({"site": site, "a": x[:, 0], "b": 10 * x[:, 1]})


@pytest.fixture
def command(capsys, monkeypatch):
    """Run a command in this process; its output."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["sourcewise", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        assert not stop.value.code, err
        return out

    return run


def test_another_process_finds_it():
    paths = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    words = [sys.executable, "-m", "sourcewise.cli", "families"]
    assert "generator" in subprocess.run(words, env=env, capture_output=True, text=True).stdout


def test_all_verbs_take_it(command, tmp_path):
    data, run = tmp_path / "data.csv", tmp_path / "run"
    frame(0.5).to_csv(data, index=False)
    options = [f"--set={name}={value}" for name, value in QUICK.items()]
    options += ["--source", "site"]
    out = command("compare", data, "--model", "generator", *options, "--seeds", 2, "--out", run)
    assert "energy-score" in out
    assert "log-likelihood" not in out
    document = json.loads((run / "result.json").read_text())
    assert document["primary_metric"] == "energy_score"
    metric = document["metrics"]["energy_score"]
    assert metric["higher_is_better"] is False
    level = document["strategies"]["separate"]["macro"]["energy_score"]["mean"]
    assert metric["region"] == pytest.approx(0.02 * level)
    page = (run / "report.html").read_text()
    assert "energy-score" in page
    assert "log-likelihood" not in page
    assert "trained on all rows" not in command("report", run)
    drawn = tmp_path / "drawn.csv"
    command("sample", run, "-n", 5, "--out", drawn)
    assert list(pd.read_csv(drawn).columns) == ["site", "a", "b"]
    scores = json.loads(command("evaluate", run, data, "--json"))
    assert scores["primary_metric"] == "energy_score"
    trained = tmp_path / "trained"
    command("train", data, "--model", "generator", *options, "--out", trained)
    assert "generator" in command("families")
    assert "latent" in command("families", "generator")


def test_a_positive_difference_favours_the_strategy_whatever_the_direction():
    """Two far sources: one generator without enough room for both loses."""
    result = sw.compare(
        sw.read(frame(20.0), source="site"),
        model="generator",
        set=QUICK | {"updates": 150},
        strategies="pooled,separate,shuffled",
        seeds=2,
    )
    document = result.document
    levels = {
        name: s["macro"]["energy_score"]["mean"] for name, s in document["strategies"].items()
    }
    for row in document["differences"]:
        if row["source"] == "macro":
            gain = levels["separate"] - levels[row["strategy"]]
            assert row["difference"] == pytest.approx(gain)
    assert levels["shuffled"] > levels["separate"]
    rows = [row for row in document["differences"] if row["strategy"] == "shuffled"]
    assert all(row["difference"] < 0 for row in rows)


def test_it_is_resumed_and_repeated_to_the_bit(tmp_path):
    data = sw.read(frame(0.5), source="site")
    one, two = (sw.compare(data, model="generator", set=QUICK, seeds=1) for _ in range(2))
    assert one.document["differences"] == two.document["differences"]
