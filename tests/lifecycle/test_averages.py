"""Averages of weights beside models, which no family of ours keeps: damage of their file shows."""

import os

import pytest
import torch

import sourcewise as sw
from sourcewise.errors import InputError
from sourcewise.families.settings import TrainedSettings

ARM = {"embedding": 4, "width": 8, "depth": 2, "batch": 20, "passes": 2, "check": 3}
DAMAGE = {
    "header": lambda raw: raw[:20] + bytes([raw[20] ^ 1]) + raw[21:],
    "data": lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:],
    "cut": lambda raw: raw[:-100],
    "emptied": lambda raw: b"",
    "another": lambda raw: raw + b"\0",
}


@pytest.fixture
def run(symbols, tmp_path, monkeypatch):
    """A training whose family keeps two averages."""
    monkeypatch.setattr(TrainedSettings, "kept_averages", property(lambda self: (0.1, 0.9)))
    sw.train(symbols, model="arm", strategy="separate", set=ARM, out=tmp_path / "run")
    return tmp_path / "run"


def kept(run):
    model = sw.load(run).models["separate"].model
    blocks = (model.block(j) for j in range(len(model.partition)))
    return [dict(average) for block in blocks for average in block.averages]


def test_averages_come_back_from_their_file(run):
    one, two = kept(run), kept(run)
    assert len(one) == 4  # two of each of two blocks
    assert all(torch.equal(a[name], b[name]) for a, b in zip(one, two, strict=True) for name in a)
    assert any(not torch.equal(one[0][name], one[1][name]) for name in one[0])


@pytest.mark.parametrize("how", [*DAMAGE, "removed", "a link to nothing"])
def test_damaged_averages_are_refused(run, how):
    path = run / "models" / "separate" / "averages.safetensors"
    raw = path.read_bytes()
    path.unlink()
    if how in DAMAGE:
        path.write_bytes(DAMAGE[how](raw))
    elif how != "removed":
        os.symlink("nowhere", path)
    with pytest.raises(InputError, match="averages.safetensors") as told:
        sw.sample(run, n=1)
    assert "\n" not in str(told.value)
