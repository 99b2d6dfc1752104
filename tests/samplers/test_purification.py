"""Which labels are flagged: the rule by hand, and with fields in closed form."""

import pytest
import torch

from sourcewise.randomness import Noise
from sourcewise.samplers.paths import PATHS
from sourcewise.samplers.purification import label_excess
from sourcewise.studies.spfm import closed
from sourcewise.truths.normal_mixture import NormalMixture

LINEAR = PATHS["linear"]


def field(*key: str):
    """A velocity that is linear in all entries of a row, whatever the row's shape."""

    def velocity(x, t):
        size = x[0].numel() if x.ndim == 2 else x.flatten(-3).shape[-1]
        A = Noise(8).of(*key).normal(size, size)
        rows = x if x.ndim == 2 else x.flatten(-3)
        return (rows @ A + t).view(x.shape)

    return velocity


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("shape", [(3,), (2, 2, 1)])
@pytest.mark.parametrize("t", [0.1, 0.3, 0.9])
def test_it_is_the_difference_of_two_losses_with_the_same_noise(name, shape, t):
    path, B, R = PATHS[name], 4, 5
    x, n = Noise(1).normal(B, *shape), Noise(2).normal(B, R, *shape)
    told, untold = field("told"), field("untold")
    found = label_excess(told, untold, x, n, t, path, len(shape))
    sure = label_excess(told, untold, x, n, t, path, len(shape), margin=1.5)
    at = torch.tensor(t, dtype=torch.float64)
    each = torch.zeros(B, R, dtype=torch.float64)
    for b in range(B):
        for r in range(R):
            one, noise = x[b : b + 1], n[b, r][None]
            point, u = path.point(one, noise, at), path.velocity(one, noise, at)
            losses = [(v(point, at) - u).square().mean() for v in (told, untold)]
            each[b, r] = losses[0] - losses[1]
    torch.testing.assert_close(found, each.mean(1), rtol=1e-8, atol=1e-8)
    error = ((each - each.mean(1, keepdim=True)).square().sum(1) / (R - 1) / R).sqrt()
    torch.testing.assert_close(sure, each.mean(1) - 1.5 * error, rtol=1e-8, atol=1e-8)


def test_models_side_by_side_are_as_one_after_another():
    x, n = Noise(1).normal(3, 4, 2), Noise(2).normal(3, 4, 5, 2)

    def told(v, t):
        return v.square()

    def untold(v, t):
        return v + t

    together = label_excess(told, untold, x, n, 0.4, LINEAR)
    apart = [label_excess(told, untold, x[s], n[s], 0.4, LINEAR) for s in range(3)]
    assert torch.equal(together, torch.stack(apart))


def test_a_label_that_changes_nothing_is_never_flagged():
    x, n = Noise(1).normal(6, 2), Noise(2).normal(6, 3, 2)
    found = label_excess(field("one"), field("one"), x, n, 0.3, LINEAR)
    assert torch.equal(found, torch.zeros(6, dtype=torch.float64))


def close_classes() -> NormalMixture:
    mean = torch.tensor([[[-0.7, 0.0]], [[0.7, 0.4]], [[0.0, -0.9]]]).double()
    one = torch.ones(3, 1, dtype=torch.float64)
    return NormalMixture(one, mean, 0.6 * one)


@pytest.mark.parametrize("t", [0.2, 0.5, 0.8])
def test_rows_of_a_label_s_own_law_are_best_known_with_it(t):
    """v_c is E[u | x_t] under that law: the mean excess is `-E |v_c - v|^2 / D` exactly."""
    truth, rho, N = close_classes(), 0.3, 40_000
    told, untold = closed.contaminated(truth, rho), truth.mixed()
    y = torch.ones(N).long()
    x, n = told.sample(y, noise=Noise(3).of("rows")), Noise(4).normal(N, 1, 2)
    at = LINEAR.at(torch.tensor(t, dtype=torch.float64))
    fields = [lambda v, t: told.velocity(v, y, at), lambda v, t: untold.velocity(v, y * 0, at)]
    excess = label_excess(fields[0], fields[1], x, n, t, LINEAR)
    point = at.a * x + at.b * n[:, 0]
    apart = (fields[0](point, t) - fields[1](point, t)).square().mean(1)
    gap = excess + apart
    assert abs(float(gap.mean())) < 4 * float(gap.std()) / N**0.5
    assert float(apart.mean()) > 10 * float(gap.std()) / N**0.5  # or nothing was tested


def test_the_contaminated_law_is_the_share_of_all_classes():
    truth, rho = close_classes(), 0.3
    x, y = Noise(5).normal(20, 2), torch.arange(20) % 3
    every = [truth.log_prob(x, torch.full((20,), k)).exp() for k in range(3)]
    own = torch.stack(every, 1)[torch.arange(20), y]
    expected = (1 - rho) * own + rho / 2 * (sum(every) - own)
    found = closed.contaminated(truth, rho).log_prob(x, y).exp()
    torch.testing.assert_close(found, expected)


def test_flags_do_not_depend_on_how_many_rows_are_judged_at_once(monkeypatch):
    case = closed.CASES[1]
    found = closed.flag_rates(case, 2, 0.5, 300, Noise(0))
    monkeypatch.setattr(closed, "AT_ONCE", 5000)
    assert closed.flag_rates(case, 2, 0.5, 300, Noise(0)) == found
