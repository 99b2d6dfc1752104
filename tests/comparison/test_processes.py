"""`compare` under torchrun: two processes give the result of one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sourcewise.files import read_json

pytestmark = pytest.mark.timeout(300)


def compare(data: Path, out: Path, processes: int) -> dict:
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone"]
        launch += ["--nproc-per-node", str(processes)]
    options = ["--model", "arm", "--seeds", "2", "--trials", "2", "--json", "--out", str(out)]
    for pair in ("embedding=2", "width=8", "depth=2", "passes=2", "check=5", "precision=float64"):
        options += ["--set", pair]
    command = [*launch, "-m", "sourcewise.cli", "compare", str(data), *options]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("schema_version") == 1
    return read_json(out / "result.json")


def test_two_processes_give_the_result_of_one(tmp_path: Path):
    random = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], (150, 90, 60))
    x = np.minimum(random.integers(0, 3, (300, 5)), y[:, None] + 1)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    one = compare(tmp_path / "data.npz", tmp_path / "one", 1)
    two = compare(tmp_path / "data.npz", tmp_path / "two", 2)
    assert [d["source"] for d in one["differences"]] == [d["source"] for d in two["differences"]]
    for a, b in zip(one["differences"], two["differences"], strict=True):
        assert a["difference"] == pytest.approx(b["difference"], rel=1e-6, abs=1e-9)
    for name, trials in one["search"].items():
        worth = [trial["validation"] for trial in trials]
        assert [t["validation"] for t in two["search"][name]] == pytest.approx(worth, rel=1e-9)
