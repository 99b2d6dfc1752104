"""Brackets of autoregressive models: exact sums over all sequences, and counts of parameters."""

import math
from dataclasses import fields, replace
from decimal import Decimal, localcontext
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sourcewise.errors import InputError
from sourcewise.theory import arm, general
from sourcewise.theory.arm import Member, Sizes, UpperBracket
from sourcewise.theory.layer_norms import LocalConstant
from sourcewise.theory.mlp import forward
from sourcewise.theory.sharing import predicted_ratio

ROUNDING = 1e-12
ENCODERS = ("per position", "shared")
SMALL = Sizes(M=3, D=4, d_e=2, W=6, L=2, B=1.5)
LARGE = Sizes(M=50_000, D=1024, d_e=1024, W=10_000, L=50, B=100)


def random_member(rng, sizes, K, spread=1.0):
    """Entries uniform in the box or at its corners; networks of full width."""

    def entries(*shape):
        inner, corner = rng.uniform(-1, 1, shape), rng.choice([-1.0, 1.0], shape)
        return sizes.B * spread * np.where(rng.random(shape) < rng.random(), corner, inner)

    widths = [sizes.D, *[sizes.W] * (sizes.L - 1), sizes.M]
    layers = [(entries(b, a), entries(b)) for a, b in pairwise(widths)]
    shape = (sizes.D, sizes.d_e) if sizes.encoder == "per position" else (sizes.d_e,)
    V_X, V_Y = entries(sizes.M, sizes.d_e), entries(K, sizes.d_e)
    return Member(V_X, V_Y, entries(*shape), entries(sizes.D), layers)


def mapped(change, member):
    """The member with every array changed."""
    V_X, V_Y, a, b = (change(part) for part in (member.V_X, member.V_Y, member.a, member.b))
    return Member(V_X, V_Y, a, b, [(change(A), change(b)) for A, b in member.layers])


def nearby(rng, member, B, eta):
    """Each parameter moved by eta inside the box, most by all of it."""

    def entries(array):
        step = np.where(rng.random(array.shape) < 0.8, rng.choice([-1, 1], array.shape), 0.3)
        return np.clip(array + eta * step, -B, B)

    return mapped(entries, member)


def logits(member, x, y):
    """Before the softmax, from the definition and one example at a time; (n, D, M)."""
    found = []
    for symbols, source in zip(x, y, strict=True):
        rows = [member.V_Y[source], *(member.V_X[symbol] for symbol in symbols[:-1])]
        a = np.broadcast_to(member.a, (len(rows), rows[0].size))
        v = [1 / (1 + math.exp(-(a[j] @ row) - member.b[j])) for j, row in enumerate(rows)]
        D = len(v)
        found.append([forward(member.layers, v[: d + 1] + [0.0] * (D - d - 1)) for d in range(D)])
    return np.array(found)


def log_p(member, x, y):
    conditional = arm.log_conditionals(member, x, y)
    return np.take_along_axis(conditional, x[..., None], axis=-1)[..., 0].sum(axis=-1)


def everything(M, D):
    return np.array(list(product(range(M), repeat=D)))


seeds = st.integers(0, 2**32 - 1)


@st.composite
def cases(draw):
    """(rng, sizes, K, member), M^D small enough to sum over."""
    M, D = draw(st.sampled_from([(2, 1), (2, 2), (2, 5), (3, 3), (5, 2), (7, 1), (4, 3)]))
    d_e, W, L = draw(st.integers(1, 3)), D + draw(st.integers(0, 4)), draw(st.integers(1, 3))
    B, encoder = draw(st.floats(1, 3)), draw(st.sampled_from(ENCODERS))
    sizes = Sizes(M, D, d_e, W, L, B, encoder=encoder)
    rng, K = np.random.default_rng(draw(seeds)), draw(st.integers(1, 3))
    return rng, sizes, K, random_member(rng, sizes, K, spread=draw(st.floats(0, 1)))


