"""Energies on finite grids: sums, samples and training, against exact masses."""

import itertools
import math

import pytest
import torch
from scipy.stats import kstest

from sourcewise.batch import Batch
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.metrics.distributions import log_prob
from sourcewise.quadrature import midpoints
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit

from .conftest import FEW, build, pearson


@pytest.mark.parametrize(("D", "nodes"), [(2, 8), (6, 3)])
def test_a_grid_is_a_sum_over_its_cells(D, nodes):
    model = build(D=D, rule="grid", nodes=nodes, gain=1.3)
    centres, _ = midpoints(nodes, D)
    x = Noise(1).uniform(20, D)
    cells = list(itertools.product(range(nodes), repeat=D))
    for k in range(2):
        y = torch.full((nodes**D,), k)
        assert abs(log_prob(model, centres, y).exp().mean().item() - 1) < 1e-9
        points = torch.tensor([[(i + 0.5) / nodes for i in cell] for cell in cells], dtype=x.dtype)
        w = (-model.network(points, y)).exp().detach()
        found = log_prob(model, x, y[:20]).detach()
        for i in range(20):
            own = cells.index(tuple((x[i] * nodes).int().tolist()))
            by_hand = math.log(w[own] / w.sum() * nodes**D)
            assert found[i].item() == pytest.approx(by_hand, abs=1e-12)
    ends = log_prob(model, torch.tensor([[0.0] * D, [1.0] * D]).double(), torch.zeros(2).long())
    assert torch.equal(ends, log_prob(model, centres[[0, -1]], torch.zeros(2).long()))
    found = model.log_density(Batch.of(x, torch.zeros(20).long()), Noise(0))
    assert (found.kind, found.shared) == ("exact", None)


@pytest.mark.parametrize(("D", "nodes"), [(2, 8), (6, 3)])
def test_samples_of_a_grid_have_the_frequencies_of_its_cells(D, nodes):
    model, n = build(D=D, rule="grid", nodes=nodes), 60_000
    y = torch.arange(n) % 2
    x = model.sample(y, noise=Noise(0))
    cells = (x * nodes).long() @ nodes ** torch.arange(D).flip(0)
    for k in range(2):
        p = log_prob(model, midpoints(nodes, D)[0], torch.full((nodes**D,), k)).exp().detach()
        counts = torch.bincount(cells[y == k], minlength=nodes**D)
        assert pearson(counts, p / nodes**D) < 4
        assert pearson(counts, torch.full_like(p, nodes**-D)) > 20
    for j in range(D):
        assert kstest((x[:, j] * nodes % 1).numpy(), "uniform").pvalue > 1e-3


def test_a_grid_that_is_trained_takes_the_frequencies_of_the_rows():
    """One source per network and cell: the likelihood is highest where p is the frequency."""
    counts = torch.tensor([[40, 5, 20, 35], [10, 50, 30, 10]])
    x = torch.cat([torch.arange(4).repeat_interleave(row) for row in counts])[:, None] / 4 + 0.1
    y = torch.arange(2).repeat_interleave(100)
    options = {"rule": "grid", "nodes": 4, "batch": "all", "updates": 500, "validation": 0}
    settings = EnergySettings.parse(FEW | options | {"weight_decay": 0.0, "passes": 1})
    model = Energy(settings, K=2, D=1)
    fit(model, TrainingData.plain(x.double(), y), names=("a", "b"), settings=settings)
    for k in range(2):
        p = log_prob(model, midpoints(4, 1)[0], torch.full((4,), k)).exp().detach() / 4
        assert torch.allclose(p, counts[k] / 100, atol=1e-3)
