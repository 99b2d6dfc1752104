"""Training in phases: what is carried outlives a kill, is shared by processes, fails by name."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.energy.model import Energy
from sourcewise.files import read_json, read_tensors
from sourcewise.metrics.distributions import log_prob
from sourcewise.networks.layers import Conv2d, Linear
from sourcewise.randomness import Noise
from sourcewise.training import fit
from sourcewise.training.checkpoint import Checkpoints
from sourcewise.training.recipes.phased import PhasedGradient
from sourcewise.training.recipes.registry import recipe

from .conftest import (
    COUNTS,
    EITHER,
    FINISH,
    NAMES,
    OBJECTIVES,
    PLAIN,
    QUICK,
    data,
    newest,
    same,
    settings,
    trained,
)

pytestmark = pytest.mark.usefixtures("quick")

# Beginning, updates, end.


def test_the_energy_family_is_trained_in_phases():
    model = Energy(settings(), K=2, D=4)
    assert model.recipe == "phased"
    assert isinstance(recipe(model.recipe), PhasedGradient)
    exact = Energy(settings("likelihood", D=2), K=2, D=2)
    assert exact.begin(Batch.of(torch.zeros(9, 2), torch.zeros(9).long()), Noise(0)) == {}


@EITHER
def test_the_end_knows_the_weights_that_are_kept(objective):
    """log Z by annealing is that of the trained network, by a rule with 12^4 nodes."""
    model, (effort,) = trained(settings(objective, temperatures=50, particles=128, passes=20))
    block: Any = model.block(0)
    assert effort.best is not None
    exact = block.log_normaliser(12).detach().double()
    shared = block.log_density(data(4).valid, Noise(0)).shared
    error, beyond = shared.standard_error, shared.overstatement
    assert ((block.annealed - exact).abs() < 4 * error + beyond).all()
    held = data(4).valid
    gain = log_prob(block, held.x, held.y).mean().item()
    assert gain > 0.5  # nats beyond uniform: it has learnt something


def test_what_is_carried_is_of_the_training_rows_alone(tmp_path: Path):
    held, chosen = data(4), settings("nce")
    fit(Energy(chosen, K=3, D=4), held, names=NAMES, settings=chosen, folder=tmp_path)
    carried = newest(tmp_path)[0]
    weight, mean = (carried[f"ended/0/{name}"].double() for name in ("weight", "mean"))
    assert torch.allclose(weight @ mean, held.train.tensor.mean(0), atol=1e-4)  # of EM, exactly
    assert not torch.allclose(held.train.tensor.mean(0), held.valid.tensor.mean(0), atol=1e-2)


# Interrupted and resumed.


class Killed(Exception):
    pass


@EITHER
@pytest.mark.parametrize("parts", [1, 3])
def test_a_killed_training_goes_on_to_the_same_bits(objective, parts, tmp_path: Path):
    chosen = settings(objective, passes=10)
    expected, efforts = trained(chosen, parts=parts, folder=tmp_path / "whole")

    def kill(done: int, total: int) -> None:
        if done > 0.6 * total:
            raise Killed

    with pytest.raises(Killed):
        trained(chosen, parts=parts, folder=tmp_path / "cut", progress=kill)
    tensors, values = newest(tmp_path / "cut")
    names = {"spread", "weight", "mean", "scale"}
    names |= {"chains", "moved", "log_step"} if objective == "pcd" else set()
    left = len(values["active"])
    assert left
    assert left < parts or parts == 1  # of three, some were done: theirs is kept apart
    for name in names:
        assert len(tensors[f"carried/{name}"]) == left
        for i in values["done"]:
            assert f"ended/{i}/{name}" in tensors
    resumed, again = trained(chosen, parts=parts, folder=tmp_path / "cut")
    assert same(expected, resumed)
    assert efforts == again
    finished, _ = trained(chosen, parts=parts, folder=tmp_path / "cut")  # from its end alone
    assert same(expected, finished)


def test_chains_make_a_difference_to_what_follows(tmp_path: Path):
    """The witness of the test above: with other chains in the checkpoint it would not hold."""
    chosen = settings("pcd", patience=0)
    stops = []

    def kill(done: int, total: int) -> None:
        if done > 0.5 * total and not stops:
            stops.append(done)
            raise Killed

    with pytest.raises(Killed):
        trained(chosen, folder=tmp_path, progress=kill)
    whole, _ = trained(chosen)
    (place,) = tmp_path.iterdir()
    last = max(place.glob("checkpoint-*.json"))
    note = read_json(last)
    tensors = read_tensors(last.with_suffix(".safetensors"))
    tensors["carried/chains"] = tensors["carried/chains"].flip(2)
    kept = Checkpoints(place, note["identity"])
    kept.save(note["values"]["step"], tensors, note["values"])
    other, _ = trained(chosen, folder=tmp_path)
    assert not same(whole, other)


# Several processes, and a real kill.

SCRIPT = """
import json, os, sys
from pathlib import Path
import torch
import sourcewise.families.energy.sampling_chains as chains
from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.execution import Execution
from sourcewise.files import write_json, write_tensors
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit

