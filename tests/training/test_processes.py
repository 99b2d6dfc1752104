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
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit

torch.set_num_threads(1)
folder, how, kill = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
settings = ArmSettings(embedding=4, width=8, depth=2, batch=33, passes=4, check=3,
                       precision="float64", microbatch=5 if how == "pooled" else 0)
partition = Partition.pooled(3) if how == "pooled" else Partition.separate(3)
model = PartitionedModel(partition, lambda K: Arm(settings, K=K, M=3, D=4), ("a", "b", "c"))
y = torch.cat([torch.full((n,), k) for k, n in enumerate((101, 60, 37))])
x = torch.minimum(Noise(5).integers(3, len(y), 4), y[:, None] + 1)
held = torch.arange(len(y)) % 7 == 0
data = TrainingData(Batch.of(x[~held], y[~held]), Batch.of(x[held], y[held]))
rank = int(os.environ.get("RANK", 0))

def progress(done, total):
    first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    if kill and first and rank == 1 and done > total / 3:
        os.kill(os.getpid(), 9)

efforts = fit(model, data, names=("a", "b", "c"), noise=Noise(0), settings=settings,
              execution=Execution(checkpoint=0), folder=folder / "training", progress=progress)
if rank == 0:
    write_tensors(folder / "model.safetensors", {k: v.contiguous() for k, v in
                                                 model.state_dict().items()})
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


@pytest.mark.parametrize("how", ["pooled", "separate"])
def test_two_processes_give_what_one_gives(tmp_path: Path, how: str):
    one = run(tmp_path / "one", how, 1)
    two = run(tmp_path / "two", how, 2, kill=True)
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-9, atol=1e-12), name
