"""Whatever a stranger puts into a run folder, sealed as we seal it: done, or one refusal."""

import json
import os
import random
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from sourcewise import cli, files
from sourcewise.files import file_digest, read_json, read_tensors, write_json, write_tensors

TABLE = ["--model", "table", "--set", "width=8", "--set", "layers=1", "--set", "updates=4"]
TABLE += ["--set", "passes=1", "--set", "batch=8"]
MADE = {"gaussian": ["--model", "gaussian"], "table": TABLE}
MUTATIONS = 40


@pytest.fixture(scope="module", params=MADE)
def run(request, tmp_path_factory):
    """A finished training, of which every test damages a copy."""
    folder, rng = tmp_path_factory.mktemp(request.param), np.random.default_rng(0)
    frame = pd.DataFrame({"source": ["a", "b"] * 20, "x": rng.normal(size=40).round(2)})
    frame["k"] = rng.choice(["u", "v"], 40) if request.param == "table" else rng.normal(size=40)
    frame.to_csv(folder / "data.csv", index=False)
    frame.iloc[:10].to_csv(folder / "new.csv", index=False)
    arguments = ["data.csv", *MADE[request.param], "--out", "run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(sys, "argv", ["sourcewise", "train", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert not stop.value.code
    return folder, ["train", *arguments]


@pytest.fixture
def command(run, tmp_path, monkeypatch, capsys):
    """A copy of the run as the working folder, and the exit code and words of a command there."""
    shutil.copytree(run[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def call(*arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sourcewise", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), capsys.readouterr().err

    return tmp_path, call


def sealed(path, document) -> None:
    """Write a document as it stands, NaN and all, and seal it; the run's manifest agrees."""
    whole, limit = {**document, files.DIGEST: files.ZEROS}, sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    raw = (json.dumps(whole) + "\n").encode()
    sys.set_int_max_str_digits(limit)
    path.write_bytes(files._sealed(raw))
    agreed(path)


def agreed(path) -> None:
    """Let the run's manifest know a file as it is."""
    folder = next(parent for parent in path.parents if (parent / "manifest.json").exists())
    manifest = read_json(folder / "manifest.json")
    manifest["files"][str(path.relative_to(folder))] = file_digest(path)
    write_json(folder / "manifest.json", manifest)


def places(value, at=()):
    """All places in a document, of long lists the first."""
    items = value.items() if isinstance(value, dict) else ()
    items = list(enumerate(value))[:3] if isinstance(value, list) else items
    for key, item in items:
        yield (*at, key)
        yield from places(item, (*at, key))


def deep():
    value = []
    for _ in range(400):
        value = [value]
    return value


STRANGE = [
    *("odd", "x" * 10**6, 7, 10**9, 10**400, -3, 0, 0.5, 1e308, float("nan"), float("inf")),
    *(None, True, [], {}, [[1]], {"a": 1}, deep()),
]


def mutated(document, rng):
    """A copy with one change, and what it is."""
    document = json.loads(json.dumps(document))
    *way, last = rng.choice(list(places(document)))
    parent = document
    for key in way:
        parent = parent[key]
    kind = rng.randrange(len(STRANGE) + 3)
    if kind == 0:
        del parent[last]
    elif kind == 1 and isinstance(parent, dict):
        parent[f"{last}s"] = parent.pop(last)
    elif kind <= 2:
        parent[last] = [parent[last]]
    else:
        parent[last] = STRANGE[kind - 3]
    return document, (way, last, kind)


@pytest.mark.parametrize("name", ["result.json", "models/pooled/model.json"])
def test_a_document_of_any_structure_is_used_or_refused(run, command, name):
    (folder, call), rng = command, random.Random(name)
    path = folder / "run" / name
    document = read_json(path)
    for _ in range(MUTATIONS):
        changed, what = mutated(document, rng)
        sealed(path, changed)
        for verb in (["sample", "run", "--json"], ["evaluate", "run", "new.csv"], run[1]):
            code, told = call(*verb)
            assert code in (0, 2), (what, verb, told)
            assert len(told.splitlines()) <= 3, (what, verb, told[:500])


def spoilt(tensors, kind, name):
    """Named tensors with something wrong."""
    tensors = {key: value.clone() for key, value in tensors.items()}
    value = tensors[name]
    if kind == "missing":
        del tensors[name]
    elif kind == "unknown":
        tensors["more"] = torch.zeros(3)
    elif kind == "shape":
        tensors[name] = torch.zeros(*value.shape, 2)
    elif kind == "empty":
        tensors[name] = value[:0]
    elif kind == "type":
        tensors[name] = value.round().to(torch.int64)
    else:
        tensors[name] = torch.full_like(value, float(kind))
    return tensors


@pytest.mark.parametrize("kind", ["missing", "unknown", "shape", "empty", "type", "nan", "inf"])
def test_tensors_that_are_not_those_of_the_model_are_refused(command, kind):
    folder, call = command
    path = folder / "run/models/pooled/model.safetensors"
    tensors, note = read_tensors(path), path.with_name("model.json")
    write_tensors(path, spoilt(tensors, kind, sorted(tensors)[-1]))
    agreed(path)
    sealed(note, read_json(note) | {"weights": file_digest(path)})
    for verb in (["sample", "run"], ["evaluate", "run", "new.csv"]):
        code, told = call(*verb)
        assert (code, len(told.splitlines())) == (2, 1), told
        assert "run/models/pooled is damaged" in told


def test_a_pipe_in_place_of_a_file_is_refused(command):
    folder, call = command
    (folder / "run/result.json").unlink()
    os.mkfifo(folder / "run/result.json")
    assert call("sample", "run") == (2, "error: run/result.json is no file\n")
