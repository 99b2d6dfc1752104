"""Small trainings in phases, of the energy family."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.execution import Execution
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.files import read_json, read_tensors
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit

NAMES, COUNTS = ("a", "b", "c"), (200, 90, 30)
PLAIN = {"embedding": 2, "width": 8, "learning_rate": 0.01}
FINISH = {"temperatures": 5, "particles": 16, "components": 2}
QUICK = {"batch": 32, "passes": 8, "updates": 0, "check": 5, "patience": 0.3}
CHAINS = {"chains": 4, "replay": 12, "steps": 3, "restart": 0.1}
OBJECTIVES = {
    "nce": {"objective": "nce", "negatives": 4, "ema": 0.9},
    "pcd": {"objective": "pcd", "ema": 0.9} | CHAINS,
}
EITHER = pytest.mark.parametrize("objective", OBJECTIVES)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains that are tried for a short while after training."""
    for name in ("WARM_UP", "RUN"):
        monkeypatch.setattr(f"sourcewise.families.energy.sampling_chains.{name}", 16)


def settings(objective: str = "pcd", D: int = 4, **options) -> EnergySettings:
    of_objective = OBJECTIVES.get(objective, {"objective": objective})
    finish = FINISH if D > 3 else {}
    return EnergySettings.parse(PLAIN | QUICK | finish | of_objective | options)


def data(D: int) -> TrainingData:
    """A normal in the box per source; a tenth are validation rows."""
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(COUNTS)])
    x = (0.3 + 0.2 * y[:, None] + 0.15 * Noise(5).normal(len(y), D)).clamp(0, 1)
    held = torch.arange(len(y)) % 10 == 0
    return TrainingData(Batch.of(x[~held], y[~held]), Batch.of(x[held], y[held]))


def trained(
    chosen: EnergySettings, D: int = 4, parts: int = 1, folder=None, progress=None, stacked=True
):
    """`parts` models, 1 or 3, as a `PartitionedModel`, with their efforts."""
    partition = Partition.pooled(3) if parts == 1 else Partition.separate(3)
    model = PartitionedModel(partition, lambda K: Energy(chosen, K=K, D=D), NAMES)
    where = Execution(checkpoint=0, stacked=stacked)
    efforts = fit(
        model,
        data(D),
        names=NAMES,
        settings=chosen,
        execution=where,
        folder=folder,
        progress=progress,
    )
    return model, efforts


def same(a: PartitionedModel, b: PartitionedModel) -> bool:
    """Whether all bits are: parameters, and what `finish` found."""
    found, other = a.state_dict(), b.state_dict()
    assert found.keys() == other.keys()
    assert {"blocks.0.annealed", "blocks.0.step", "blocks.0.base_mean"} <= found.keys()
    assert all(bool(v.isfinite().all()) for v in found.values())
    return all(torch.equal(v, other[name]) for name, v in found.items())


def newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and values of the last checkpoint."""
    (place,) = folder.iterdir()
    last = max(place.glob("checkpoint-*.json"))
    return read_tensors(last.with_suffix(".safetensors")), read_json(last)["values"]
