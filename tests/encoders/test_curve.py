import json
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sourcewise.encoders.curve import Curve
from sourcewise.randomness import Noise

N = 3000


def cauchy(u: Tensor) -> Tensor:
    return torch.tan(math.pi * (u - 0.5))


def two(u: Tensor) -> Tensor:
    """Two narrow groups far apart."""
    return torch.where(u < 0.5, 0.01 * u, 5 + 0.02 * u)


QUANTILES: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": torch.special.ndtri,
    "uniform": lambda u: u,
    "exponential": lambda u: -u.log(),
    "lognormal": lambda u: (2 * torch.special.ndtri(u)).exp(),
    "cauchy": cauchy,
    "two": two,
}


def column(name: str, n: int = N) -> Tensor:
    return QUANTILES[name](Noise(0).uniform(n))


@pytest.fixture(params=list(QUANTILES))
def v(request) -> Tensor:
    return column(request.param)


def test_a_normal_column_is_standardised_and_no_more():
    v = 3 + 5 * column("normal")
    curve = Curve.of(v)
    assert curve.lower == curve.upper == 0
    z, log = curve.scores(v)
    torch.testing.assert_close(z, (v - v.mean()) / v.std(correction=0), rtol=0, atol=1e-12)
    torch.testing.assert_close(log, -v.std(correction=0).log().expand(N), rtol=0, atol=1e-12)


def test_training_rows_have_mean_0_and_variance_1(v):
    z = Curve.of(v).scores(v)[0]
    assert float(z.mean()) == pytest.approx(0, abs=1e-12)
    assert float(z.square().mean()) == pytest.approx(1, abs=1e-12)
    assert float(z.abs().max()) < 16  # tails of a Cauchy distribution included


def test_the_inverse_inverts(v):
    curve = Curve.of(v)
    far = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    torch.testing.assert_close(curve.scores(curve.values(far))[0], far, rtol=0, atol=1e-9)
    torch.testing.assert_close(curve.values(curve.scores(v)[0]), v, rtol=1e-9, atol=1e-9)


def test_the_derivative_is_that_of_the_map(v):
    curve = Curve.of(v)
    z = torch.linspace(-5, 5, 997, dtype=torch.float64)
    at = curve.values(z).requires_grad_()
    found, log = curve.scores(at)
    (slope,) = torch.autograd.grad(found.sum(), at)
    torch.testing.assert_close(log.exp(), slope, rtol=1e-9, atol=0)
    h = 1e-5 / slope
    rise = curve.scores(at + h)[0] - curve.scores(at - h)[0]
    torch.testing.assert_close((rise / (2 * h)).log(), log, rtol=0, atol=1e-4)


def test_the_derivative_has_no_jump(v):
    """At knots it is the same from both sides, and given there."""
    curve = Curve.of(v)
    h = 1e-9 * curve.knots.diff().min()
    for at in (curve.knots - h, curve.knots, curve.knots + h):
        log = curve.scores(at)[1]
        torch.testing.assert_close(log, curve.slopes.log(), rtol=0, atol=1e-4)


def test_a_standard_normal_z_is_a_density_of_the_column(v):
    """By the rectangle rule over the column, in pieces that are short where the map is steep."""
    curve = Curve.of(v)
    z = torch.linspace(-9, 9, 1001, dtype=torch.float64)
    pieces = torch.cat([curve.values(z), curve.knots]).sort().values
    widths = pieces.diff()[:, None]
    share = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
    at = (pieces[:-1, None] + widths * share).flatten()
    z, log = curve.scores(at)
    density = (log - 0.5 * (z.square() + math.log(2 * math.pi))).exp().view(-1, 100)
    assert float((density * widths / 100).sum()) == pytest.approx(1, abs=1e-6)


@given(
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-1e3, 1e3),
    name=st.sampled_from(list(QUANTILES)),
    n=st.sampled_from([2, 9, 50, 700]),
)
@settings(deadline=None)
def test_shift_and_scale_change_nothing_of_z(scale, shift, name, n):
    v = column(name, n)
    z, log = Curve.of(v).scores(v)
    moved, theirs = Curve.of(scale * v + shift).scores(scale * v + shift)
    torch.testing.assert_close(moved, z, rtol=0, atol=1e-6)
    torch.testing.assert_close(theirs + math.log(scale), log, rtol=0, atol=1e-5)


def test_places_that_are_dense_are_spread(v):
    """To twice what the normal column with the outermost quantiles is at its middle; no others."""
    curve, n = Curve.of(v), len(v)
    levels = torch.special.ndtri((v[:, None] < curve.knots).double().mean(0))
    r = (curve.knots[-1] - curve.knots[0]) / (levels[-1] - levels[0])
    means = curve.heights.diff() / curve.knots.diff()
    unit = r * means.min()  # of z
    rows = torch.histogram(v, curve.knots).hist
    density = rows / n / (curve.heights.diff() / unit)
    top = 2 / math.sqrt(2 * math.pi)
    assert float(density.max()) < top + 0.05
    spread = means > means.min() * 1.001
    torch.testing.assert_close(
        density[spread], torch.full_like(density[spread], top), rtol=0, atol=0.05
    )


def test_heavy_tails_are_bent_and_light_ones_are_not():
    """The median of a tail of m rows, over 1 + 2 / sqrt(m), goes where a normal one is."""
    for name in ("normal", "uniform", "two"):
        curve = Curve.of(column(name))
        assert curve.lower == curve.upper == 0
    v = column("cauchy")
    curve = Curve.of(v)
    beyond = v[v > curve.knots[-1]] - curve.knots[-1]
    levels = torch.special.ndtri(torch.tensor([0.01, 0.02, 0.98], dtype=torch.float64))
    r = (curve.knots[-1] - curve.knots[0]) / (levels[2] - levels[1])
    near = beyond.median() / (1 + 2 / math.sqrt(len(beyond)))
    z = curve.scores((curve.knots[-1] + near)[None])[0] - curve.heights[-1]
    unit = r * (curve.heights.diff() / curve.knots.diff()).min()  # of z
    assert float(z) == pytest.approx(float(unit * (levels[1] - levels[0])), rel=1e-6)


@pytest.mark.parametrize("values", [[3.0] * 9, [2.0], [0.0, 0.0], [1.0, 1.0, 1.0, 2.0]])
def test_hardly_any_different_values(values):
    v = torch.tensor(values, dtype=torch.float64)
    curve = Curve.of(v)
    z, log = curve.scores(v)
    assert bool(z.isfinite().all() & log.isfinite().all())
    torch.testing.assert_close(curve.values(z), v, rtol=0, atol=1e-12)


def test_draws_stay_finite(v):
    far = torch.tensor([-40.0, 40.0], dtype=torch.float64)
    assert bool(Curve.of(v).values(far).isfinite().all())


def test_saved_and_loaded_it_is_the_same(v):
    curve = Curve.of(v)
    loaded = Curve.from_json(json.loads(json.dumps(curve.to_json())))
    for a, b in zip(curve.scores(v), loaded.scores(v), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("knots", [0.0, 0.0], "not in order"),
        ("heights", [1.0, 0.0], "not in order"),
        ("slopes", [1.0], "other numbers"),
        ("slopes", [1.0, 0.0], "slopes"),
        ("lower", -1.0, "bent outwards"),
    ],
)
def test_damaged_documents_are_refused(part, value, said):
    document = {"knots": [0.0, 1.0], "heights": [0.0, 1.0], "slopes": [1.0, 1.0]}
    with pytest.raises(ValueError, match=said):
        Curve.from_json({**document, "lower": 0.0, "upper": 0.0, part: value})