@settings(deadline=None, derandomize=True, max_examples=50)
@given(cases())
def test_the_reference_is_the_definition_and_normalises(case):
    rng, sizes, K, member = case
    x, y = rng.integers(0, sizes.M, (5, sizes.D)), rng.integers(0, K, 5)
    raw = logits(member, x, y)
    expected = raw - np.log(np.exp(raw - raw.max()).sum(-1, keepdims=True)) - raw.max()
    assert_allclose(arm.log_conditionals(member, x, y), expected, rtol=0, atol=1e-9)
    every = everything(sizes.M, sizes.D)
    for source in range(K):
        total = np.exp(log_p(member, every, np.full(len(every), source))).sum()
        assert_allclose(total, 1, rtol=1e-10)


def test_later_symbols_do_not_matter():
    rng = np.random.default_rng(0)
    member, x = random_member(rng, SMALL, 2), rng.integers(0, 3, (50, 4))
    other = x.copy()
    other[:, 2:] = rng.integers(0, 3, (50, 2))  # positions 3 and 4
    y = rng.integers(0, 2, 50)
    before, after = (arm.log_conditionals(member, part, y) for part in (x, other))
    assert np.array_equal(before[:, :3], after[:, :3])
    assert not np.array_equal(before[:, 3], after[:, 3])


@settings(deadline=None, derandomize=True, max_examples=200)
@given(cases(), st.floats(-5, 0), st.booleans(), st.booleans())
def test_members_are_dominated_and_brackets_integrate(case, log_eps, sparse, near):
    """Everywhere and for every source, from the worst-case and from the member's own constant."""
    _, sizes, K, member = case
    eps, local = 10**log_eps, arm.local_constant(member, sizes.B) if near else None
    if sparse:
        member = mapped(lambda array: np.where(np.abs(array) < 0.4, 0.0, array), member)
        local = arm.local_constant(member, sizes.B) if near else None
    bracketing = arm.bracketing(sizes, K, local=local)
    c = math.ceil(math.exp(float(bracketing.log_cells(eps))) * (1 - 1e-11))
    centre = arm.rounded_member(member, sizes.B, c, sparse)
    bracket = UpperBracket(centre, float(arm.tau(eps, sizes.M, sizes.D)))
    x = everything(sizes.M, sizes.D)
    for source in range(K):
        y = np.full(len(x), source)
        above = bracket.log_value(x, y)
        assert np.all(log_p(member, x, y) <= above + 1e-11)
        assert np.exp(above).sum() <= (1 + eps) * (1 + 1e-11)


@pytest.mark.parametrize("D", [1, 2, 4])
@pytest.mark.parametrize("M", [2, 5])
def test_the_bracket_of_the_uniform_model_has_the_whole_gap(M, D):
    sizes = Sizes(M, D, d_e=1, W=D, L=1, B=1)
    member = mapped(lambda array: 0 * array, random_member(np.random.default_rng(0), sizes, 1))
    x = everything(M, D)
    for eps in (1e-6, 0.3, 0.9 * (M**D - 1)):
        bracket = UpperBracket(member, float(arm.tau(eps, M, D)))
        total = np.exp(bracket.log_value(x, np.zeros(len(x), int))).sum()
        assert_allclose(total, 1 + eps, rtol=1e-12)


@settings(deadline=None, derandomize=True)
@given(st.integers(2, 6), st.floats(1e-8, 5), seeds)
def test_no_smaller_bracket_is_above_all_models_within_tau(M, tau, seed):
    """One symbol's logit up by tau and the others down: that model touches the bracket."""
    sizes, rng = Sizes(M, 1, d_e=1, W=1, L=1, B=1), np.random.default_rng(seed)
    member = random_member(rng, sizes, 1)
    (A, b) = member.layers[0]
    x, y = np.arange(M)[:, None], np.zeros(M, int)
    above = UpperBracket(member, tau).log_value(x, y)
    for symbol in range(M):
        shift = np.where(np.arange(M) == symbol, tau, -tau)
        extreme = log_p(replace(member, layers=[(A, b + shift)]), x, y)
        assert_allclose(extreme[symbol], above[symbol], rtol=0, atol=1e-13)
        assert np.all(extreme <= above + 1e-13)


def test_a_bracket_of_any_height_stays_finite():
    member = random_member(np.random.default_rng(0), SMALL, 1)
    x, y = everything(3, 4), np.zeros(81, int)
    assert_allclose(UpperBracket(member, 1e6).log_value(x, y), 0, atol=1e-12)
    assert_allclose(UpperBracket(member, 0.0).log_value(x, y), log_p(member, x, y), atol=1e-13)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(cases(), st.floats(-8, 0))
