"""Every trained family: stacked training equals one after another, whatever the rows' lengths."""

import pytest
import torch

from sourcewise.forms import Ragged
from sourcewise.models.families import FAMILIES
from sourcewise.models.partitioned import PartitionedModel
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit

COUNTS = (1, 2, 40, 90)  # n_b of the blocks
NAMES = tuple("abcd")
QUICK = {"batch": 16, "passes": 3, "updates": 12, "check": 4, "precision": "float64", "ema": 0.9}
SMALL = {
    "arm": {"embedding": 4, "width": 8, "depth": 2},
    "transformer": {"width": 8, "heads": 2, "layers": 1},
    "table": {"width": 8, "layers": 1},
    "energy": {"embedding": 2, "width": 8, "depth": 3, "nodes": 6},
}


def strings(y: torch.Tensor) -> Ragged:
    """Source c fills whole batches with strings of one length; the others' are mixed."""
    n = len(y)
    lengths = torch.where(y == 2, 6, 1 + Noise(3).integers(6, n))
    symbols = Noise(4).integers(5, n, 6)
    return Ragged.of([row[:m].tolist() for row, m in zip(symbols, lengths.tolist(), strict=True)])


def rows(family: str, y: torch.Tensor):
    if family == "transformer":
        return strings(y), {"vocabulary": 5}
    if family == "energy":
        return Noise(2).uniform(len(y), 2), {"D": 2}
    z = Noise(2).integers(3, len(y), 4)
    return z, {"M": 3, "D": 4} if family == "arm" else {"codes": [3, 3, 3, 3]}


def trained(family: str, stacked: bool):
    settings = FAMILIES[family].parse(QUICK | SMALL[family] | {"stacked": stacked})
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(COUNTS)])
    z, sizes = rows(family, y)
    model = PartitionedModel(
        Partition.separate(4), lambda K: FAMILIES[family].build(settings, K=K, **sizes), NAMES
    )
    weight = z.lengths + 1.0 if isinstance(z, Ragged) else torch.ones(len(y))
    fit(model, TrainingData.plain(z, y, weight.double()), names=NAMES, settings=settings)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("family", [name for name, item in FAMILIES.items() if item.trained])
def test_stacked_equals_one_after_another(family):
    together, apart = trained(family, True), trained(family, False)
    assert together.dtype == torch.float64
    assert ((together - apart).abs() <= 1e-5 * apart.abs().clamp(min=1e-3)).all()