torch.set_num_threads(1)
chains.WARM_UP = chains.RUN = 16
folder, kill, counts = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[4])
rank = int(os.environ.get("RANK", 0))
mark = folder / "killed"
y = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
x = (0.3 + 0.2 * y[:, None] + 0.15 * Noise(5).normal(len(y), 4)).clamp(0, 1)
held = torch.arange(len(y)) % 10 == 0
data = TrainingData(Batch.of(x[~held], y[~held]), Batch.of(x[held], y[held]))

def progress(done, total):
    if kill and not mark.exists() and done > total / 3:
        mark.touch()
        os.kill(os.getpid(), 9)

finished = []

class Counted(Energy):
    def finish(self, *rest):
        finished.append(self.K)
        super().finish(*rest)

def run(partition=Partition.pooled(3), **more):
    where, more = Execution.taken_from({"checkpoint": 0} | more)
    settings = EnergySettings.parse(json.loads(sys.argv[3]) | more)
    model = PartitionedModel(
        partition, lambda K: Counted(settings, K=K, D=4), ("a", "b", "c"))
    fit(model, data, names=("a", "b", "c"), settings=settings, folder=folder / "training",
        execution=where, progress=progress)
    return model

def keep(name, model):
    write_tensors(folder / f"{name}-{rank}.safetensors",
                  {k: v.contiguous() for k, v in model.state_dict().items()})

keep("model", run())
if "RANK" in os.environ:
    told = []
    keep("dealt", run(Partition.separate(3), stacked=False))
    for more in ({"shard": True}, {"shard": True, "objective": "nce", "chains": 16, "replay": 64,
                                   "steps": 10, "restart": 0.02}):
        try:
            run(**more)
        except InputError as error:
            told.append(str(error))
    write_json(folder / f"told-{rank}.json", {"lines": told})
    write_json(folder / f"finished-{rank}.json", {"counts": finished})
