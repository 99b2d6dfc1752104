"""The constants against random networks, and networks that attain them; covers that cover."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sourcewise.errors import InputError
from sourcewise.theory.layer_norms import LayerNorms
from sourcewise.theory.mlp import (
    covering,
    forward,
    inside_box,
    log_input_lipschitz,
    log_parameter_lipschitz,
    log_subsets,
    log_sup_norm,
    nearest_centres,
    parameter_count,
    rounded,
)

ROUNDING = 1e-12  # relative, of double precision sums of some hundred terms


def random_network(rng, W, L, B, d_in, d_out):
    """Entries uniform in the box, or at its corners, where the constants are nearly attained."""
    sizes = [d_in, *rng.integers(1, W + 1, L - 1), d_out]
    sign = rng.random() < 0.5

    def entries(*shape):
        inner = rng.uniform(-B, B, shape)
        corner = B * (1.0 if sign else rng.choice([-1.0, 1.0], shape))
        return np.where(rng.random(shape) < rng.random(), corner, inner)

    return [(entries(b, a), entries(b)) for a, b in pairwise(sizes)]


def moved(rng, layers, B, eta):
    """Another network of the box, each entry at most eta away, most of them just that."""

    def entries(array):
        step = eta * np.where(
            rng.random(array.shape) < 0.8, rng.choice([-1, 1]), rng.uniform(-1, 1)
        )
        return np.clip(array + step, -B, B)

    return [(entries(A), entries(b)) for A, b in layers]


def all_equal(value, W, L):
    """Each entry the same, W everywhere: the network that attains the constants."""
    return [(np.full((W, W), value), np.full(W, value)) for _ in range(L)]


def log_largest(values):
    with np.errstate(divide="ignore"):
        return np.log(np.abs(values).max())


sizes = {"W": st.integers(1, 9), "L": st.integers(1, 5), "B": st.floats(1, 20)}
seeds = st.integers(0, 2**32 - 1)


@st.composite
def cases(draw):
    """(rng, W, L, B, R, network, inputs bounded by R)."""
    W, L, B = (draw(sizes[name]) for name in "WLB")
    R, rng = draw(st.floats(1, 10)), np.random.default_rng(draw(seeds))
    d_in, d_out = draw(st.integers(1, W)), draw(st.integers(1, 12))
    x = R * np.concatenate([rng.uniform(-1, 1, (20, d_in)), rng.choice([-1.0, 1.0], (20, d_in))])
    return rng, W, L, B, R, random_network(rng, W, L, B, d_in, d_out), x


@settings(deadline=None, derandomize=True)
@given(cases())
def test_outputs_stay_below_own_below_worst_below_printed_norm(case):
    _, W, L, B, R, layers, x = case
    own = LayerNorms.of(layers).log_sup_norm(R)
    worst = LayerNorms.worst_case(W, L, B).log_sup_norm(R)
    assert log_largest(forward(layers, x)) <= own + ROUNDING
    assert own <= worst + ROUNDING
    assert worst <= log_sup_norm(W, L, B, R) + ROUNDING


@settings(deadline=None, derandomize=True, max_examples=300)
@given(cases(), st.floats(-9, 0))
def test_moved_entries_move_outputs_by_at_most_the_constants(case, log_eta):
    rng, W, L, B, R, layers, x = case
    eta = 10**log_eta
    other = moved(rng, layers, B, eta)
    own = LayerNorms.of(layers).log_parameter_lipschitz(B, R, radius=eta)
    worst = LayerNorms.worst_case(W, L, B).log_parameter_lipschitz(B, R, radius=eta)
    change = np.abs(forward(layers, x) - forward(other, x)).max()
    lost = 1e-14 * sum(math.exp(LayerNorms.of(f).log_sup_norm(R)) for f in (layers, other))
    assert change <= math.exp(own + math.log(eta)) * (1 + ROUNDING) + lost
    assert own <= worst + ROUNDING
    assert worst <= log_parameter_lipschitz(W, L, B, R) + ROUNDING


@settings(deadline=None, derandomize=True)
@given(cases(), st.floats(0, 1))
def test_moved_inputs_move_outputs_by_at_most_the_constants(case, radius):
    rng, W, L, B, _, layers, x = case
    norms, nearby = LayerNorms.of(layers), x + rng.uniform(-1, 1, x.shape)
    distance = np.abs(x - nearby).max(axis=1)
    for network in (layers, moved(rng, layers, B, radius)):
        change = np.abs(forward(network, x) - forward(network, nearby)).max(axis=1)
        own = norms.log_input_lipschitz(B, radius)
        assert log_largest(change / distance) <= own + 1e-9
    assert own <= log_input_lipschitz(W, L, B) + ROUNDING


@pytest.mark.parametrize("W", [1, 2, 7])
@pytest.mark.parametrize("L", [1, 2, 5])
@pytest.mark.parametrize("B", [1.0, 3.0])
@pytest.mark.parametrize("R", [1.0, 2.5])
def test_the_network_of_equal_entries_attains_the_constants(W, L, B, R):
    norms, x = LayerNorms.worst_case(W, L, B), np.full(W, R)
    top = forward(all_equal(B, W, L), x)
    assert_allclose(np.log(top), norms.log_sup_norm(R), rtol=0, atol=ROUNDING)

    slope = (top - forward(all_equal(B, W, L), x - 0.5)) / 0.5  # R - 1/2 > 0: every unit is on
    assert_allclose(np.log(slope), log_input_lipschitz(W, L, B), rtol=0, atol=1e-11)

    eta = 1e-7  # in the limit only: f is a polynomial of degree L in the common entry
    slope = (top - forward(all_equal(B - eta, W, L), x)) / eta
    gap = norms.log_parameter_lipschitz(B, R) - np.log(slope)
    assert np.all(np.abs(gap) < 1e-5)


def test_the_printed_constants_are_attained_by_one_layer_and_in_the_limit_of_width_only():
    one = forward(all_equal(2.0, 3, 1), [1, 1, 1])
    other = forward(all_equal(1.5, 3, 1), [1, 1, 1])
    assert_allclose(one, np.exp(log_sup_norm(W=3, L=1, B=2)), rtol=ROUNDING)
    lipschitz = np.exp(log_parameter_lipschitz(W=3, L=1, B=2))
    assert_allclose(one - other, lipschitz * 0.5, rtol=ROUNDING)
    for W, least, most in ((1, 0.2, 0.8), (100, 0.9, 0.99), (10**6, 1 - 1e-5, 1.0)):
        norms = LayerNorms.worst_case(W, 3, 1)
        assert least < math.exp(norms.log_sup_norm() - log_sup_norm(W, 3, 1)) < most
        printed = log_parameter_lipschitz(W, 3, 1)
        assert least < math.exp(norms.log_parameter_lipschitz(1) - printed) < most


def slow_forward(layers, x):
    """One number at a time."""
    h = list(x)
    for depth, (A, b) in enumerate(layers, 1):
        h = [
            sum(a * v for a, v in zip(row, h, strict=True)) + s
            for row, s in zip(A, b, strict=True)
        ]
        h = h if depth == len(layers) else [max(v, 0.0) for v in h]
    return h


@settings(deadline=None, derandomize=True, max_examples=30)
@given(cases())
def test_forward_is_the_definition(case):
    _, _, _, _, _, layers, x = case
    scale = math.exp(LayerNorms.of(layers).log_sup_norm(10))
    slow = [slow_forward(layers, row) for row in x]
    assert_allclose(forward(layers, x), slow, rtol=0, atol=1e-14 * scale)


@settings(derandomize=True)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(9, 20), st.integers(1, 6))
def test_parameters_are_the_entries(d_in, d_out, W, L):
    widths = [d_in, *[W] * (L - 1), d_out]
    layers = [(np.zeros((b, a)), np.zeros(b)) for a, b in pairwise(widths)]
    assert parameter_count(d_in, d_out, W, L) == sum(A.size + b.size for A, b in layers)


def test_parameters_of_a_billion_layers_are_counted_at_once():
    assert parameter_count(3, 2, 8, 10**9) == 4 * 8 + (10**9 - 2) * 72 + 9 * 2


@settings(derandomize=True)
@given(st.floats(0.01, 100), st.integers(1, 1000), seeds)
def test_centres_lie_inside_the_box_and_within_half_a_cell(B, c, seed):
    values = np.random.default_rng(seed).uniform(-B, B, 200)
    values[:2] = -B, B
    centres = nearest_centres(values, B, c)
    assert np.all(np.abs(centres) <= B * (1 - 1 / c) + 1e-15 * B)
    assert np.all(np.abs(centres - values) <= B / c * (1 + 1e-12))


@pytest.mark.parametrize("c", [1, 2, 7, 64])
def test_there_are_as_many_centres_as_counted(c):
    assert len(np.unique(nearest_centres(np.linspace(-3, 3, 10_001), 3.0, c))) == c


@settings(deadline=None, derandomize=True)
@given(cases(), st.floats(-4, 1), st.floats(0, 1))
def test_the_cover_covers(case, log_tau, share):
    rng, W, L, B, R, layers, x = case
    tau = 10**log_tau
    layers = [(A * (rng.random(A.shape) < share), b) for A, b in layers]
    log_c = float(covering(10**6, W, L, B, R).log_cells(tau))
    lost = 1e-14 * math.exp(LayerNorms.of(layers).log_sup_norm(R))
    for sparse in (False, True):
        near = rounded(layers, B, round(math.exp(log_c)), sparse)
        assert np.abs(forward(layers, x) - forward(near, x)).max() <= tau * (1 + 1e-9) + lost
        inside_box("cover", [part for layer in near for part in layer], B)
    assert all(np.all(a[A == 0] == 0) for (A, _), (a, _) in zip(layers, near, strict=True))


@settings(derandomize=True)
@given(st.integers(0, 400), st.data())
def test_subsets_are_counted(P, data):
    S = data.draw(st.integers(0, P))
    assert_allclose(log_subsets(P, S), math.log(math.comb(P, S)), rtol=1e-12, atol=1e-12)


def test_subsets_of_many():
    assert_allclose(log_subsets(20_000, 7000), math.log(math.comb(20_000, 7000)), rtol=1e-12)
    assert_allclose(log_subsets(5e9, [1, 5e9 - 1]), math.log(5e9), rtol=1e-12)
    assert log_subsets(5e9, 5e9) == log_subsets(5e9, 0) == 0


@settings(derandomize=True)
@given(st.integers(1, 10**6), st.data(), st.floats(-300, 1))
def test_choosing_zeros_never_costs(P, data, log_tau):
    S = data.draw(st.integers(1, P))
    tau, dense = 10.0**log_tau, covering(P, W=30, L=4, B=2)
    assert covering(P, W=30, L=4, B=2, S=S).log_number(tau) <= dense.log_number(tau)
    assert covering(P, W=30, L=4, B=2, S=P).log_number(tau) == dense.log_number(tau)
    choices = log_subsets(P, S) + S * dense.log_cells(tau)
    assert covering(P, W=30, L=4, B=2, S=S).log_number(tau) <= choices * (1 + 1e-15)


@settings(derandomize=True)
@given(st.floats(1e-12, 1), st.floats(1, 3), sizes["W"], sizes["L"], sizes["B"], st.floats(1, 5))
def test_covers_grow_with_every_size(tau, factor, W, L, B, R):
    number = covering(50, W, L, B, R).log_number(tau)
    larger = [
        covering(51, W, L, B, R).log_number(tau),
        covering(50, W + 1, L, B, R).log_number(tau),
        covering(50, W, L + 1, B, R).log_number(tau),
        covering(50, W, L, B * factor, R).log_number(tau),
        covering(50, W, L, B, R * factor).log_number(tau),
        covering(50, W, L, B, R).log_number(tau / factor),
    ]
    assert all(value >= number for value in larger)


def test_extremes_neither_overflow_nor_vanish():
    P = parameter_count(10_000, 10_000, 10_000, 50)
    class_ = covering(P, W=10_000, L=50, B=100)
    log_C = math.log(50) + 50 * math.log(10_001) + 49 * math.log(100)
    assert_allclose(class_.log_scale, log_C, rtol=ROUNDING)
    expected = P * (math.log(100) + log_C + 300 * math.log(10))
    assert_allclose(class_.log_number(1e-300), expected, rtol=ROUNDING)
    deep = LayerNorms.worst_case(10_000, 2000, 100)  # 10^12000
    assert_allclose(deep.log_sup_norm(), 2000 * math.log(1e6), rtol=1e-5)
    assert math.isfinite(deep.log_parameter_lipschitz(100.0, radius=1e-9))


def test_constants_broadcast():
    W, L, B, R = np.array([2, 5])[:, None], np.array([1, 4, 30]), 2.0, 3.0
    for values, plain in (
        (log_sup_norm(W, L, B, R), lambda w, deep: ((w + 1) * B) ** deep * R),
        (
            log_parameter_lipschitz(W, L, B, R),
            lambda w, deep: deep * (w + 1) ** deep * B ** (deep - 1) * R,
        ),
        (log_input_lipschitz(W, L, B), lambda w, deep: (w * B) ** deep),
    ):
        expected = [[math.log(plain(int(w), int(deep))) for deep in L] for w in W.ravel()]
        assert_allclose(values, expected, rtol=ROUNDING)


PAIR = [([[1.0, 2.0]], [0.0])]
BAD = [
    ("W must be a whole number, at least 1", lambda: log_sup_norm(0, 2, 1)),
    ("L must be a whole number", lambda: log_parameter_lipschitz(3, 1.5, 1)),
    ("B must be in \\[1, inf\\]", lambda: log_input_lipschitz(3, 2, 0.5)),
    ("R must be in \\[1, inf\\]", lambda: log_sup_norm(3, 2, 1, math.nan)),
    ("W must be .* at least 7", lambda: parameter_count(7, 2, 6, 3)),
    ("d_out must be", lambda: parameter_count(7, 0, 8, 3)),
    ("S must be at most 5", lambda: log_subsets(5, 6)),
    ("S must be .* at most 5", lambda: covering(5, 2, 2, 1, S=6)),
    ("P must be", lambda: covering(0, 2, 2, 1)),
    ("c must be", lambda: nearest_centres([0], 1, 0)),
    ("values must be in \\[-1, 1\\]", lambda: nearest_centres([1.1], 1, 3)),
    ("at layer 2", lambda: forward([*PAIR, *PAIR], [1, 2])),
    ("layer 1 must have finite", lambda: forward([([[math.inf]], [0])], [1])),
]


@pytest.mark.parametrize(("message", "call"), BAD)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
