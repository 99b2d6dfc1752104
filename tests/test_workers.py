"""`--workers`: the same result by several processes, and what becomes of it when one fails."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from sourcewise.files import read_tensors

OPTIONS = ["--model", "arm", "--strategies", "pooled,separate", "--seeds", "1"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A small file of codes from three sources."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (240, 4))
    frame = pd.DataFrame(codes, columns=list("abcd"))
    frame.insert(0, "site", np.repeat(["x", "y", "z"], 80))
    path = tmp_path_factory.mktemp("data") / "codes.csv"
    frame.to_csv(path, index=False)
    return path


def command(*more):
    return [sys.executable, "-m", "sourcewise.cli", *map(str, more)]


def compare(table, out, *more, updates=30):
    short = ["--set", f"updates={updates}", "--set", "passes=1", "--out", out]
    return command("compare", table, "--source", "site", *OPTIONS, *short, *more)


def run(words, **how):
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, **how)


def test_two_processes_find_what_one_finds(table, tmp_path):
    alone = run(compare(table, tmp_path / "one", "--json"))
    both = run(compare(table, tmp_path / "two", "--json", "--workers", "2"))
    assert (alone.returncode, both.returncode) == (0, 0), both.stderr
    one, two = json.loads(alone.stdout), json.loads(both.stdout)
    for a, b in zip(one["differences"], two["differences"], strict=True):
        assert a["difference"] == pytest.approx(b["difference"], abs=1e-5)
    assert one["verdict"]["per_source"] == two["verdict"]["per_source"]


def test_two_processes_find_the_same_labels_suspect(table, tmp_path):
    options = ["--source", "site", "--model", "arm", "--seeds", "1", "--folds", "2", "--json"]
    short = ["--set", "updates=30", "--set", "passes=1"]
    words = command("labels", table, *options, *short)
    alone = run([*words, "--out", str(tmp_path / "one")])
    both = run([*words, "--out", str(tmp_path / "two"), "--workers", "2"])
    assert (alone.returncode, both.returncode) == (0, 0), both.stderr
    one, two = json.loads(alone.stdout), json.loads(both.stdout)
    assert one["expected_wrong"] == pytest.approx(two["expected_wrong"], rel=1e-3)
    scores = [
        read_tensors(tmp_path / name / "scores.safetensors")["scores"] for name in ("one", "two")
    ]
    assert scores[0].shape == (1, 240, 3)
    torch.testing.assert_close(*scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--workers", "0"], "--workers must be a whole number from 1 to 1024, got 0"),
        (["--workers", "2", "--set", "width=-1"], "setting width"),
        (["--workers", "2", "--source", "nowhere"], "nowhere"),
    ],
)
def test_what_is_wrong_is_said_once(table, tmp_path, words, told):
    done = run(compare(table, tmp_path / "run", *words))
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert told in line


def test_a_study_that_shares_no_work_refuses_workers(tmp_path):
    done = run(command("reproduce", "fig1", "--workers", "2", "--out", tmp_path / "run"))
    assert done.returncode == 2
    assert done.stderr == "error: --workers 2: the work of fig1 is not shared by processes\n"


def children(pid):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    )
    return [int(word) for word in found.stdout.split()]


def eventually(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("how", ["a process dies", "it is asked to end"])
def test_a_run_that_ends_early_goes_on_later(table, tmp_path, how):
    long = ["--set", "patience=0", "--workers", "2", "--checkpoint", "0.1"]
    words = compare(table, tmp_path / "run", *long, updates=100_000)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    started = subprocess.Popen(words, **quiet)
    eventually(lambda: any((tmp_path / "run").rglob("checkpoint-*.json")))
    if how == "a process dies":
        os.kill(children(started.pid)[-1], signal.SIGKILL)
    else:
        started.terminate()
    _, told = started.communicate(timeout=120)
    assert "the same command goes on where this one stopped" in told.splitlines()[-1]
    assert started.returncode == (1 if how == "a process dies" else 128 + signal.SIGTERM)
    assert not children(started.pid)
    kept = sorted((tmp_path / "run").rglob("checkpoint-*.json"))
    again = subprocess.Popen(words, **quiet)
    eventually(lambda: sorted((tmp_path / "run").rglob("checkpoint-*.json")) > kept)
    again.terminate()
    again.communicate(timeout=120)
