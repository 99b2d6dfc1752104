"""Conditional autoregressive models: their brackets, counted and built.

`p(x|y) = Π_d p(x_d | x_<d, y)` on `{0..M-1}^D` (arXiv 2502.14583, the paper: section 4.2,
Theorems 4.3 and C.8). The source and the symbols before d are embedded, `V_Y[y]`, `V_X[x_1]`, ...,
`V_X[x_(D-1)]`; row j of these D is encoded as `v_j = sigmoid(<a_j, row_j> + b_j)`; position d
feeds `[v_1..v_d, 0..0]` to one network (`theory.mlp`) with M outputs and a softmax. All parameters
lie in [-B, B]. Only row y of V_Y belongs to source y alone.

- If logits differ by at most tau, `p <= e^(2 tau) q / (1 + (e^(2 tau) - 1) q)`, whose sum over x_d
  is at most `G = e^(2 tau) M / (M - 1 + e^(2 tau))`. The gap over D positions is `G^D - 1 = eps`.
- If parameters differ by at most eta, logits differ by at most `C eta`,
  `C = L (W+1)^L B^(L-1) + (WB)^L (2 d_e B + 1)/4`.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_softmax

from sourcewise.errors import InputError, listing
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
    "crude_epsilon",
    "crude_tau",
    "epsilon",
    "local_constant",
    "log_conditionals",
    "m",
    "m_pooled",
    "m_separate",
    "rounded_member",
    "tau",
]

Encoder = Literal["per position", "shared"]


@dataclass(frozen=True)
class Sizes(Embedded):
    """Sizes of the class, for one source.

    >>> sizes = Sizes(M=2, D=10, d_e=8, W=64, L=3, B=1)
    >>> sizes.P_shared, sizes.P_src, round(sizes.beta, 4)
    (5100, 8, 0.9984)

    Args:
        M: symbols, M >= 2.
        D: positions, D >= 1.
        d_e: numbers per embedding, d_e >= 1.
        W: width of the network, W >= D (its inputs).
        L: affine layers, L >= 1.
        B: bound on every parameter, B >= 1.
        S: most non-zero entries of the network, in 1..P; all P if None.
        encoder: weights `a_j` of the encoder: one vector "per position" or one "shared" by all.
    """

    M: int
    D: int
    d_e: int
    W: int
    L: int
    B: float
    S: int | None = None
    encoder: Encoder = "per position"

    def __post_init__(self) -> None:
        whole("M", self.M, 2)
        whole("d_e", self.d_e, 1)
        whole("L", self.L, 1)
        whole("W", self.W, whole("D", self.D, 1))
        number("B", self.B, 1)
        if self.S is not None:
            whole("S", self.S, 1, self.P)
        if self.encoder not in get_args(Encoder):
            allowed = listing(get_args(Encoder))
            raise InputError(f"encoder must be one of {allowed}, got {self.encoder!r}")

    @property
    def P(self) -> int:
        """Entries of the network, `D -> W -> ... -> W -> M`."""
        return parameter_count(self.D, self.M, self.W, self.L)

    @property
    def P_shared(self) -> int:
        """`S + D + E + M d_e`: network, encoder offsets, E encoder weights, symbol embeddings."""
        encoder = self.d_e * (self.D if self.encoder == "per position" else 1)
        return (self.P if self.S is None else self.S) + self.D + encoder + self.M * self.d_e

    @property
    def log_C(self) -> float:
        """`log( L (W+1)^L B^(L-1) + (WB)^L (2 d_e B + 1)/4 )`: logits per parameter move."""
        network = log_parameter_lipschitz(self.W, self.L, self.B)
        encoded = math.log((2 * self.d_e * self.B + 1) / 4)
        return float(np.logaddexp(network, log_input_lipschitz(self.W, self.L, self.B) + encoded))


def tau(eps: ArrayLike, M: int, D: int) -> Floats:
    """Largest move of logits that keeps the bracket's gap at most eps (Theorem C.8, sharpened).

    `G = (1+eps)^(1/D)`, `tau = log( G (M-1)/(M-G) ) / 2`; infinite if `G >= M`, as no bracket of
    M symbols at D positions has a gap above `M^D - 1`.

    >>> round(float(tau(0.01, M=2, D=10)), 6), round(float(crude_tau(0.01, D=10)), 6)
    (0.000996, 0.000498)

    Args:
        eps: gap, eps > 0.
        M: symbols, M >= 2.
        D: positions, D >= 1.
    """
    log_G = np.log1p(above("eps", eps)) / whole("D", D, 1)
    share = np.expm1(log_G) / (whole("M", M, 2) - 1)  # (G-1)/(M-1), at 1 the bracket is 1
    below = np.where(share < 1, share, 0.0)
    return np.where(share < 1, (log_G - np.log1p(-below)) / 2, np.inf)


def epsilon(tau: ArrayLike, M: int, D: int) -> Floats:
    """`G^D - 1`, the gap if logits move by at most tau >= 0; other arguments as for `tau`.

    >>> round(float(epsilon(tau(0.01, M=2, D=10), M=2, D=10)), 12)
    0.01

    Args:
        tau: largest move of logits, tau >= 0.
    """
    move = np.asarray(tau, dtype=np.float64)
    if not np.all(move >= 0):
        raise InputError("tau must be at least 0")
    rest = whole("M", M, 2) - 1  # G - 1 = rest (1 - e^(-2 tau)) / (1 + rest e^(-2 tau))
    log_G = np.log1p(-rest * np.expm1(-2 * move) / (1 + rest * np.exp(-2 * move)))
    with np.errstate(over="ignore"):  # M^D - 1 may exceed every float
        return np.expm1(whole("D", D, 1) * log_G)


def crude_tau(eps: ArrayLike, D: int) -> Floats:
    """`log(1+eps) / (2D)`, from a shorter proof, never above `tau`; arguments as for `tau`."""
    return np.log1p(above("eps", eps)) / (2 * whole("D", D, 1))


def crude_epsilon(tau: ArrayLike, D: int) -> Floats:
    """`e^(2 D tau) - 1`, the inverse of `crude_tau`; arguments as for `epsilon`.

    >>> round(float(crude_epsilon(crude_tau(0.01, D=10), D=10)), 12)
    0.01
    """
    with np.errstate(over="ignore"):
        return np.expm1(2 * whole("D", D, 1) * np.asarray(tau, dtype=np.float64))


def bracketing(
    sizes: Sizes,
    K: ArrayLike,
    J: ArrayLike = 1,
    *,
    crude: bool = False,
    local: LocalConstant | None = None,
) -> Bracketing:
    """Brackets of a partition of K sources in J blocks: `log N(eps) <= m log ceil(B C/tau(eps))`.

    Theorems 4.3 and C.8; arguments as for `brackets`.

    >>> sizes = Sizes(M=2, D=10, d_e=8, W=64, L=3, B=1)
    >>> pooled, separate = bracketing(sizes, K=5), bracketing(sizes, K=5, J=5)
    >>> round(float(pooled.log_number(0.01))), round(float(separate.log_number(0.01)))
    (109942, 546285)

    Args:
        crude: take `crude_tau` for `tau`.
    """
    M, D = sizes.M, sizes.D
    if crude:
        moves = partial(crude_tau, D=D), partial(crude_epsilon, D=D)
        return brackets(sizes, K, J, *moves, "logit bracket, crude", local)
    moves = partial(tau, M=M, D=D), partial(epsilon, M=M, D=D)
    return brackets(sizes, K, J, *moves, "logit bracket", local)


@dataclass(frozen=True)
class Member:
    """One model of the class, as plain arrays; every entry in `[-B, B]` (section 4.2).

    Args:
        V_X: (M, d_e) embeddings of the symbols.
        V_Y: (K, d_e) embeddings of the sources.
        a: (D, d_e) weights of the encoder, or (d_e,) if shared.
        b: (D,) its offsets.
        layers: pairs (A_l, b_l) of the network, D inputs and M outputs.
    """

    V_X: Floats
    V_Y: Floats
    a: Floats
    b: Floats
    layers: Layers


def log_conditionals(member: Member, x: ArrayLike, y: ArrayLike) -> Floats:
    """`log p(. | x_<d, y)` at each position d, (n, D, M); summed at the x_d, it is `log p(x|y)`.

    >>> zeros = Member(np.zeros((2, 1)), np.zeros((3, 1)), np.zeros((2, 1)), np.zeros(2),
    ...                layers=[(np.zeros((2, 2)), [0.0, np.log(3)])])
    >>> np.exp(log_conditionals(zeros, [[0, 1]], [2])).round(4).tolist()
    [[[0.25, 0.75], [0.25, 0.75]]]

    Args:
        member: the model.
        x: (n, D) symbols, in 0..M-1.
        y: (n,) sources, in 0..K-1.
    """
    symbols, own = np.asarray(x, dtype=np.int64), member.V_Y[np.asarray(y, dtype=np.int64)]
    rows = np.concatenate([own[:, None], member.V_X[symbols[:, :-1]]], axis=1)  # (n, D, d_e)
    v = expit(np.sum(rows * member.a, axis=-1) + member.b)  # (n, D)
    seen = v[:, None] * np.tri(v.shape[1])  # (n, D, D): position d sees v_1..v_d
    return log_softmax(forward(member.layers, seen), axis=-1)


@dataclass(frozen=True)
class UpperBracket:
    """The bracket element above all models whose logits are within tau of a member's.

    `p'(x|y) = Π_d g(p(x_d | x_<d, y))`, `g(p) = e^(2 tau) p / (1 + (e^(2 tau) - 1) p)`. Its sum
    over x is at most `1 + epsilon(tau)`, for every y (Theorem C.8, sharpened).

    >>> flat = Member(np.zeros((2, 1)), np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1),
    ...               layers=[(np.zeros((2, 1)), np.zeros(2))])
    >>> above = UpperBracket(rounded_member(flat, B=1, c=3), tau=0.1)
    >>> round(float(np.exp(above.log_value([[0], [1]], [0, 0])).sum() - epsilon(0.1, 2, 1)), 12)
    1.0

    Args:
        member: the model at the centre.
        tau: largest difference of logits, >= 0.
    """

    member: Member
    tau: float

    def log_value(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """`log p'(x|y)`, (n,), of symbols x (n, D) and sources y (n,)."""
        log_p = log_conditionals(self.member, x, y)
        # g = p / (e^(-2 tau) + (1 - e^(-2 tau)) p): no overflow however large tau
        raised = log_p - np.log(
            math.exp(-2 * self.tau) - math.expm1(-2 * self.tau) * np.exp(log_p)
        )
        at = np.asarray(x, dtype=np.int64)[..., None]
        return np.take_along_axis(raised, at, axis=-1)[..., 0].sum(axis=-1)


def rounded_member(member: Member, B: float, c: int, sparse: bool = False) -> Member:
    """The centre of the member's cell: each parameter at the nearest of c centres in [-B, B].

    `UpperBracket(rounded_member(member, B, c), tau)` lies above the member if `c >= B C / tau`.

    Args:
        member: its parameters in [-B, B].
        B: bound on the parameters, B > 0, chosen before training.
        c: cells per parameter, c >= 1.
        sparse: leave zeros of the network at zero.
    """
    parts = (nearest_centres(part, B, c) for part in (member.V_X, member.V_Y, member.a, member.b))
    return Member(*parts, layers=rounded(member.layers, B, c, sparse))


def local_constant(member: Member, B: float, radius: float | None = None) -> LocalConstant:
    """How far logits move per parameter move around a given member; at most the worst case.

    `C = C_network + Π_l min(a_l + w_l radius, w_l B) (row + min(a + d_e radius, d_e B) + 1)/4`,
    with `row` the largest sum of absolute values of an embedding and `a` of an encoder's weights.
    Otherwise arguments as for `rounded_member`.

    >>> zeros = Member(np.zeros((2, 1)), np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1),
    ...                layers=[(np.zeros((2, 1)), np.zeros(2))])
    >>> local = local_constant(zeros, B=1)  # C = (1 + 1) + 1 (0 + 1 + 1)/4
    >>> round(float(np.exp(local.log_constant)), 4), local.radius
    (2.5, 1.0)

    Args:
        radius: largest move of a parameter, >= 0; `1/(L W)` if None.
    """
    parts = (member.V_X, member.V_Y, member.a, member.b)
    inside_box("member", [*parts, *(part for layer in member.layers for part in layer)], B)
    norms, d_e = LayerNorms.of(member.layers), member.V_X.shape[1]
    reach = norms.default_radius() if radius is None else float(numbers("radius", radius, 0))
    row = max(float(np.abs(V).sum(axis=1).max()) for V in (member.V_X, member.V_Y))
    weight = float(np.abs(member.a).sum(axis=-1).max())
    encoded = math.log((row + min(weight + d_e * reach, d_e * B) + 1) / 4)
    network = norms.log_parameter_lipschitz(B, 1.0, reach)
    log_C = np.logaddexp(network, norms.log_input_lipschitz(B, reach) + encoded)
    return LocalConstant(float(log_C), reach)