def test_moved_parameters_move_logits_by_at_most_the_constants(case, log_eta):
    rng, sizes, K, member = case
    eta = 10**log_eta
    other = nearby(rng, member, sizes.B, eta)
    x, y = rng.integers(0, sizes.M, (10, sizes.D)), rng.integers(0, K, 10)
    before, after = logits(member, x, y), logits(other, x, y)
    own = arm.local_constant(member, sizes.B, radius=eta).log_constant
    change = np.abs(before - after).max()
    assert change <= eta * math.exp(own) + 1e-13 * (1 + np.abs(before).max())
    assert own <= sizes.log_C + ROUNDING


def one_of_each(value, b):
    """The smallest model; its logit is `w sigmoid(a r + b) + w` with r, a, w all `value`."""
    one = np.full((1, 1), value)
    layer = (np.full((2, 1), value), np.full(2, value))
    return Member(np.full((2, 1), value), one, one, np.array([b]), [layer])


def test_the_constant_is_nearly_attained():
    """Slope `s + 1 + 3 s (1-s)`, s the sigmoid: 7/3 at s = 2/3, where C counts 1 + 1 + 3/4."""
    sizes, eta, b = Sizes(M=2, D=1, d_e=1, W=1, L=1, B=1), 1e-6, math.log(2) - 1
    x, y = np.zeros((1, 1), int), np.zeros(1, int)
    high, low = logits(one_of_each(1.0, b), x, y), logits(one_of_each(1 - eta, b - eta), x, y)
    assert_allclose((high - low) / eta, 7 / 3, rtol=1e-5)
    assert_allclose(math.exp(sizes.log_C), 2.75, rtol=ROUNDING)


def test_embeddings_and_encoder_move_against_each_other():
    """<a, row> = 0 moves by 2 d_e eta: slope `s + 1 + (2 d_e + 1)/4` at s = 1/2."""
    d_e, eta = 8, 1e-6
    sign = np.resize([1.0, -1.0], d_e)
    ends = [
        Member(np.zeros((2, d_e)), (1 - move * sign)[None], (sign - move)[None], -np.full(1, move),
               [(np.full((2, 1), 1 - move), np.full(2, 1 - move))])
        for move in (0.0, eta)
    ]  # fmt: skip
    x, y = np.zeros((1, 1), int), np.zeros(1, int)
    slope = (logits(ends[0], x, y) - logits(ends[1], x, y)) / eta
    assert_allclose(slope, 0.5 + 1 + 17 / 4, rtol=1e-4)
    own = arm.local_constant(ends[0], B=1 + eta, radius=eta).log_constant
    assert_allclose(math.exp(own), 1 + 1 + 17 / 4, rtol=1e-4)


@settings(derandomize=True, max_examples=300)
@given(st.floats(-300, 300), st.integers(2, 10**6), st.integers(1, 10**4))
def test_tau_and_epsilon_are_inverse(log_eps, M, D):
    eps = 10.0**log_eps
    tau = arm.tau(eps, M, D)
    if math.log1p(eps) / D < math.log(M) * (1 - 1e-9):
        assert_allclose(arm.epsilon(tau, M, D), eps, rtol=1e-11)
    else:
        assert arm.epsilon(tau, M, D) <= eps * (1 + 1e-9)
    assert tau >= arm.crude_tau(eps, D) * (1 - 1e-14)
    assert_allclose(arm.crude_epsilon(arm.crude_tau(eps, D), D), eps, rtol=1e-11)


@settings(derandomize=True)
@given(st.floats(-300, 0), st.integers(2, 10**6), st.integers(1, 10**4))
def test_epsilon_and_tau_are_inverse(log_tau, M, D):
    tau = 10.0**log_tau
    eps = arm.epsilon(tau, M, D)
    if eps < 1e300:
        assert_allclose(arm.tau(eps, M, D), tau, rtol=1e-12 * M)


