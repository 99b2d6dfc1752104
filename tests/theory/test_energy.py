"""Brackets of energy-based models: quadrature on the cube, and counts of parameters."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import logsumexp

from sourcewise.errors import InputError
from sourcewise.theory import energy, general
from sourcewise.theory.energy import Member, Sizes, UpperBracket
from sourcewise.theory.layer_norms import LocalConstant
from sourcewise.theory.sharing import predicted_ratio

ROUNDING = 1e-12
SMALL = Sizes(D=2, d_e=2, W=6, L=2, B=1.5)
LARGE = Sizes(D=3072, d_e=1024, W=10_000, L=50, B=100)


def quadrature(D, panels):
    """Nodes (n, D) and log-weights of 4 Gauss points in each of `panels` panels per axis.

    Weights are positive and sum to 1: a probability on the cube, for which the theory holds
    exactly, so that domination and integrals below need no tolerance for the quadrature.
    """
    u, weight = np.polynomial.legendre.leggauss(4)
    node = ((np.arange(panels)[:, None] + (u + 1) / 2) / panels).ravel()
    log_w = np.log(np.tile(weight / 2 / panels, panels))
    grids = np.meshgrid(*[node] * D, indexing="ij")
    logs = np.meshgrid(*[log_w] * D, indexing="ij")
    return np.stack([g.ravel() for g in grids], axis=1), np.sum(logs, axis=0).ravel()


NODES = {1: quadrature(1, 100), 2: quadrature(2, 12)}


def random_member(rng, sizes, K, spread=1.0):
    """Entries uniform in the box or at its corners; networks of full width."""

    def entries(*shape):
        inner, corner = rng.uniform(-1, 1, shape), rng.choice([-1.0, 1.0], shape)
        return sizes.B * spread * np.where(rng.random(shape) < rng.random(), corner, inner)

    widths = [sizes.D + sizes.d_e, *[sizes.W] * (sizes.L - 1), 1]
    layers = [(entries(b, a), entries(b)) for a, b in pairwise(widths)]
    return Member(entries(K, sizes.d_e), layers)


def mapped(change, member):
    """The member with every array changed."""
    return Member(change(member.V_Y), [(change(A), change(b)) for A, b in member.layers])


def slow_energy(member, x, y):
    """One number at a time."""
    h = [*x, *member.V_Y[y]]
    for depth, (A, b) in enumerate(member.layers, 1):
        h = [a @ np.array(h) + s for a, s in zip(A, b, strict=True)]
        h = h if depth == len(member.layers) else [max(v, 0.0) for v in h]
    return h[0]


seeds = st.integers(0, 2**32 - 1)


@st.composite
def cases(draw):
    """(rng, sizes, K, member) on the interval or the square."""
    D, d_e, L = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    sizes = Sizes(D, d_e, D + d_e + draw(st.integers(0, 4)), L, draw(st.floats(1, 3)))
    rng, K = np.random.default_rng(draw(seeds)), draw(st.integers(1, 3))
    return rng, sizes, K, random_member(rng, sizes, K, spread=draw(st.floats(0, 1)))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(cases())
def test_the_reference_is_the_definition(case):
    rng, sizes, K, member = case
    x, y = rng.random((5, sizes.D)), int(rng.integers(K))
    slow = [slow_energy(member, point, y) for point in x]
    assert_allclose(energy.energy(member, x, y), slow, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_densities_integrate_to_one_and_the_bracket_to_its_gap(seed):
    """By adaptive quadrature with the energy evaluated anew, not at the nodes of Z."""
    member = random_member(np.random.default_rng(seed), Sizes(1, 1, 4, 2, 1), 1, spread=0.9)
    nodes, log_w = quadrature(1, 1000)
    log_Z = logsumexp(log_w - energy.energy(member, nodes, 0))
    bracket = UpperBracket(member, float(energy.tau(0.3)))
    lift = bracket.log_value(nodes, 0, log_w) + energy.energy(member, nodes, 0)
    assert_allclose(lift, 2 * bracket.tau - log_Z, rtol=0, atol=1e-12)
    total, _ = quad(lambda t: math.exp(lift[0] - slow_energy(member, [t], 0)), 0, 1, limit=200)
    assert_allclose(total, 1.3, rtol=1e-6)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(cases(), st.floats(-5, 0.5), st.booleans(), st.booleans())
def test_members_are_dominated_and_brackets_integrate(case, log_eps, sparse, near):
    """Everywhere and for every source, from the worst-case and from the member's own constant."""
    _, sizes, K, member = case
    if sparse:
        member = mapped(lambda array: np.where(np.abs(array) < 0.4, 0.0, array), member)
    eps, local = 10**log_eps, energy.local_constant(member, sizes.B) if near else None
    log_c = float(energy.bracketing(sizes, K, local=local).log_cells(eps))
    c = math.ceil(math.exp(log_c) * (1 - 1e-11))
    centre = energy.rounded_member(member, sizes.B, c, sparse)
    bracket = UpperBracket(centre, float(energy.tau(eps)))
    x, log_w = NODES[sizes.D]
    for y in range(K):
        above = bracket.log_value(x, y, log_w)
        digits = 1e-13 * (100 + np.abs(energy.energy(member, x, y)).max())
        assert np.all(energy.log_density(member, x, y, log_w) <= above + digits)
        assert math.exp(logsumexp(log_w + above)) <= (1 + eps) * (1 + 1e-11)


