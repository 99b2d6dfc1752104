"""A model spread over two processes under torchrun becomes what it becomes in one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sourcewise.files import read_json, read_tensors

SCRIPT = """
import json, os, sys
from dataclasses import asdict
from pathlib import Path
import torch
from sourcewise.files import write_json, write_tensors
from sourcewise.forms import Ragged
from sourcewise.forms import take
from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.arm.model import Arm
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.families.transformer.settings import TransformerSettings
from sourcewise.families.transformer.model import Transformer
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit
from sourcewise.training.recipes.gradient import Gradient
from sourcewise.training.stack_training import StackTraining

torch.set_num_threads(1)
folder, family, kill, options = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
rank = int(os.environ.get("RANK", 0))
plain = {"batch": 33, "passes": 4, "updates": 0, "check": 3,
         "precision": "float64"} | json.loads(options)
where, plain = Execution.taken_from({"checkpoint": 0, "device": "cpu", "shard": True} | plain)
y = torch.cat([torch.full((n,), k) for k, n in enumerate((101, 60, 37))])
if family == "arm":
    settings = ArmSettings.parse(plain | {"embedding": 4, "width": 8, "depth": 3})
    build, partition = lambda K: Arm(settings, K=K, M=3, D=4), Partition.separate(3)
    x = torch.minimum(Noise(5).integers(3, len(y), 4), y[:, None] + 1)
else:
    settings = TransformerSettings.parse(
        plain | {"width": 8, "layers": 2, "heads": 2, "label_dropout": 0.1})
    build, partition = lambda K: Transformer(settings, K=K, vocabulary=5), Partition.pooled(3)
    inside = torch.arange(5) < Noise(6).integers(6, len(y))[:, None]
    symbols = Noise(5).integers(5, len(y), 5) % (y[:, None] + 2)
    x = Ragged.of_padded(torch.where(inside, symbols, -1))
model = PartitionedModel(partition, build, ("a", "b", "c"))
held = torch.arange(len(y)) % 7 == 0
data = TrainingData(Batch.of(take(x, ~held), y[~held]), Batch.of(take(x, held), y[held]))

looks, held_here = [], []
class Watched(StackTraining):
    def look(self):
        held_here.append(self.stack.flat.numel())
        if self.sharded:
            grown = self.stack.model.parameters()
            assert sum(p.to_local().numel() for p in grown) == self.stack.flat.numel()
        norms = self.stack.norms().tolist()
        losses = super().look()
        looks.append([self.step, *norms, *losses])
        return losses
Gradient.training = Watched

def progress(done, total):
    first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    if kill and first and rank == 1 and done > total / 3:
        os.kill(os.getpid(), 9)

efforts = fit(model, data, names=("a", "b", "c"), noise=Noise(0), settings=settings,
              execution=where, folder=folder / "training", progress=progress)
note = {"looks": looks, "held": held_here, "efforts": [asdict(effort) for effort in efforts]}
write_json(folder / f"note-{rank}.json", note)
write_tensors(folder / f"model-{rank}.safetensors",
              {k: v.contiguous() for k, v in model.state_dict().items()})
"""

HARD = {"ema": 0.9, "clip": 1.5, "patience": 0.3, "learning_rate": 0.05, "passes": 12}
Result = tuple[list[dict[str, torch.Tensor]], list[dict[str, Any]]]


def run(
    folder: Path, family: str, processes: int, kill: bool = False, restarts: int = 1, **options
) -> Result | None:
    """Weights and notes of each process; None if one died for good."""
    folder.mkdir(exist_ok=True)
    script = folder / "script.py"
    script.write_text(SCRIPT)
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone"]
        launch += ["--max-restarts", str(restarts), "--nproc-per-node", str(processes)]
    command = [*launch, str(script), str(folder), family, str(int(kill)), json.dumps(options)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    if kill and not restarts:
        assert done.returncode != 0
        return None
    assert done.returncode == 0, done.stderr[-5000:]
    ranks = range(processes)
    weights = [read_tensors(folder / f"model-{rank}.safetensors") for rank in ranks]
    return weights, [read_json(folder / f"note-{rank}.json") for rank in ranks]


def same(one: Result | None, several: Result | None, rtol: float = 1e-9) -> None:
    """All processes end with the weights, losses and efforts of one alone."""
    assert one is not None
    assert several is not None
    ((weights,), (note,)), (all_weights, notes) = one, several
    for others in all_weights:
        assert weights.keys() == others.keys()
        for name, value in weights.items():
            assert torch.allclose(value, others[name], rtol=rtol, atol=rtol / 100), name
    for other in notes:
        assert other["looks"] == notes[0]["looks"]  # all bits: they must stop at the same time
        for mine, theirs in zip(note["efforts"], other["efforts"], strict=True):
            assert mine["how"].endswith("not sharded: one process")
            assert theirs["how"] == f"gradient, sharded over {len(notes)} processes"
            assert mine["validation"] == pytest.approx(theirs["validation"], rel=rtol)
            counts = "examples_seen", "updates", "best"
            assert [mine[key] for key in counts] == [theirs[key] for key in counts]


def test_a_transformer_on_two_processes_one_of_them_killed(tmp_path: Path):
    one = run(tmp_path / "one", "transformer", 1, **HARD)
    two = run(tmp_path / "two", "transformer", 2, kill=True, microbatch=7, **HARD)
    same(one, two)
    assert one is not None
    assert two is not None
    ((_, (note,)), (_, notes)) = one, two
    expected = {step: [norm, loss] for step, norm, loss in note["looks"]}
    assert notes[0]["looks"][0][0] > 3  # it went on where it had been
    for step, *seen in notes[0]["looks"]:
        assert seen == pytest.approx(expected[step], rel=1e-9)
    norms = [norm for norm, _ in expected.values()]
    assert min(norms) < 0.99 * HARD["clip"] <= max(norms)  # some were clipped, some were not
    assert note["efforts"][0]["best"] < note["efforts"][0]["updates"]
    whole = note["held"][0]
    parts = [other["held"][0] for other in notes]
    assert sum(parts) == whole
    assert max(parts) <= 0.51 * whole


def test_separate_models_one_after_another_then_with_other_numbers_of_processes(tmp_path: Path):
    one = run(tmp_path / "one", "arm", 1, **HARD)
    run(tmp_path / "two", "arm", 2, kill=True, restarts=0, **HARD)
    assert list((tmp_path / "two" / "training").rglob("checkpoint-*.json"))
    three = run(tmp_path / "two", "arm", 3, **HARD)
    same(one, three)
    assert three is not None
    assert three[1][0]["looks"][0][0] > 3


def test_a_condensed_loss_in_float32(tmp_path: Path):
    options = {"batch": "all", "precision": "float32", "passes": 12, "clip": 0, "stacked": False}
    one, two = (run(tmp_path / str(n), "arm", n, **options) for n in (1, 2))
    same(one, two, rtol=1e-4)
    assert one is not None
    assert two is not None
    for mine, theirs in zip(one[1][0]["looks"], two[1][1]["looks"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)  # norms of gradients: sums, not averages
