"""Training of one strategy: what is kept, and that it survives whatever happens to it."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.files import read_json, read_tensors
from sourcewise.fitting.run import Trained

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
ARM = {"embedding": 4, "width": 8, "depth": 2, "batch": 20, "passes": 2, "check": 3}


def weights(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in run.glob("models/*/*")}


def test_the_models_are_those_that_compare_keeps_of_all_rows(tmp_path):
    wine = sw.read("wine")
    sw.compare(wine, seeds=1, out=tmp_path / "compare", model="gaussian")
    for strategy in ("pooled", "separate"):
        trained = sw.train(wine, strategy=strategy, out=tmp_path / strategy)
        of_compare = {k: v for k, v in weights(tmp_path / "compare").items() if strategy in k}
        assert weights(tmp_path / strategy) == of_compare
        assert trained.models[strategy].model.names == wine.names


def test_a_result_tells_what_training_took(symbols, tmp_path):
    trained = sw.train(symbols, model="arm", strategy="separate", set=ARM, out=tmp_path / "run")
    document = trained.document
    assert document == read_json(tmp_path / "run" / "result.json")
    assert document["kind"] == "train"
    assert document["strategy"] == {"name": "separate", "blocks": [["a"], ["b"]]}
    for model in document["models"]:
        assert model["n_train"] + model["n_valid"] == 60
        assert model["examples_seen"] == 20 * model["updates"]
        assert model["validation"] > 0
        assert model["how"] == "gradient, 2 models at once, stopped by 3 splits"
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert log[0].startswith("block,update,examples_seen,loss,validation")
    assert {line.split(",")[0] for line in log[1:]} == {"a", "b"}
    assert not (tmp_path / "run" / "training").exists()
    again = sw.load(tmp_path / "run")
    assert isinstance(again, Trained)
    assert str(again) == str(trained)
    for key, value in trained.models["separate"].model.state_dict().items():
        assert torch.equal(value, again.models["separate"].model.state_dict()[key])


def test_fine_tuned_tells_of_the_pooled_training_too(symbols, tmp_path):
    run = tmp_path / "run"
    trained = sw.train(symbols, model="arm", strategy="fine-tuned", set=ARM, out=run)
    log = [line.split(",") for line in (run / "log.csv").read_text().splitlines()[1:]]
    assert list(dict.fromkeys(line[0] for line in log)) == ["a+b", "a", "b"]
    first = max(int(line[2]) for line in log if line[0] == "a+b")
    pooled = sw.train(symbols, model="arm", set=ARM).document["models"][0]
    assert pooled["examples_seen"] == first
    for model in trained.document["models"]:
        own = max(int(line[2]) for line in log if [line[0]] == model["sources"])
        assert model["examples_seen"] == first + own
        assert model["how"].endswith(f"from weights after {pooled['updates']} updates")
        assert model["seconds"] >= max(float(line[-1]) for line in log if line[0] == "a+b")
    again = sw.load(run)
    assert isinstance(again, Trained)
    assert str(again) == str(trained)


def test_one_source_and_groups(symbols):
    one = sw.Sources(symbols.of("a").x, torch.zeros(60), ("a",))
    alone = sw.train(one, model="arm", set=ARM)
    assert [model["sources"] for model in alone.document["models"]] == [["a"]]
    grouped = sw.train(sw.read("wine"), strategy="groups:class_0+class_2")
    blocks = [model["sources"] for model in grouped.document["models"]]
    assert blocks == [["class_0", "class_2"], ["class_1"]]
    for model in grouped.document["models"]:
        assert model["validation"] is None
        assert model["validation_reason"] == "there are no validation rows"


@pytest.mark.parametrize("strategy", ["pooled,separate", "shuffled", ""])
def test_one_strategy_at_a_time(strategy):
    with pytest.raises(InputError, match="train takes one of pooled, separate"):
        sw.train(sw.read("wine"), strategy=strategy)


def test_another_run_in_the_folder_is_kept_unless_overwritten(tmp_path):
    wine, run = sw.read("wine"), tmp_path / "run"
    sw.train(wine, out=run)
    before = weights(run)
    with pytest.raises(InputError, match="holds another run .settings.set.covariance differ"):
        sw.train(wine, set={"covariance": "diagonal"}, out=run)
    assert weights(run) == before
    sw.train(wine, set={"covariance": "diagonal"}, out=run, overwrite=True)
    assert weights(run) != before


def start(*arguments: object, limit: int | None = None) -> subprocess.Popen:
    def small_files() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-m", "sourcewise.cli", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=small_files,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    _, err = process.communicate(timeout=240)
    return process.returncode, err


@pytest.fixture
def data(symbols, tmp_path) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, x=symbols.x.numpy(), y=symbols.y.numpy(), names=np.array(symbols.names))
    return path


LONG = ("--model", "arm", "--strategy", "separate", "--set", "updates=300", "--set", "batch=10",
        "--set", "check=5", "--checkpoint", "0", "--set", "patience=0")  # fmt: skip


@pytest.mark.parametrize("strategy", ["separate", "fine-tuned"])
def test_killed_at_random_moments_it_ends_in_the_same_bytes(data, tmp_path, strategy):
    options = [*LONG, "--strategy", strategy]  # the last one counts
    assert finish(start("train", data, *options, "--out", tmp_path / "whole"))[0] == 0
    killed, training = tmp_path / "killed", tmp_path / "killed" / "training"
    steps = sorted(np.random.default_rng().integers(5, 250, size=2).tolist())
    for step in steps:
        process = start("train", data, *options, "--out", killed)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            names = [path.stem for path in training.rglob("checkpoint-*.json")]
            if any(int(name.removeprefix("checkpoint-")) >= step for name in names):
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        assert finish(process)[0] == -signal.SIGKILL
        with pytest.raises(InputError, match="is not finished"):
            sw.sample(killed)
    assert finish(start("train", data, *options, "--out", killed)) == (0, "")
    assert weights(killed) == weights(tmp_path / "whole")
    assert not list(killed.rglob(".*"))
    assert not training.exists()


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(data, tmp_path):
    """No file may grow beyond a limit, as on a disk with little room left."""
    code, err = finish(start("train", data, *LONG, "--out", tmp_path / "run", limit=10_000))
    assert (code, len(err.splitlines())) == (1, 1)
    assert err.startswith(f"failed: cannot write {tmp_path}/run/training/")
    assert "File too large; once that is mended, the same command goes on" in err
    assert not list((tmp_path / "run").rglob(".*.partial"))
    assert not (tmp_path / "run" / "result.json").exists()
    assert finish(start("train", data, *LONG, "--out", tmp_path / "run")) == (0, "")


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "log.csv", "result.json"])
def test_no_room_for_any_of_the_files(symbols, tmp_path, monkeypatch, name):
    from sourcewise import files

    write = files._write_aside

    def full(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
        if path.name == name and "training" not in path.parts:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, fill)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(files, "_write_aside", full)
        with pytest.raises(OSError, match=f"No space left on device: .*{name}"):
            sw.train(symbols, model="arm", set=ARM, out=run)
    with pytest.raises(InputError, match="is not finished"):
        sw.load(run)
    resumed = sw.train(symbols, model="arm", set=ARM, out=run)
    assert resumed.document["models"][0]["updates"] > 0
    sw.train(symbols, model="arm", set=ARM, out=tmp_path / "whole")
    assert weights(run) == weights(tmp_path / "whole")


@pytest.mark.parametrize("strategy", ["pooled", "separate"])
def test_two_processes_train_what_one_does(data, tmp_path, strategy):
    options = [
        "train",
        data,
        "--model",
        "arm",
        "--strategy",
        strategy,
        "--set",
        "precision=float64",
    ]
    options += ["--set", "check=5", "--set", "batch=33", "--checkpoint", "0", "--json"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    assert finish(start(*options, "--out", tmp_path / "one"))[0] == 0
    outputs = []
    for _ in range(2):  # the second time, all know that it is finished
        command = [*launch, "2", "-m", "sourcewise.cli", *options, "--out", tmp_path / "two"]
        done = subprocess.run(
            list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr[-2000:]
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1] == outputs[0].splitlines()[0] + "\n"  # one document, by one
    paths = [
        path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.safetensors")
    ]
    assert len(paths) == 2
    for path in paths:
        one, two = (read_tensors(tmp_path / run / path) for run in ("one", "two"))
        for name, value in one.items():
            assert torch.allclose(value, two[name], rtol=1e-9, atol=1e-12), (path, name)
    assert not (tmp_path / "two" / "training").exists()


ENERGY = {
    "embedding": 2,
    "width": 8,
    "batch": 20,
    "updates": 20,
    "passes": 1,
    "check": 5,
    "negatives": 4,
    "temperatures": 10,
    "particles": 16,
}


def test_losses_are_called_what_they_are(symbols, box):
    likelihood = "minus log-likelihood of rows as encoded for training, nats per row"
    trained = sw.train(symbols, model="arm", set=ARM)
    assert trained.document["validated_by"] == likelihood
    assert sw.train(sw.read("wine")).document["validated_by"] is None
    trained = sw.train(box, model="energy", set=ENERGY)
    told = "noise-contrastive loss in nats (1.61 where the row is not told from 4 points"
    assert trained.document["validated_by"].startswith(told)
    assert "loss: of the validation rows (valid) under the weights kept; noise-c" in str(trained)


def test_simulated_normalisers_are_shown_in_every_step(box):
    trained = sw.train(box, model="energy", set=ENERGY)
    assert trained.document["resolved"]["normaliser"] == "annealed importance sampling"
    shown = str(trained)
    assert "pooled: objective nce, normaliser annealed importance sampling" in shown
    assert "pooled: annealing error " in shown
    (told,) = (w for w in trained.document["warnings"] if w.startswith("normalisers come"))
    assert "overstates log-likelihoods in expectation, by at most about " in told
    assert "nats (pooled)" in told
    assert "--set temperatures=" in told
    assert "intervals" not in told  # there are none
    drawn = sw.sample(trained, n=1)
    assert drawn.document["resolved"]["sampler"] == "hmc"
    assert "sampler hmc" in str(drawn)


def test_training_that_ended_too_early_is_told_of():
    """The option that is advised makes more updates."""
    wine = sw.read("wine", columns=["alcohol", "ash"])
    short = {"updates": 40, "passes": 1}
    trained = sw.train(wine, model="energy", strategy="separate", set=short)
    assert all(m["best"] == m["updates"] for m in trained.document["models"])
    (told,) = (w for w in trained.document["warnings"] if "still improving" in w)
    assert told.endswith("train longer with --set updates=80")
    longer = sw.train(wine, model="energy", strategy="separate", set=short | {"updates": 80})
    assert all(m["updates"] == 80 for m in longer.document["models"])
    stopped = sw.train(wine, model="energy", strategy="pooled", set={"patience": 0.01})
    assert all(m["best"] < m["updates"] for m in stopped.document["models"])
    assert not any("still improving" in w for w in stopped.document["warnings"])