def test_no_smaller_bracket_is_above_all_models_within_tau():
    """Energy down by tau on a share s of the cube, up on the rest: `e^(2 tau)` as s -> 0."""
    tau = 0.4
    for share in (0.1, 0.01, 0.001):
        Z = share * math.exp(tau) + (1 - share) * math.exp(-tau)  # where the other has Z = 1
        ratio = math.exp(tau) / Z
        assert ratio <= 1 + energy.epsilon(tau)
        assert_allclose(ratio, 1 + energy.epsilon(tau), rtol=1.5 * share)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(cases(), st.floats(-8, 0))
def test_moved_parameters_move_energies_by_at_most_the_constants(case, log_eta):
    rng, sizes, K, member = case
    eta = 10**log_eta

    def step(array):
        moves = np.where(rng.random(array.shape) < 0.8, rng.choice([-1, 1], array.shape), 0.3)
        return np.clip(array + eta * moves, -sizes.B, sizes.B)

    other, x = (
        mapped(step, member),
        np.concatenate([NODES[sizes.D][0][::7], np.ones((1, sizes.D))]),
    )
    own = energy.local_constant(member, sizes.B, radius=eta).log_constant
    for y in range(K):
        before, after = energy.energy(member, x, y), energy.energy(other, x, y)
        change = np.abs(before - after).max()
        assert change <= eta * math.exp(own) + 1e-13 * (1 + np.abs(before).max())
    assert own <= sizes.log_C + ROUNDING


def test_the_constant_is_nearly_attained():
    """One layer that reads embeddings only but for one coordinate; all at the corner B = 1."""
    sizes, eta = Sizes(D=1, d_e=7, W=8, L=1, B=1), 1e-6
    ends = []
    for value in (1.0, 1 - eta):
        layer = (np.full((1, 8), value), np.full(1, value))
        ends.append(energy.energy(Member(np.full((1, 7), value), [layer]), [[1.0]], 0))
    slope = (ends[0] - ends[1]) / eta
    # C counts 8 + 1 for the entries and 8 for the inputs, of which 7 are embeddings and move.
    assert_allclose(slope, 16, rtol=1e-5)
    assert_allclose(math.exp(sizes.log_C), 17, rtol=ROUNDING)


def test_large_embeddings_count_as_inputs():
    """A layer of zeros that reads x = 1 and embeddings of 3: its entries move u by 1 + 3 + 1."""
    member = Member(np.full((1, 1), 3.0), [(np.zeros((1, 2)), np.zeros(1))])
    moved_by_one = Member(member.V_Y, [(np.ones((1, 2)), np.ones(1))])
    slope = energy.energy(moved_by_one, [[1.0]], 0) - energy.energy(member, [[1.0]], 0)
    assert slope == 5
    assert slope <= math.exp(energy.local_constant(member, B=3.0, radius=0.0).log_constant)


