"""Conditional energy-based models: their brackets, counted and built.

`p(x|y) = exp(-u(x|y)) / Z(y)` on the cube `[0,1]^D`, `u(x|y) = f([x; V_Y[y]])` with f a network of
one output (`theory.mlp`) and V_Y[y] the embedding of source y (arXiv 2502.14583, the paper:
section 4.3, Theorems 4.4 and D.3). All parameters lie in [-B, B]. Only row y of V_Y belongs to
source y alone; the last layer's offset cancels in p and is not counted.

- If energies differ by at most tau, `p <= e^(2 tau) q`. The gap is `e^(2 tau) - 1 = eps`.
- If parameters differ by at most eta, energies differ by at most `C eta`,
  `C = L (W+1)^L B^(L-1) R + (WB)^L`, `R = max(1, B)` the bound on the network's inputs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from sourcewise.theory.bracketing import Bracketing
from sourcewise.theory.checks import Floats, above, number, numbers, whole
from sourcewise.theory.embedded import Embedded, brackets, m, m_pooled, m_separate
from sourcewise.theory.layer_norms import LayerNorms, LocalConstant
from sourcewise.theory.mlp import (
    Layers,
    forward,
    inside_box,
    log_input_lipschitz,
    log_parameter_lipschitz,
    nearest_centres,
    parameter_count,
    rounded,
)

__all__ = [
    "Member",
    "Sizes",
    "UpperBracket",
    "bracketing",
    "energy",
    "epsilon",
    "local_constant",
    "log_density",
    "m",
    "m_pooled",
    "m_separate",
    "rounded_member",
    "tau",
]


@dataclass(frozen=True)
class Sizes(Embedded):
    """Sizes of the class, for one source.

    >>> sizes = Sizes(D=2, d_e=8, W=64, L=3, B=1)
    >>> sizes.P_shared, sizes.P_src, round(sizes.beta, 4)
    (4928, 8, 0.9984)

    Args:
        D: coordinates of x, D >= 1.
        d_e: numbers per embedding, d_e >= 1.
        W: width of the network, `W >= D + d_e` (its inputs).
        L: affine layers, L >= 1.
        B: bound on every parameter, B >= 1.
        S: most non-zero entries of the network, in 1..P; all P if None.
    """

    D: int
    d_e: int
    W: int
    L: int
    B: float
    S: int | None = None

    def __post_init__(self) -> None:
        whole("L", self.L, 1)
        whole("W", self.W, whole("D", self.D, 1) + whole("d_e", self.d_e, 1))
        number("B", self.B, 1)
        if self.S is not None:
            whole("S", self.S, 1, self.P)

    @property
    def P(self) -> int:
        """Entries of the network, `D + d_e -> W -> ... -> W -> 1`, without the last offset."""
        return parameter_count(self.D + self.d_e, 1, self.W, self.L) - 1

    @property
    def P_shared(self) -> int:
        """S: the network."""
        return self.P if self.S is None else self.S

    @property
    def log_C(self) -> float:
        """`log( L (W+1)^L B^(L-1) R + (WB)^L )`, `R = max(1, B)`: energy per parameter move."""
        network = log_parameter_lipschitz(self.W, self.L, self.B, max(1.0, self.B))
        return float(np.logaddexp(network, log_input_lipschitz(self.W, self.L, self.B)))


def tau(eps: ArrayLike) -> Floats:
    """`log(1+eps)/2`, largest move of the energy that keeps the gap at most eps (Theorem D.3).

    >>> round(float(tau(0.01)), 6)
    0.004975

    Args:
        eps: gap, eps > 0.
    """
    return np.log1p(above("eps", eps)) / 2


def epsilon(tau: ArrayLike) -> Floats:
    """`e^(2 tau) - 1`, the gap if the energy moves by at most tau: the inverse of `tau`.

    >>> round(float(epsilon(tau(0.01))), 12)
    0.01

    Args:
        tau: largest move of the energy, tau >= 0.
    """
    with np.errstate(over="ignore"):  # an infinite gap: useless, not an error
        return np.expm1(2 * np.asarray(tau, dtype=np.float64))


def bracketing(
    sizes: Sizes, K: ArrayLike, J: ArrayLike = 1, *, local: LocalConstant | None = None
) -> Bracketing:
    """Brackets of a partition of K sources in J blocks: `log N(eps) <= m log ceil(B C/tau(eps))`.

    Theorems 4.4 and D.3; arguments as for `brackets`.

    >>> sizes = Sizes(D=2, d_e=8, W=64, L=3, B=1)
    >>> pooled, separate = bracketing(sizes, K=5), bracketing(sizes, K=5, J=5)
    >>> round(float(pooled.log_number(0.01))), round(float(separate.log_number(0.01)))
    (95392, 473889)
    """
    return brackets(sizes, K, J, tau, epsilon, "energy bracket", local)


@dataclass(frozen=True)
class Member:
    """One model of the class, as plain arrays; every entry in `[-B, B]` (section 4.3).

    Args:
        V_Y: (K, d_e) embeddings of the sources.
        layers: pairs (A_l, b_l) of the network, `D + d_e` inputs and one output.
    """

    V_Y: Floats
    layers: Layers


def energy(member: Member, x: ArrayLike, y: int) -> Floats:
    """`u(x|y) = f([x; V_Y[y]])`, (n,).

    >>> total = Member(np.array([[0.0], [2.0]]), layers=[(np.ones((1, 3)), np.zeros(1))])
    >>> energy(total, [[0.0, 0.5], [1.0, 1.0]], y=1).tolist()
    [2.5, 4.0]

    Args:
        member: the model.
        x: (n, D) points of the cube.
        y: the source, in 0..K-1.
    """
    points = np.asarray(x, dtype=np.float64)
    own = np.broadcast_to(member.V_Y[y], (len(points), member.V_Y.shape[1]))
    return forward(member.layers, np.concatenate([points, own], axis=1))[:, 0]


def log_density(member: Member, x: ArrayLike, y: int, log_weight: ArrayLike) -> Floats:
    """`log p(x|y) = -u - log Z(y)` at the nodes x of a quadrature; arguments as for `energy`.

    >>> flat = Member(np.zeros((1, 1)), layers=[(np.zeros((1, 2)), np.zeros(1))])
    >>> x, log_weight = [[0.25], [0.75]], np.log([0.5, 0.5])
    >>> np.exp(log_density(flat, x, 0, log_weight)).tolist()
    [1.0, 1.0]
    >>> UpperBracket(rounded_member(flat, B=1, c=3), tau=0.1).log_value(x, 0, log_weight).tolist()
    [0.2, 0.2]

    Args:
        log_weight: (n,) logs of the nodes' weights, which sum to 1.
    """
    u = energy(member, x, y)
    return -u - logsumexp(np.asarray(log_weight) - u)


@dataclass(frozen=True)
class UpperBracket:
    """The bracket element above all models whose energy is within tau of a member's.

    `p'(x|y) = e^(2 tau) p(x|y)`; its integral is `1 + epsilon(tau)` for every y (Theorem D.3).

    Args:
        member: the model at the centre.
        tau: largest difference of energies, >= 0.
    """

    member: Member
    tau: float

    def log_value(self, x: ArrayLike, y: int, log_weight: ArrayLike) -> Floats:
        """`log p'(x|y)` at nodes x (n, D), y in 0..K-1, log_weight (n,); see `log_density`."""
        return 2 * self.tau + log_density(self.member, x, y, log_weight)


def rounded_member(member: Member, B: float, c: int, sparse: bool = False) -> Member:
    """The centre of the member's cell: each parameter at the nearest of c centres in [-B, B].

    `UpperBracket(rounded_member(member, B, c), tau)` lies above the member if `c >= B C / tau`.

    Args:
        member: its parameters in [-B, B].
        B: bound on the parameters, B > 0, chosen before training.
        c: cells per parameter, c >= 1.
        sparse: leave zeros of the network at zero.
    """
    return Member(nearest_centres(member.V_Y, B, c), rounded(member.layers, B, c, sparse))


def local_constant(member: Member, B: float, radius: float | None = None) -> LocalConstant:
    """How far energies move per parameter move around a given member; at most the worst case.

    `C = C_network + Π_l min(a_l + w_l radius, w_l B)`, the network's inputs bounded by
    `R = max(1, |V_Y|_inf)`. Otherwise arguments as for `rounded_member`.

    >>> zeros = Member(np.zeros((1, 1)), layers=[(np.zeros((1, 2)), np.zeros(1))])
    >>> local = local_constant(zeros, B=1)  # C = (2 + 1) + 1, as min(0 + 2/2, 2) = 1
    >>> round(float(np.exp(local.log_constant)), 4), local.radius
    (4.0, 0.5)

    Args:
        radius: largest move of a parameter, >= 0; `1/(L W)` if None.
    """
    inside_box("member", [member.V_Y, *(part for layer in member.layers for part in layer)], B)
    norms = LayerNorms.of(member.layers)
    reach = norms.default_radius() if radius is None else float(numbers("radius", radius, 0))
    R = max(1.0, float(np.abs(member.V_Y).max()))
    network = norms.log_parameter_lipschitz(B, R, reach)
    return LocalConstant(float(np.logaddexp(network, norms.log_input_lipschitz(B, reach))), reach)
