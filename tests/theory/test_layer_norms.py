"""A network's own constants: below the worst case, and what knowing them costs.

That outputs never move by more is in `test_mlp`, beside the constants of the class.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sourcewise.errors import InputError
from sourcewise.theory.layer_norms import (
    LayerNorms,
    LocalConstant,
    local_bracketing,
    local_constant,
)
from sourcewise.theory.mlp import covering, log_parameter_lipschitz, log_subsets


def test_a_network_of_zeros_has_the_constant_of_its_last_layer():
    layers = [(np.zeros((4, 3)), np.zeros(4)), (np.zeros((2, 4)), np.zeros(2))]
    norms = LayerNorms.of(layers)
    assert norms.log_sup_norm() == norms.log_input_lipschitz(1) == -math.inf
    assert norms.log_parameter_lipschitz(1, 1, radius=0) == 0  # only its offset moves f


@settings(deadline=None, derandomize=True)
@given(
    st.integers(1, 9), st.integers(1, 5), st.floats(1, 20), st.floats(1, 10), st.integers(0, 2**32)
)
def test_local_constant_is_at_most_the_worst_case(W, L, B, R, seed):
    rng = np.random.default_rng(seed)
    inner = rng.integers(1, W + 1, L + 1)
    layers = [(rng.uniform(-B, B, (b, a)), rng.uniform(-B, B, b)) for a, b in pairwise(inner)]
    local = local_constant(layers, B, R)
    assert local.log_constant <= log_parameter_lipschitz(W, L, B, R) + 1e-12
    assert local.radius == 1 / (L * max(A.shape[1] for A, _ in layers))


def test_trained_norms_gain():
    """Entries of size 1/width keep norms at 1, where the worst case is width^depth."""
    rng = np.random.default_rng(0)
    layers = [(rng.uniform(-1, 1, (64, 64)) / 64, rng.uniform(-1, 1, 64) / 64) for _ in range(6)]
    gain = log_parameter_lipschitz(64, 6, 1) - local_constant(layers, B=1.0).log_constant
    assert gain > 5 * math.log(64)


@settings(derandomize=True)
@given(st.floats(-50, 2000), st.floats(1e-6, 1))
def test_peeling_rounds_up_to_the_next_class(log_C, radius):
    peeled = LocalConstant(log_C, radius).peeled()
    assert max(log_C, 0) <= peeled.log_constant <= max(log_C, 0) + 1
    assert peeled.radius == radius


def test_the_classes_share_delta():
    prices = [LocalConstant(float(i), 1).peeled().log_price for i in range(1000)]
    assert_allclose(sum(math.exp(-price) for price in prices), 1 - 1 / 1001, rtol=1e-12)


@settings(derandomize=True)
@given(st.floats(-3, 30), st.floats(1e-6, 1), st.floats(-12, 6))
def test_local_bracketing_keeps_to_its_radius_and_its_gap(log_C, radius, log_tau):
    worst, tau = covering(100, W=5, L=4, B=2, S=60), 10.0**log_tau
    local = local_bracketing(worst, LocalConstant(log_C, radius, log_price=3.0))
    log_c = local.log_cells(tau)
    scale = min(log_C, worst.log_scale)
    assert 2.0 / math.exp(log_c) <= min(radius, tau / math.exp(scale)) * (1 + 1e-11)
    assert local.gap(log_c) <= tau * (1 + 1e-11)
    assert local.gap(math.log(2.0 / radius) - 0.1) == math.inf
    assert_allclose(local.log_number(tau), 60 * log_c + log_subsets(100, 60) + 3, rtol=1e-12)


def test_local_bracketing_is_the_worst_case_at_the_worst_constant():
    worst, eps = covering(100, W=5, L=4, B=2), np.geomspace(1e-200, 1, 50)
    for rounding_up in (0.0, 0.9):
        same = local_bracketing(worst, LocalConstant(worst.log_scale + rounding_up, radius=1.0))
        assert np.array_equal(same.log_number(eps), worst.log_number(eps))


PAIR = [([[1.0, 2.0]], [0.0])]
BAD = [
    ("layers must hold", lambda: LayerNorms.of([])),
    ("\\(1, 2\\) and \\(2,\\) at layer 1", lambda: LayerNorms.of([([[1, 2]], [1, 2])])),
    ("radius must be", lambda: LayerNorms.of(PAIR).log_input_lipschitz(1, -1)),
    ("B must be above 0", lambda: LayerNorms.of(PAIR).log_input_lipschitz(0)),
    ("entries of layers must be in \\[-1, 1\\]", lambda: local_constant(PAIR, B=1)),
    (
        "radius must be above 0",
        lambda: local_bracketing(covering(5, 2, 2, 1), LocalConstant(1.0, 0.0)),
    ),
]


@pytest.mark.parametrize(("message", "call"), BAD)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
