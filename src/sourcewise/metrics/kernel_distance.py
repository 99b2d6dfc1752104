"""The kernel distance (KID) between held-out rows and draws of a source's model.

It is the squared maximum mean discrepancy of the polynomial kernel, for points in d coordinates

    k(x, y) = (x'y / d + 1)^3,
    D = mean_ii' k(x_i, x_i') + mean_jj' k(y_j, y_j') - 2 mean_ij k(x_i, y_j),   i != i', j != j'

(Binkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs", 2018): the distance of
`projections` whose pairs are -k. It compares means, covariances and third moments of the points,
and no more: laws that agree in these have distance 0. The kernel looks from the origin of the
points, so that their offset and scale matter.

Half the width of practical equivalence is 2 % of the baseline's distance, and at least what it
costs a standard normal when all means are off by .045 standard deviations, which is the floor of
the energy distance too.
"""

from torch import Tensor

from sourcewise.metrics import projections
from sourcewise.metrics.base import Contributions, HeldOut, Metric, Trained
from sourcewise.metrics.projections import PARTS, PermutationTest
from sourcewise.randomness import Noise

__all__ = [
    "METRIC",
    "contributions",
    "expected_kernel",
    "kernel_distance",
    "measure",
    "minus_kernel",
    "permutation_test",
    "shifted",
]

SHARE, OFF = 0.02, 0.045  # of the baseline; of the means, in standard deviations


def shifted(d: int, by: float) -> float:
    """D between N(0, I) and N(by 1, I) in d coordinates.

        3 s + 3 s^2 + s^3 + (3 s + 6 s^2) / d + 6 s / d^2,   s = by^2

    >>> round(shifted(1, 1.0), 12)
    22.0
    """
    s = by * by
    return 3 * s + 3 * s**2 + s**3 + (3 * s + 6 * s**2) / d + 6 * s / d**2


METRIC = Metric(
    name="kernel-distance",
    about="kernel distance (KID) between held-out rows and draws",
    needs="samples",
    higher_is_better=False,
    home="sourcewise.metrics.kernel_distance:measure",
    unit=lambda coding: "squared units of the kernel",
    region=lambda coding, baseline: max(SHARE * abs(baseline), shifted(coding.coordinates, OFF)),
    features=True,
    per_unit=False,
    remedy="more draws of the models",
    parts=PARTS,
)


def minus_kernel(x: Tensor, y: Tensor) -> Tensor:
    """(n, m) `-(x_i'y_j / d + 1)^3` of points (n, d) and (m, d).

    >>> minus_kernel(Tensor([[1.0, 1.0]]), Tensor([[1.0, 1.0], [0.0, 0.0]])).tolist()
    [[-8.0, -1.0]]
    """
    base = (x @ y.T).div_(x.shape[1]).add_(1)
    return base.square().mul_(base).neg_()


def measure(trained: Trained, held_out: HeldOut, noise: Noise) -> Contributions:
    """What each row contributes, and the error that a source's draws leave."""
    return projections.measure(trained, held_out, noise, minus_kernel)


def contributions(x: Tensor, draws: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
    """(n,) a_i of each row, and (m,) what each draw adds; see `projections.contributions`."""
    return projections.contributions(x, draws, minus_kernel, noise)


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """D between two samples of points, (n, d) and (m, d), two of each at least; without bias.

    >>> kernel_distance(Tensor([[0.0], [0.0]]), Tensor([[1.0], [1.0]]))
    7.0
    """
    return projections.distance(x, y, minus_kernel)


def permutation_test(
    x: Tensor, y: Tensor, noise: Noise, permutations: int = 999
) -> PermutationTest:
    """Exact test of equal laws, see `projections.permutation_test`."""
    return projections.permutation_test(x, y, minus_kernel, noise, permutations)


def expected_kernel(m: Tensor, S: Tensor, n: Tensor, T: Tensor) -> Tensor:
    """E k(X, Y) for independent X ~ N(m, S), Y ~ N(n, T).

    With the moments of t = X'Y, by third-moment tensors,

        E t = m'n,   E t^2 = (m'n)^2 + m'Tm + n'Sn + tr ST,
        E t^3 = (m'n)^3 + 3 m'n (m'Tm + n'Sn + tr ST) + 6 n'S T m.

    The kernel distance of the two laws is E k(X, X') + E k(Y, Y') - 2 E k(X, Y).

    Args:
        m, n: (d,).
        S, T: (d, d).
    """
    d, a = len(m), m @ n
    second = m @ T @ m + n @ S @ n + (S * T).sum()
    third = a**3 + 3 * a * second + 6 * (S @ n) @ (T @ m)
    return 1 + 3 * a / d + 3 * (a * a + second) / d**2 + third / d**3
