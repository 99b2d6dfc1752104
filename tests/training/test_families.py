"""Every trained family and objective: stacked training equals one after another.

Whatever the rows' lengths and numbers, and whatever is carried beside the parameters.
"""

from typing import Any

import pytest
import torch

from sourcewise.execution import Execution
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import families
from sourcewise.forms import Ragged
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
    "spline-flow": {"width": 8, "layers": 1, "bins": 4},
    "diffusion": {"width": 8, "ema": 0.0},  # by averages of its own
    "flow": {"width": 8, "ema": 0.0},  # likewise
    "rectified-flow": {"width": 8, "ema": 0.0, "pairs": 2, "pair_steps": 2},
    "purified-flow": {"width": 8, "ema": 0.0, "probe_draws": 2},
    "jko": {"width": 8, "blocks": 2},
    "energy": {"embedding": 2, "width": 8, "depth": 3},
}
ENERGIES = {
    "likelihood": {},
    "nce": {},
    "pcd": {"restart": 0.3},
    "pcd, not adjusted": {"adjusted": False},
    "denoising": {},
    "sliced": {},
}
FINISH = {"temperatures": 4, "particles": 16}
CHAINS = {"steps": 3, "chains": 4, "replay": 6}


def strings(y: torch.Tensor) -> Ragged:
    """Source c fills whole batches with strings of one length; the others' are mixed."""
    n = len(y)
    lengths = torch.where(y == 2, 6, 1 + Noise(3).integers(6, n))
    symbols = Noise(4).integers(5, n, 6)
    return Ragged.of([row[:m].tolist() for row, m in zip(symbols, lengths.tolist(), strict=True)])


def energies(D: int) -> list[Any]:
    """All objectives; beyond three columns nothing is exact."""
    cases = []
    for name, options in ENERGIES.items():
        objective = name.split(",")[0]
        if objective == "likelihood" and D > 3:
            continue
        more = CHAINS if objective == "pcd" else {}
        options = {"objective": objective} | more | options | (FINISH if D > 3 else {"nodes": 6})
        cases.append(pytest.param("energy", options, D, id=f"energy, {name}, {D} columns"))
    return cases


def rows(family: str, y: torch.Tensor, D: int):
    if family == "transformer":
        return strings(y), {"vocabulary": 5}
    if family == "energy":
        return Noise(2).uniform(len(y), D), {"D": D}
    if family in ("spline-flow", "jko", "diffusion", "flow", "rectified-flow", "purified-flow"):
        return Noise(2).normal(len(y), D), {"d": D}
    z = Noise(2).integers(3, len(y), 4)
    return z, {"M": 3, "D": 4} if family == "arm" else {"codes": [3, 3, 3, 3]}


def trained(family: str, stacked: bool, options: dict[str, Any], D: int) -> torch.Tensor:
    """All parameters, and what is kept beside them, in one row."""
    settings = families()[family].parse(QUICK | SMALL[family] | options)
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(COUNTS)])
    z, sizes = rows(family, y, D)
    model = PartitionedModel(
        Partition.separate(4), lambda K: families()[family].build(settings, K=K, **sizes), NAMES
    )
    weight = z.lengths + 1.0 if isinstance(z, Ragged) else torch.ones(len(y))
    data = TrainingData.plain(z, y, weight.double())
    efforts = fit(
        model, data, names=NAMES, settings=settings, execution=Execution(stacked=stacked)
    )
    told = "gradient, 4 models at once" if stacked else "gradient"
    if families()[family].recipe == "greedy":
        told = "greedy, 2 parts one after another" + ("; 4 models at once" if stacked else "")
    assert [effort.how for effort in efforts] == [told] * 4
    return torch.cat([part.detach().double().flatten() for part in model.state_dict().values()])


@pytest.mark.parametrize(
    ("family", "options", "D"),
    [
        *[(name, {}, 2) for name, item in families().items() if item.trained and name != "energy"],
        *energies(2),
        *energies(4),
    ],
)
def test_stacked_equals_one_after_another(family, options, D, monkeypatch):
    for name in ("WARM_UP", "RUN"):  # of chains after training
        monkeypatch.setattr(f"sourcewise.families.energy.sampling_chains.{name}", 16)
    together, apart = (trained(family, stacked, options, D) for stacked in (True, False))
    assert bool(apart.isfinite().all())
    assert ((together - apart).abs() <= 1e-5 * apart.abs().clamp(min=1e-3)).all()