"""


def launch(folder: Path, processes: int, kill: bool, options: dict[str, Any]) -> int:
    """Run the script; its exit code. `kill`: whether a process alone is killed, once."""
    folder.mkdir(exist_ok=True)
    script = folder / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(processes)]
    command += [str(script), str(folder), str(int(kill)), json.dumps(options), json.dumps(COUNTS)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode


def test_a_real_kill_and_two_processes(tmp_path: Path):
    chosen = settings("pcd", precision="float64")
    options = PLAIN | QUICK | FINISH | OBJECTIVES["pcd"] | {"precision": "float64"}
    model, _ = trained(chosen)
    assert launch(tmp_path / "one", 1, True, options) == -signal.SIGKILL
    assert list((tmp_path / "one").rglob("checkpoint-*.json"))
    seen: list[float] = []
    taken_up, _ = trained(
        chosen,
        folder=tmp_path / "one" / "training",
        progress=lambda done, total: seen.append(done / total),
    )
    assert seen[0] > 0.3  # it did not begin anew
    assert same(model, taken_up)
    assert launch(tmp_path / "two", 2, False, options) == 0
    separate, _ = trained(settings("pcd", precision="float64"), parts=3, stacked=False)
    for kind, expected in (("model", model), ("dealt", separate)):
        first, second = (
            read_tensors(tmp_path / "two" / f"{kind}-{rank}.safetensors") for rank in range(2)
        )
        for name, value in expected.state_dict().items():
            assert torch.allclose(first[name], value, rtol=1e-9, atol=1e-12), name
            assert torch.equal(first[name], second[name]), name
    found = [read_json(tmp_path / "two" / f"finished-{rank}.json")["counts"] for rank in range(2)]
    assert found == [[3, 1], [1, 1]]  # each model once: the pooled one, that of `a`; two more
    for rank in range(2):
        told = read_json(tmp_path / "two" / f"told-{rank}.json")["lines"]
        assert len(told) == 2  # pcd, nce
        for line in told:
            assert line.startswith("--shard: this training carries state")
            assert line.endswith("which cannot be spread")
            assert "\n" not in line


# Bounds.


@pytest.mark.parametrize("network", ["mlp", "convolutional"])
def test_every_layer_keeps_its_spectral_bound(network):
    image = {"network": network, "image": (1, 2, 2)} if network == "convolutional" else {}
    chosen = settings("nce", spectral=0.5, learning_rate=0.1, **image)
    model, _ = trained(chosen)
    beyond = []
    for layer in model.modules():
        if isinstance(layer, Linear):
            found, free, bound = layer.matrix, layer.weight, 0.5
        elif isinstance(layer, Conv2d):
            found, free, bound = layer.kernel.flatten(1), layer.weight.flatten(1), 0.5 / 3
        else:
            continue
        assert torch.linalg.matrix_norm(found, 2) <= bound * (1 + 1e-6)
        beyond.append(bool(torch.linalg.matrix_norm(free, 2) > bound))
    assert len(beyond) >= 3
    assert any(beyond)  # the bound held something back


@pytest.mark.parametrize("ema", [0.0, 0.99])
def test_every_parameter_keeps_its_bound(ema):
    B, few = 0.25, {"passes": 0.1, "updates": 6, "check": 3}
    for parts in (1, 3):
        free, _ = trained(settings("nce", D=2, ema=ema, **few), D=2, parts=parts)
        held, _ = trained(settings("nce", D=2, ema=ema, bound=B, **few), D=2, parts=parts)
        assert max(p.abs().max() for p in free.parameters()) > 2 * B
        assert max(p.abs().max() for p in held.parameters()) <= B


# Images.


@EITHER
def test_images(objective):
    """Stacked and one after another, 1 x 4 x 4, float64."""
    plain = {"network": "convolutional", "image": (1, 4, 4), "width": 4, "depth": 3}
    found = []
    for stacked in (True, False):
        chosen = settings(objective, precision="float64", passes=2, **plain)
        model, efforts = trained(chosen, D=16, parts=3, stacked=stacked)
        assert efforts[0].how.endswith("3 models at once") == stacked
        found.append(model)
    together, apart = (dict(model.named_parameters()) for model in found)
    for name, value in together.items():
        assert ((value - apart[name]).abs() <= 1e-5 * value.abs().clamp(min=1e-3)).all(), name
    held = data(16).valid
    score = log_prob(found[0], held.x, held.y)
    assert bool(score.isfinite().all())
    x = found[0].sample(torch.arange(12) % 3, noise=Noise(1))
    assert x.shape == (12, 16)
    assert bool(((x >= 0) & (x <= 1)).all())


def test_an_image_needs_its_shape():
    chosen = settings("nce", network="convolutional")
    with pytest.raises(InputError, match="product is the 4 columns, not 0,0,0"):
        Energy(chosen, K=1, D=4)
    assert Energy(chosen, K=1, D=4, shape=(1, 2, 2)).network.shape == (1, 2, 2)