def test_tau_is_infinite_beyond_the_largest_gap():
    assert arm.tau(2**10 - 1, 2, 10) == arm.tau(1e9, 2, 10) == math.inf
    assert arm.tau(1023 * (1 - 1e-9), 2, 10) < math.inf
    assert_allclose(arm.epsilon(math.inf, 2, 10), 1023, rtol=ROUNDING)
    assert arm.bracketing(Sizes(2, 1, 1, 1, 1, 1), K=3).log_number(5.0) == 0
    with np.errstate(all="raise"):
        assert arm.epsilon(1.0, 10**5, 10**4) == math.inf


def test_tau_against_high_precision():
    """The formula itself in decimals of 200 digits."""
    for eps, M, D in (("1e-30", 2, 10), ("1e-3", 50_000, 1024), ("7.5", 3, 2), ("1e-100", 5, 1)):
        with localcontext(prec=200):
            G = ((1 + Decimal(eps)).ln() / D).exp()
            expected = (G * (M - 1) / (M - G)).ln() / 2
        assert_allclose(arm.tau(float(eps), M, D), float(expected), rtol=1e-14)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("K", [1, 4])
def test_parameters_are_the_entries(encoder, K):
    sizes = replace(SMALL, encoder=encoder)
    member = random_member(np.random.default_rng(0), sizes, K)
    count = sum(getattr(member, f.name).size for f in fields(Member) if f.name != "layers")
    count += sum(np.size(A) + np.size(b) for A, b in member.layers)
    assert arm.m_pooled(sizes, K) == count
    assert sizes.P_shared == count - K * sizes.P_src
    assert arm.m_separate(sizes, K) == K * arm.m_pooled(sizes, 1)


partitions = st.integers(1, 10**6).flatmap(lambda K: st.tuples(st.just(K), st.integers(1, K)))


@settings(derandomize=True)
@given(partitions, st.integers(1, 500), st.integers(1, 50), st.sampled_from(ENCODERS))
def test_pooling_and_sharing(partition, S, d_e, encoder):
    (K, J), sizes = partition, Sizes(20, 30, d_e, 40, 3, 2.0, min(S, 500), encoder)
    m = arm.m(sizes, K, J)
    assert arm.m_pooled(sizes, K) <= m <= arm.m_separate(sizes, K)
    assert_allclose(math.sqrt(m / arm.m_separate(sizes, K)), predicted_ratio(sizes.beta, K, J))
    number = [arm.bracketing(sizes, K, blocks).log_number(1e-3) for blocks in (1, J, K)]
    assert number == sorted(number)


@settings(derandomize=True, max_examples=50)
@given(st.integers(1, SMALL.P), st.floats(-300, 3), partitions)
def test_choosing_zeros_never_costs(S, log_eps, partition):
    (K, J), eps = partition, 10.0**log_eps
    dense = arm.bracketing(SMALL, K, J).log_number(eps)
    assert arm.bracketing(replace(SMALL, S=S), K, J).log_number(eps) <= dense * (1 + 1e-15)
    assert arm.bracketing(replace(SMALL, S=SMALL.P), K, J).log_number(eps) == dense


def test_each_block_chooses_its_own_zeros():
    K, J = 7, np.array([1, 3, 7])
    sparse, dense = arm.bracketing(replace(SMALL, S=5), K, J), arm.bracketing(SMALL, K, J)
    assert sparse.m_dense is not None
    assert np.array_equal(sparse.m_dense, np.asarray(dense.m))
    choices = J * math.log(math.comb(SMALL.P, 5))
    expected = choices + arm.m(replace(SMALL, S=5), K, J) * sparse.log_cells(1e-9)
    assert_allclose(sparse.log_number(1e-9), expected, rtol=ROUNDING)


GROWING = [
    ("M", 4), ("D", 5), ("d_e", 3), ("W", 7), ("L", 3), ("B", 1.6)
]  # fmt: skip


@settings(derandomize=True, max_examples=50)
@given(st.floats(-12, 0), st.floats(1, 10), st.integers(1, 1000), st.sampled_from(ENCODERS))
def test_log_number_grows_with_every_size(log_eps, factor, K, encoder):
    eps, sizes = 10**log_eps, replace(SMALL, encoder=encoder)
    number = arm.bracketing(sizes, K).log_number(eps)
    assert arm.bracketing(sizes, K).log_number(eps / factor) >= number
    assert arm.bracketing(sizes, K + 1).log_number(eps) > number
    for name, value in GROWING:
        assert arm.bracketing(replace(sizes, **{name: value}), K).log_number(eps) >= number
    assert arm.bracketing(sizes, K, crude=True).log_number(eps) >= number


