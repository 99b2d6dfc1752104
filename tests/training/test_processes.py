"""Two processes under torchrun give what one gives; a killed one is restarted and goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sourcewise.files import read_tensors

SCRIPT = """
import os, sys
from pathlib import Path
import torch
from sourcewise.files import write_tensors
from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.arm.model import Arm
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.families.jko.model import JKOFlow
from sourcewise.families.jko.settings import JKOSettings
from sourcewise.families.purified_flow.model import PurifiedFlow
from sourcewise.families.purified_flow.settings import PurifiedFlowSettings
from sourcewise.families.rectified_flow.model import RectifiedFlow
from sourcewise.families.rectified_flow.settings import RectifiedFlowSettings
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit

torch.set_num_threads(1)
folder, how, kill = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
plain = {"width": 8, "batch": 33, "passes": 4, "check": 3, "precision": "float64"}
plain |= {"microbatch": 0 if how == "separate" else 5}
partition = Partition.separate(3) if how == "separate" else Partition.pooled(3)
y = torch.cat([torch.full((n,), k) for k, n in enumerate((101, 60, 37))])
judged = {"probe_draws": 2, "probe_memory": 0.5}
numbers = {"purified": (PurifiedFlow, PurifiedFlowSettings, judged),
           "jko": (JKOFlow, JKOSettings, {"blocks": 2}),
           "rectified": (RectifiedFlow, RectifiedFlowSettings, {"pairs": 2, "pair_steps": 2})}
if how in numbers:
    kind, kinds, own = numbers[how]
    settings = kinds.parse({**plain, **own, "updates": 20})
    make = lambda K: kind(settings, K=K, d=2)
    x = 0.3 * Noise(5).normal(len(y), 2) + torch.tensor([[-1, -1], [1, 1], [-1, 1]])[y]
    y = torch.where(Noise(6).uniform(len(y)) < 0.2, (y + 1) % 3, y)
else:
    settings = ArmSettings.parse({**plain, "embedding": 4, "depth": 2})
    make = lambda K: Arm(settings, K=K, M=3, D=4)
    x = torch.minimum(Noise(5).integers(3, len(y), 4), y[:, None] + 1)
model = PartitionedModel(partition, make, ("a", "b", "c"))
held = torch.arange(len(y)) % 7 == 0
data = TrainingData(Batch.of(x[~held], y[~held]), Batch.of(x[held], y[held]))
rank = int(os.environ.get("RANK", 0))

def progress(done, total):
    first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    if kill and first and rank == 1 and done > total / 3:
        os.kill(os.getpid(), 9)

efforts = fit(model, data, names=("a", "b", "c"), noise=Noise(0), settings=settings,
              execution=Execution(checkpoint=0), folder=folder / "training", progress=progress)
tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
if how == "purified":
    flags = model.block(0).flags
    tensors |= {"looks": flags.looks, "flagged": flags.flagged, "excess": flags.excess}
if rank == 0:
    write_tensors(folder / "model.safetensors", tensors)
"""


def run(folder: Path, how: str, processes: int, kill: bool = False) -> dict[str, torch.Tensor]:
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(SCRIPT)
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", "--max-restarts", "1"]
        launch += ["--nproc-per-node", str(processes)]
    command = [*launch, str(script), str(folder), how, str(int(kill))]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return read_tensors(folder / "model.safetensors")


@pytest.mark.parametrize("how", ["pooled", "separate", "purified", "jko", "rectified"])
def test_two_processes_give_what_one_gives(tmp_path: Path, how: str):
    one = run(tmp_path / "one", how, 1)
    two = run(tmp_path / "two", how, 2, kill=True)
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-9, atol=1e-12), name
    if how == "purified":
        assert 0 < float(one["flagged"].sum()) < float(one["looks"].sum())
