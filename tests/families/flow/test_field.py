"""The learned velocity beside the exact one, of eight normals on a circle for each of two sources.

One source is turned by half the angle between neighbours; mean 0, variance 1, standard deviation
.15 each. Both fields are taken at fresh points of the path, `x_t = t x + (1 - t) n`, at times that
are even on [0, 1].
"""

import math

import pytest
import torch
from torch import Tensor

from sourcewise.families.flow.model import Flow
from sourcewise.families.flow.settings import FlowSettings
from sourcewise.randomness import Noise
from sourcewise.samplers.paths import PATHS
from sourcewise.training import TrainingData, fit
from sourcewise.truths.normal_mixture import NormalMixture

K, COUNT, SD = 2, 8, 0.15
LONG = {
    "passes": 0.01,
    "validation": 0.0,
    "updates": 2000,
    "batch": 512,
    "width": 64,
    "blocks": 2,
    "dropout": 0.0,
    "unlabelled": 0.0,
    "schedule": "cosine",
    "ema": 0.99,
    "lengths": (),
    "early": 0.0,
}


def circle() -> NormalMixture:
    turn = torch.arange(K, dtype=torch.float64)[:, None] / K + torch.arange(COUNT)
    angle = 2 * math.pi / COUNT * turn
    mean = math.sqrt(2 - 2 * SD**2) * torch.stack([angle.cos(), angle.sin()], -1)
    equal = torch.full((K, COUNT), 1 / COUNT, dtype=torch.float64)
    return NormalMixture(equal, mean, torch.full_like(equal, SD))


def drawn(n: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """(n, 2) rows and their sources (n,), in turns."""
    y = torch.arange(n) % K
    return circle().sample(y, noise=noise), y


def lengths(flow: Flow, n: int = 1000, times: int = 20) -> tuple[float, float]:
    """Root mean squares along the path: of the difference of both fields, of the exact one."""
    squares = []
    for i in range(times):
        noise = Noise(7).of("time", i)
        x, y = drawn(n, noise.of("rows"))
        t = torch.full((n,), (i + 0.5) / times, dtype=torch.float64)
        at = PATHS["linear"].at(t[:, None])
        x_t = at.a * x + at.b * noise.of("noise").normal(n, 2)
        exact = circle().velocity(x_t, y, at)
        with torch.no_grad():
            found = flow.velocity(x_t.float(), t.float(), torch.eye(K)[y])
        squares.append(torch.stack([v.square().sum(1).mean() for v in (found - exact, exact)]))
    off, whole = torch.stack(squares).mean(0).sqrt().tolist()
    return off, whole


def test_the_exact_field_is_that_of_the_rows():
    """`E[v . (x - n)] = E|v|^2`, as of every conditional mean."""
    x, y = drawn(40_000, Noise(1))
    n = Noise(2).normal(len(x), 2)
    for t in (0.2, 0.5, 0.8):
        at = PATHS["linear"].at(torch.full((len(x), 1), t, dtype=torch.float64))
        v = circle().velocity(at.a * x + at.b * n, y, at)
        product = (v * (x - n - v)).sum(1)
        assert abs(float(product.mean())) < 4 * float(product.std()) / len(x) ** 0.5


@pytest.mark.slow
def test_the_learned_field_is_near_the_exact_one():
    """Within .1, root mean square; with these settings and seeds it was .075."""
    flow = Flow(FlowSettings.parse(LONG), K=K, d=2)
    flow.reset(Noise(0))
    before, whole = lengths(flow.eval())  # 1.14, both
    x, y = drawn(50_000, Noise(3))
    fit(flow, TrainingData.plain(x.float(), y), names=("a", "b"), noise=Noise(4))
    off, _ = lengths(flow.eval())
    assert off < 0.1
    assert min(before, whole) > 1.1