def test_the_constant_is_the_printed_one():
    for L, W, B, d_e in ((1, 10, 1.0, 1), (3, 64, 2.5, 8)):
        sizes = Sizes(2, 10, d_e, W, L, B)
        C = L * (W + 1) ** L * B ** (L - 1) + (W * B) ** L * (2 * d_e * B + 1) / 4
        assert_allclose(math.exp(sizes.log_C), C, rtol=ROUNDING)


def test_extremes_neither_overflow_nor_vanish():
    K, eps = np.array([1, 10**6])[:, None], np.array([1e-300, 1e-8, 1.0])
    for J in (1, K):
        numbers = arm.bracketing(LARGE, K, J).log_number(eps)
        m, tau = np.asarray(arm.m(LARGE, K, J)), arm.tau(eps, LARGE.M, LARGE.D)
        assert_allclose(numbers, m * (math.log(100) + LARGE.log_C - np.log(tau)), rtol=ROUNDING)
    for form in (general.paper, general.simple, general.refined):
        value = form(arm.bracketing(LARGE, K, K), n=np.array([1.0, 1e18]), delta=0.05).value
        assert np.all(np.isfinite(value))
        assert np.all(value > 0)


def test_bounds_of_a_small_model_are_ordered_and_fall_with_n():
    n, class_ = np.geomspace(1, 1e9, 30), arm.bracketing(SMALL, K=5)
    paper, simple, refined = (
        form(class_, n).value for form in (general.paper, general.simple, general.refined)
    )
    assert np.all(refined <= simple + 1e-12)
    assert np.all(simple <= np.minimum(paper, 1))
    assert np.all(np.diff(refined) <= 1e-9)
    assert refined[-1] < 0.01


def test_a_trained_models_own_constant_gains():
    sizes = Sizes(M=10, D=16, d_e=8, W=64, L=5, B=1)
    member = random_member(np.random.default_rng(0), sizes, K=3, spread=1 / 64)
    local = arm.local_constant(member, B=1.0).peeled()
    own, worst = arm.bracketing(sizes, 3, local=local), arm.bracketing(sizes, 3)
    saved = worst.log_number(1e-4) - own.log_number(1e-4)
    assert saved > arm.m_pooled(sizes, 3) * 4 * math.log(64)  # a factor of 64 per layer


BAD = [
    ("M must be", {"M": 1}),
    ("D must be", {"D": 0}),
    ("d_e must be", {"d_e": 2.5}),
    ("W must be .* at least 4", {"W": 3}),
    ("L must be", {"L": 0}),
    ("B must be in", {"B": 0.5}),
    ("B must be in", {"B": math.nan}),
    ("S must be .* at most 51", {"S": 52}),
    ("encoder must be one of per position, shared, got 'both'", {"encoder": "both"}),
]


@pytest.mark.parametrize(("message", "change"), BAD)
def test_bad_sizes_are_named(message, change):
    with pytest.raises(InputError, match=message):
        replace(SMALL, **change)


CALLS = [
    ("K must be a whole number", lambda: arm.m_pooled(SMALL, 0)),
    ("K must be a whole number", lambda: arm.bracketing(SMALL, math.inf)),
    ("J must be at most 3", lambda: arm.bracketing(SMALL, [5, 3], 4)),
    ("eps must be above 0", lambda: arm.tau(0, 2, 3)),
    ("eps must be above 0", lambda: arm.crude_tau([0.1, -1], 3)),
    ("tau must be at least 0", lambda: arm.epsilon(math.nan, 2, 3)),
    ("M must be", lambda: arm.tau(0.1, 1, 3)),
    ("D must be", lambda: arm.tau(0.1, 2, 0)),
    (
        "entries of member must be in \\[-1, 1\\]",
        lambda: arm.local_constant(random_member(np.random.default_rng(0), SMALL, 1), B=1),
    ),
    (
        "radius must be above 0",
        lambda: arm.bracketing(SMALL, 3, local=LocalConstant(1.0, -1.0)),
    ),
]


@pytest.mark.parametrize(("message", "call"), CALLS)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