def test_each_block_chooses_its_own_zeros():
    K, J = 7, np.array([1, 3, 7])
    sparse, dense = energy.bracketing(replace(SMALL, S=5), K, J), energy.bracketing(SMALL, K, J)
    assert sparse.m_dense is not None
    assert np.array_equal(sparse.m_dense, np.asarray(dense.m))
    choices = J * math.log(math.comb(SMALL.P, 5))
    expected = choices + energy.m(replace(SMALL, S=5), K, J) * sparse.log_cells(1e-9)
    assert_allclose(sparse.log_number(1e-9), expected, rtol=ROUNDING)


@settings(derandomize=True)
@given(st.floats(-300, 300))
def test_tau_and_epsilon_are_inverse(log_eps):
    eps = 10.0**log_eps
    assert_allclose(energy.epsilon(energy.tau(eps)), eps, rtol=1e-12)


@settings(derandomize=True)
@given(st.floats(-300, 2.5))
def test_epsilon_and_tau_are_inverse(log_tau):
    tau = 10.0**log_tau
    assert_allclose(energy.tau(energy.epsilon(tau)), tau, rtol=1e-14)


def test_a_useless_bracket_is_infinite_not_an_error():
    with np.errstate(all="raise"):
        assert energy.epsilon(1e4) == math.inf


@pytest.mark.parametrize("K", [1, 4])
def test_parameters_are_the_entries_without_the_last_offset(K):
    member = random_member(np.random.default_rng(0), SMALL, K)
    count = member.V_Y.size + sum(np.size(A) + np.size(b) for A, b in member.layers) - 1
    assert energy.m_pooled(SMALL, K) == count
    assert SMALL.P_shared == count - K * SMALL.P_src
    assert energy.m_separate(SMALL, K) == K * energy.m_pooled(SMALL, 1)


def test_the_last_offset_cancels():
    member = random_member(np.random.default_rng(0), SMALL, 1)
    (A, b), last = member.layers[-1], [*member.layers[:-1]]
    x, log_w = NODES[2]
    other = replace(member, layers=[*last, (A, np.asarray(b) + 5)])
    before, after = (energy.log_density(part, x, 0, log_w) for part in (member, other))
    assert_allclose(before, after, rtol=0, atol=1e-12)


partitions = st.integers(1, 10**6).flatmap(lambda K: st.tuples(st.just(K), st.integers(1, K)))


@settings(derandomize=True)
@given(partitions, st.integers(1, 500), st.integers(1, 20))
def test_pooling_and_sharing(partition, S, d_e):
    (K, J), sizes = partition, Sizes(10, d_e, 40, 3, 2.0, S)
    m = energy.m(sizes, K, J)
    assert energy.m_pooled(sizes, K) == S + K * d_e
    assert energy.m_separate(sizes, K) == K * (S + d_e)
    assert energy.m_pooled(sizes, K) <= m <= energy.m_separate(sizes, K)
    assert_allclose(math.sqrt(m / energy.m_separate(sizes, K)), predicted_ratio(sizes.beta, K, J))
    number = [energy.bracketing(sizes, K, blocks).log_number(1e-3) for blocks in (1, J, K)]
    assert number == sorted(number)


@settings(derandomize=True, max_examples=50)
@given(st.integers(1, SMALL.P), st.floats(-300, 3), partitions)
def test_choosing_zeros_never_costs(S, log_eps, partition):
    (K, J), eps = partition, 10.0**log_eps
    dense = energy.bracketing(SMALL, K, J).log_number(eps)
    assert energy.bracketing(replace(SMALL, S=S), K, J).log_number(eps) <= dense * (1 + 1e-15)
    assert energy.bracketing(replace(SMALL, S=SMALL.P), K, J).log_number(eps) == dense


