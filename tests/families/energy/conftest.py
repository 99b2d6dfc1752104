"""Energies far from uniform, and how well points follow them."""

import pytest
import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import ConditionalModel, Density
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.network import EnergyNetwork
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.metrics.distributions import log_prob
from sourcewise.quadrature import gauss_legendre
from sourcewise.randomness import Noise

FEW = {"embedding": 4, "width": 12, "depth": 3}
FINISH = {"temperatures": 10, "particles": 16}


def annealing(D: int) -> dict[str, int]:
    """Short, where there is any."""
    return FINISH if D > 3 else {}


def build(
    K: int = 2, D: int = 2, seed: int = 0, gain: float = 1.5, spread=None, **options
) -> Energy:
    """A model far from uniform, in float64."""
    model = Energy(EnergySettings.parse(FEW | options), K=K, D=D, spread=spread)
    ConditionalModel.reset(model, Noise(seed))  # the layers' own, not tuned to training
    assert isinstance(model.network, EnergyNetwork)
    first = model.network.mlp.first
    first.weight.data[:, :D] *= 12**0.5
    if first.bias is not None:
        first.bias.data -= first.weight.data[:, :D].sum(1) / 2
    for parameter in model.parameters():
        parameter.data *= gain
    return model.double()


def finished(model: Energy, seed: int = 0) -> Energy:
    """As training leaves it, on rows that are uniform."""
    x, y = Noise(seed).of("x").uniform(200, model.D), torch.arange(200) % model.K
    model.finish(
        Batch.of(x, y), model.begin(Batch.of(x, y), Noise(seed)), Noise(seed).of("finish")
    )
    return model


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains that are tried for a short while."""
    for name in ("WARM_UP", "RUN"):
        monkeypatch.setattr(f"sourcewise.families.energy.sampling_chains.{name}", 32)


def surprise(model: Energy, x: Tensor, k: int, bins: int = 5) -> float:
    """Of points (n, 2) under source k: chi-square of their cells, in standard deviations."""
    corners = torch.cartesian_prod(*[torch.arange(bins)] * 2)
    points, log_weight = gauss_legendre(8, 2)  # of one cell
    inner = ((corners[:, None] + points) / bins).flatten(0, 1)
    with torch.no_grad():
        density = log_prob(model, inner, torch.full((len(inner),), k)).exp()
    p = density.view(bins**2, -1) @ log_weight.exp() / bins**2
    cells = (x * bins).long().clamp(max=bins - 1) @ torch.tensor([bins, 1])
    return pearson(torch.bincount(cells, minlength=bins**2), p)


def pearson(counts: Tensor, p: Tensor) -> float:
    """Chi-square in standard deviations beyond its expectation; cells of few in one."""
    expected = counts.sum() * p
    rare = expected < 10
    counts, expected = (torch.cat([v[~rare], v[rare].sum()[None]]) for v in (counts, expected))
    freedom = len(p) - int(rare.sum())
    assert freedom > 10
    chi2 = ((counts - expected).square() / expected.clamp(min=1e-9)).sum().item()
    return (chi2 - freedom) / (2 * freedom) ** 0.5


def columns(found: Density) -> torch.Tensor:
    """(K, 3) of the errors that rows share."""
    assert found.shared is not None
    return found.shared.columns
