"""Rules against integrals of polynomials, exp(-u) and kinks, and their orders of convergence."""

import math
from itertools import pairwise

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.quadrature import RULES, clenshaw_curtis, gauss_legendre, midpoints


def integral(rule, nodes, D, f) -> float:
    x, log_weight = rule(nodes, D)
    return float(log_weight.exp() @ f(x))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("D", [1, 2, 3])
@pytest.mark.parametrize("nodes", [2, 3, 8])
def test_points_are_in_the_cube_and_weights_are_a_probability(rule, D, nodes):
    x, log_weight = rule(nodes, D)
    assert x.shape == (nodes**D, D)
    assert x.dtype == log_weight.dtype == torch.float64
    assert bool(((x >= 0) & (x <= 1)).all())
    assert bool(log_weight.isfinite().all())
    assert abs(float(log_weight.exp().sum()) - 1) < 1e-14
    assert torch.allclose(x.flip(0), 1 - x, atol=1e-15)  # symmetric


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_weights_stay_positive_with_many_nodes(rule):
    _, log_weight = rule(1001, 1)
    assert bool(log_weight.isfinite().all())
    assert abs(float(log_weight.exp().sum()) - 1) < 1e-13


@pytest.mark.parametrize("nodes", [2, 3, 4, 7, 8])
@pytest.mark.parametrize(
    ("rule", "degrees"), [(gauss_legendre, lambda n: 2 * n), (clenshaw_curtis, lambda n: n)]
)
def test_polynomials_are_exact_up_to_the_stated_degree_and_no_further(rule, degrees, nodes):
    first = degrees(nodes)  # an odd number of Clenshaw-Curtis nodes does one degree more
    first += rule is clenshaw_curtis and nodes % 2
    for degree in range(first):
        error = integral(rule, nodes, 1, lambda x, d=degree: x[:, 0] ** d) - 1 / (degree + 1)
        assert abs(error) < 1e-14
    assert abs(integral(rule, nodes, 1, lambda x: x[:, 0] ** first) - 1 / (first + 1)) > 1e-11


@pytest.mark.parametrize(("rule", "degree"), [(gauss_legendre, 7), (clenshaw_curtis, 3)])
def test_products_of_polynomials_are_exact(rule, degree):
    powers = torch.tensor([degree, 1, 2])
    value = integral(rule, 4, 3, lambda x: (x**powers).prod(1))
    assert abs(value - 1 / (degree + 1) / 2 / 3) < 1e-15


def test_midpoints_are_exact_for_lines_and_for_grids():
    assert abs(integral(midpoints, 5, 2, lambda x: 3 * x[:, 0] - x[:, 1]) - 1) < 1e-14
    table = torch.arange(20.0).double()
    value = integral(midpoints, 20, 1, lambda x: table[(x[:, 0] * 20).long()])
    assert abs(value - 9.5) < 1e-13


@pytest.mark.parametrize(
    ("rule", "nodes", "error"),
    [(gauss_legendre, 20, 1e-12), (clenshaw_curtis, 40, 1e-12), (midpoints, 2000, 3e-7)],
)
@pytest.mark.parametrize("D", [1, 2])
def test_log_normaliser_of_a_truncated_gaussian(rule, nodes, error, D):
    mean, sd = 0.3, 0.2
    if rule is midpoints and D == 2:
        nodes, error = 500, 1e-5
    x, log_weight = rule(nodes, D)
    found = (log_weight - ((x - mean) / sd).square().sum(1) / 2).logsumexp(0)
    mass = (math.erf((1 - mean) / sd / 2**0.5) + math.erf(mean / sd / 2**0.5)) / 2
    exact = D * math.log(mass * sd * math.sqrt(2 * math.pi))
    assert abs(float(found) - exact) < error


def errors(rule, nodes, f, exact) -> list[float]:
    return [abs(integral(rule, n, 1, f) - exact) for n in nodes]


def worst_kink(rule, nodes) -> list[float]:
    """The largest error over the places of the kink: at one place it depends on the nodes."""
    places = torch.linspace(0.3, 0.7, 41).tolist()
    return [
        max(
            abs(
                integral(rule, n, 1, lambda x, a=a: (x[:, 0] - a).abs())
                - (a**2 + (1 - a) ** 2) / 2
            )
            for a in places
        )
        for n in nodes
    ]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_kink_converges_with_order_two(rule):
    found = worst_kink(rule, [17, 33, 65, 129])
    for a, b in pairwise(found):
        assert 3 < a / b < 5.3


def test_midpoints_converge_with_order_two():
    found = errors(midpoints, [10, 20, 40, 80], lambda x: x[:, 0].exp(), math.e - 1)
    for a, b in pairwise(found):
        assert a / b == pytest.approx(4, rel=1e-2)


def test_an_analytic_function_converges_exponentially_by_its_poles():
    """`1 / (1 + 16 u^2)` on [-1, 1], poles at +-i/4, ellipse of rho = (1 + sqrt 17) / 4."""
    rho = (1 + math.sqrt(17)) / 4

    def runge(x):
        return 1 / (1 + 16 * (2 * x[:, 0] - 1) ** 2)

    gauss = errors(gauss_legendre, [10, 20, 30], runge, math.atan(4) / 4)
    nested = errors(clenshaw_curtis, [21, 41, 61], runge, math.atan(4) / 4)
    for a, b in pairwise(gauss):
        assert math.log(a / b) == pytest.approx(20 * math.log(rho), rel=0.1)
    for a, b in pairwise(nested):  # at least rho^-n: Trefethen (2008), theorem 5.1
        assert math.log(a / b) > 20 * math.log(rho) * 0.9


@pytest.mark.parametrize("nodes", [2, 5, 12, 33])
def test_clenshaw_curtis_is_nested(nodes):
    coarse, _ = clenshaw_curtis(nodes, 1)
    fine, _ = clenshaw_curtis(2 * nodes - 1, 1)
    assert torch.equal(fine[::2], coarse)


def test_a_rule_made_in_inference_serves_training():
    with torch.inference_mode():
        x, log_weight = clenshaw_curtis(14, 2)  # a size of this test alone
    theta = torch.ones(2, dtype=torch.float64, requires_grad=True)
    (log_weight - x @ theta).logsumexp(0).backward()
    assert theta.grad is not None
    mean = (1 - 2 / math.e) / (1 - 1 / math.e)  # of exp(-t) on [0, 1]
    assert theta.grad.tolist() == pytest.approx([-mean, -mean], abs=1e-9)


@pytest.mark.parametrize(
    ("rule", "nodes", "D", "message"),
    [
        (gauss_legendre, 0, 1, "nodes must be a whole number, at least 1"),
        (clenshaw_curtis, 1, 1, "nodes must be a whole number, at least 2"),
        (midpoints, 0, 1, "nodes must be a whole number, at least 1"),
        (midpoints, 3, 0, "D must be a whole number, at least 1"),
    ],
)
def test_too_few_nodes_or_axes(rule, nodes, D, message):
    with pytest.raises(InputError, match=message):
        rule(nodes, D)