@settings(derandomize=True, max_examples=50)
@given(st.floats(-12, 0), st.floats(1, 10), st.integers(1, 1000))
def test_log_number_grows_with_every_size(log_eps, factor, K):
    eps, number = 10**log_eps, energy.bracketing(SMALL, K).log_number(10**log_eps)
    assert energy.bracketing(SMALL, K).log_number(eps / factor) >= number
    assert energy.bracketing(SMALL, K + 1).log_number(eps) > number
    for name, value in (("D", 3), ("d_e", 3), ("W", 7), ("L", 3), ("B", 1.6)):
        larger = replace(SMALL, **{name: value})
        assert energy.bracketing(larger, K).log_number(eps) >= number


def test_the_constant_is_the_printed_one():
    for L, W, B in ((1, 10, 1.0), (3, 64, 2.5)):
        C = L * (W + 1) ** L * B ** (L - 1) * max(1, B) + (W * B) ** L
        assert_allclose(math.exp(Sizes(2, 8, W, L, B).log_C), C, rtol=ROUNDING)


def test_extremes_neither_overflow_nor_vanish():
    K, eps = np.array([1, 10**6])[:, None], np.array([1e-300, 1e-8, 1.0])
    for J in (1, K):
        numbers = energy.bracketing(LARGE, K, J).log_number(eps)
        m, tau = np.asarray(energy.m(LARGE, K, J)), energy.tau(eps)
        assert_allclose(numbers, m * (math.log(100) + LARGE.log_C - np.log(tau)), rtol=ROUNDING)
    for form in (general.paper, general.simple, general.refined):
        value = form(energy.bracketing(LARGE, K, K), n=np.array([1.0, 1e18]), delta=0.05).value
        assert np.all(np.isfinite(value))
        assert np.all(value > 0)


def test_bounds_of_a_small_model_are_ordered_and_fall_with_n():
    n, class_ = np.geomspace(1, 1e9, 30), energy.bracketing(SMALL, K=5)
    paper, simple, refined = (
        form(class_, n).value for form in (general.paper, general.simple, general.refined)
    )
    assert np.all(refined <= simple + 1e-12)
    assert np.all(simple <= np.minimum(paper, 1))
    assert np.all(np.diff(refined) <= 1e-9)
    assert refined[-1] < 0.01


def test_a_trained_models_own_constant_gains():
    sizes = Sizes(D=16, d_e=8, W=64, L=5, B=1)
    member = random_member(np.random.default_rng(0), sizes, K=3, spread=1 / 64)
    local = energy.local_constant(member, B=1.0).peeled()
    own, worst = energy.bracketing(sizes, 3, local=local), energy.bracketing(sizes, 3)
    saved = worst.log_number(1e-4) - own.log_number(1e-4)
    assert saved > energy.m_pooled(sizes, 3) * 4 * math.log(64)  # a factor of 64 per layer


BAD = [
    ("D must be", {"D": 0}),
    ("d_e must be", {"d_e": 2.5}),
    ("W must be .* at least 4", {"W": 3}),
    ("L must be", {"L": 0}),
    ("B must be in", {"B": 0.5}),
    ("S must be .* at most 36", {"S": 37}),
]


@pytest.mark.parametrize(("message", "change"), BAD)
def test_bad_sizes_are_named(message, change):
    with pytest.raises(InputError, match=message):
        replace(SMALL, **change)


CALLS = [
    ("K must be a whole number", lambda: energy.m_pooled(SMALL, 0)),
    ("J must be at most 3", lambda: energy.bracketing(SMALL, [5, 3], 4)),
    ("eps must be above 0", lambda: energy.tau(0)),
    (
        "entries of member must be in \\[-1, 1\\]",
        lambda: energy.local_constant(random_member(np.random.default_rng(0), SMALL, 1), B=1),
    ),
    (
        "radius must be above 0",
        lambda: energy.bracketing(SMALL, 3, local=LocalConstant(1.0, 0.0)),
    ),
]


@pytest.mark.parametrize(("message", "call"), CALLS)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
