"""What the study of JKO flows measures, on flows whose errors are known."""

import math

import pytest
import torch

from sourcewise.families.jko.model import JKOFlow
from sourcewise.families.jko.residual import followed
from sourcewise.families.jko.settings import JKOSettings
from sourcewise.randomness import Noise
from sourcewise.studies.jko import measures
from sourcewise.studies.jko.truths import MEANS, SPREADS, TURNED, Normal, rows, truth_named
from sourcewise.theory import jko_normal
from sourcewise.truths.gaussian import GaussianTruth

GAMMA = 0.5
ZERO = torch.zeros(2000, dtype=torch.int64)


def empty(blocks: int = 1) -> JKOFlow:
    """A flow that leaves rows where they are."""
    out = JKOFlow(JKOSettings(width=1, blocks=blocks), K=2, d=2).double()
    with torch.no_grad():
        for parameter in out.parameters():
            parameter.zero_()
    out.gamma[:] = GAMMA
    return out.eval()


def exact(blocks: int) -> JKOFlow:
    """The steps of the scheme from the first normal law, exactly."""
    out, m, s = empty(blocks), MEANS[0], SPREADS[0]
    cos, sin = math.cos(TURNED[0]), math.sin(TURNED[0])
    turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    for block in out.parts:
        after = jko_normal.step(m, s, GAMMA)
        scale, shift = after[1] / s, after[0] - after[1] / s * m
        log = torch.tensor(scale).log()
        with torch.no_grad():
            block.straight.weight.copy_(turn @ torch.diag(log) @ turn.T)
            block.means.weight[0] = turn @ (torch.tensor(shift) * log / torch.expm1(log))
        m, s = after
    return out


def test_exact_steps_are_found_to_be_exact():
    truth = Normal.usual()
    x = truth.sample(ZERO, noise=Noise(0))
    log_p = truth.log_prob(x, ZERO)
    flow = exact(3)
    found = followed(flow, measures.Batch.of(x, ZERO), lambda at: truth.log_prob(at, ZERO))
    places = list(measures._places("normal", truth, flow, 0, x, log_p, found))
    assert [place.block for place in places] == [0, 1, 2, 3]
    assert places[0].eps is None
    for place in places:
        assert place.mean_error == pytest.approx(0, abs=1e-6)
        assert place.spread_error == pytest.approx(0, abs=1e-6)
        assert place.w2 == pytest.approx(place.w2_exact, rel=1e-6)
        assert place.kl == pytest.approx(place.kl_exact, rel=1e-6)  # of samples with exact moments
    for place in places[1:]:
        assert place.eps == pytest.approx(0, abs=1e-4)
        assert place.w2 is not None
        assert place.w2_bound is not None
        assert place.kl_bound is not None
        assert place.fisher is not None
        assert place.w2 < (2 * place.kl) ** 0.5 < place.w2_bound  # Talagrand's inequality
        assert place.kl < place.kl_bound
        assert place.kl < place.fisher


def test_total_variation_is_that_of_two_normal_laws():
    """`2 Phi(|m|/2) - 1`, of N(m, I) and N(0, I)."""
    mean = torch.tensor([[1.5, 0.0], [0.0, 0.0]], dtype=torch.float64)
    truth = GaussianTruth(mean, torch.eye(2, dtype=torch.float64)[None])
    found = [measures.total_variation(truth, empty(), k) for k in (0, 1)]
    expected = math.erf(1.5 / 2 / math.sqrt(2))
    assert found == pytest.approx([expected, 0.0], abs=2e-4)


def test_truths_have_their_moments():
    x, y = rows(truth_named("normal"), 300, Noise(1))
    truth = Normal.usual()
    for k in (0, 1):
        own = truth.in_axes(x[y == k], k)
        assert own.mean(0).tolist() == pytest.approx(MEANS[k], abs=1e-9)
        assert own.std(0, correction=0).tolist() == pytest.approx(SPREADS[k], abs=1e-9)
    mixture = truth_named("mixture")
    assert mixture.sample(y, noise=Noise(2)).shape == (300, 2)
