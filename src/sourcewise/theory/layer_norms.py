"""Constants of one ReLU network from its own layer norms, never above those of its class.

The networks of `theory.mlp`, `f(x) = A_L relu(... relu(A_1 x + b_1) ...) + b_L`. Trained ones are
far from the corner of the box [-B, B]: with `a_l = ||A_l||_inf`, `|b_l| = |b_l|_inf` and w_l the
numbers that layer l reads, entries that move by `eta <= r` move f by at most `C_L eta`,

    s_l = a_l s_(l-1) + |b_l|,                                    s_0 = R,
    C_l = min(a_l + w_l r, w_l B) C_(l-1) + w_l s_(l-1) + 1,      C_0 = 0

(ours; the worst case over the class sharpens Lemmas C.2 to C.5 of arXiv 2502.14583). A constant
that was computed after training costs `LocalConstant.log_price`. All as logarithms.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.errors import InputError
from sourcewise.theory.bracketing import Bracketing
from sourcewise.theory.checks import Floats, above, number, numbers, whole
from sourcewise.theory.mlp import Layers, checked_layers, inside_box

__all__ = ["LayerNorms", "LocalConstant", "local_bracketing", "local_constant"]


@dataclass(frozen=True)
class LayerNorms:
    """What of a network its constants depend on: per layer l = 1..L, in order,

    Args:
        weight: `a_l = ||A_l||_inf`, the largest row sum of absolute values.
        bias: `|b_l|_inf`.
        fan_in: `w_l`, the numbers that the layer reads.
    """

    weight: tuple[float, ...]
    bias: tuple[float, ...]
    fan_in: tuple[int, ...]

    @classmethod
    def of(cls, layers: Layers) -> "LayerNorms":
        """Norms of a network given as pairs (A_l, b_l) of arrays, A_l of shape (out, in).

        >>> LayerNorms.of([([[1, -2], [0, 1]], [0.5, 0]), ([[3, 1]], [0])])
        LayerNorms(weight=(3.0, 4.0), bias=(0.5, 0.0), fan_in=(2, 2))
        """
        arrays = checked_layers(layers)
        weight = tuple(float(np.abs(A).sum(axis=1).max()) for A, _ in arrays)
        bias = tuple(float(np.abs(b).max()) for _, b in arrays)
        return cls(weight, bias, tuple(A.shape[1] for A, _ in arrays))

    @classmethod
    def worst_case(cls, W: int, L: int, B: float) -> "LayerNorms":
        """Norms of the network whose entries are all B: the largest that the class allows.

        W >= 1 numbers are read by each of L >= 1 layers; B >= 1.
        """
        wide, deep, high = whole("W", W, 1), whole("L", L, 1), float(number("B", B, 1))
        return cls((wide * high,) * deep, (high,) * deep, (wide,) * deep)

    def default_radius(self) -> float:
        """`1/(L W)`, W the widest layer: a move that raises no norm by more than 1/L."""
        return 1 / (len(self.fan_in) * max(self.fan_in))

    def log_sup_norm(self, R: float = 1.0) -> float:
        """`log s_L`, `s_l = a_l s_(l-1) + |b_l|`, `s_0 = R >= 0`: a bound on `|f(x)|_inf`."""
        return _telescope(self, _log(self.weight), R)[0]

    def log_parameter_lipschitz(self, B: float, R: float = 1.0, radius: float = 0.0) -> float:
        """`log C`: entries that move by `eta <= radius` inside [-B, B] move f by at most C eta.

        `C = C_L`, `C_l = min(a_l + w_l radius, w_l B) C_(l-1) + w_l s_(l-1) + 1`, `C_0 = 0`.
        The worst case is what `mlp.log_parameter_lipschitz` bounds from above.

        Args:
            B: bound on the entries of the moved network, > 0; may be infinite.
            R: bound on the inputs, R >= 0.
            radius: largest eta allowed, >= 0; at 0 the derivative's bound.
        """
        return _telescope(self, self._moved(B, radius), R)[1]

    def log_input_lipschitz(self, B: float, radius: float = 0.0) -> float:
        """`log Π_l min(a_l + w_l radius, w_l B)`: input-Lipschitz, for the moved network.

        B > 0 bounds its entries, radius >= 0 their move.
        """
        return float(np.sum(self._moved(B, radius)))

    def _moved(self, B: float, radius: float) -> Floats:
        """`log min(a_l + w_l radius, w_l B)`: norms of A_l once its entries moved in the box."""
        reach = numbers("radius", radius, 0)
        fan_in = np.asarray(self.fan_in, dtype=np.float64)
        if not B > 0:
            raise InputError(f"B must be above 0, got {B!r}")
        return _log(np.minimum(np.asarray(self.weight) + fan_in * reach, fan_in * B))


@dataclass(frozen=True)
class LocalConstant:
    """A Lipschitz constant that holds around given parameters, and what knowing it costs.

    Args:
        log_constant: `log C`, any number; outputs move by at most `C eta` if every entry moves by
            at most `eta <= radius` and stays in the box.
        radius: largest such eta, > 0.
        log_price: to add to `log N`, >= 0; 0 if C was fixed before the data were seen.
    """

    log_constant: float
    radius: float
    log_price: float = 0.0

    def peeled(self) -> "LocalConstant":
        """For a constant computed after training: `log C` rounded up to i = 0, 1, 2, ...

        The bound holds for all classes `log C <= i` at once if class i gets the share
        `1/((i+1)(i+2))` of delta, that is, if `log((i+1)(i+2))` is added to `log N`.

        >>> LocalConstant(7.2, radius=0.01).peeled().log_constant
        8.0
        """
        i = float(max(math.ceil(self.log_constant), 0))
        return replace(self, log_constant=i, log_price=math.log((i + 1) * (i + 2)))


def local_constant(
    layers: Layers, B: float, R: float = 1.0, radius: float | None = None
) -> LocalConstant:
    """The parameter-Lipschitz constant around a given network, from its own layer norms.

    At most the worst case of its class; see `LayerNorms.log_parameter_lipschitz`.

    >>> from sourcewise.theory.mlp import log_parameter_lipschitz
    >>> small = local_constant([([[0.1, 0.1]] * 2, [0, 0]), ([[0.1, 0.1]], [0])], B=1)
    >>> round(small.log_constant, 2), round(float(log_parameter_lipschitz(W=2, L=2, B=1)), 2)
    (1.25, 2.89)

    Args:
        layers: pairs (A_l, b_l), entries in [-B, B].
        B: bound on the entries, B > 0, chosen before training.
        R: bound on the inputs, R >= 0.
        radius: largest move of an entry, >= 0; 1/(L W) if None.
    """
    inside_box("layers", [part for layer in checked_layers(layers) for part in layer], B)
    norms = LayerNorms.of(layers)
    reach = norms.default_radius() if radius is None else radius
    return LocalConstant(norms.log_parameter_lipschitz(B, R, reach), reach)


def local_bracketing(bracketing: Bracketing, local: LocalConstant) -> Bracketing:
    """The same class with a local constant in place of the worst case; cells within its radius.

    `eta' = min(eta, C radius)`. With sparsity its dense alternative is given up, as the price is
    paid in `log_choices`.

    >>> from sourcewise.theory.mlp import covering
    >>> own = local_bracketing(covering(4994, W=64, L=3, B=1), LocalConstant(8.0, radius=0.005))
    >>> round(float(own.log_number(0.01)))
    62950

    Args:
        bracketing: the class, of a network family.
        local: its constant, radius > 0.
    """
    above("radius", local.radius)
    scale = min(local.log_constant, bracketing.log_scale)  # rounding up may pass the worst case
    top = math.exp(min(scale + math.log(local.radius), 700.0))  # C radius, as far as floats go
    eta, epsilon = bracketing.eta, bracketing.epsilon

    def within(eps: ArrayLike) -> Floats:
        return np.minimum(eta(eps), top)

    def reached(tau: ArrayLike) -> Floats:
        # A hair beyond, for rounding: cells of just the radius are allowed.
        return np.where(np.asarray(tau) <= top * (1 + 1e-11), epsilon(tau), np.inf)

    return replace(
        bracketing,
        eta=within,
        epsilon=reached,
        name=f"{bracketing.name}, local constant",
        log_choices=np.asarray(bracketing.log_choices, dtype=np.float64) + local.log_price,
        m_dense=None,
        log_scale=scale,
    )


def _telescope(norms: LayerNorms, moved: Floats, R: float) -> tuple[float, float]:
    """`(log s_L, log C_L)` of the recursions `s_l` and `C_l` of `LayerNorms`.

    From `A'h' - Ah = A'(h' - h) + (A' - A)h`, h the layer's own input and primes the moved.
    """
    s, C = float(_log([number("R", R, 0)])[0]), -math.inf
    rows = zip(_log(norms.weight), _log(norms.bias), _log(norms.fan_in), moved, strict=True)
    for log_a, log_b, log_w, log_moved in rows:
        C = np.logaddexp(log_moved + C, np.logaddexp(log_w + s, 0.0))
        s = np.logaddexp(log_a + s, log_b)
    return float(s), float(C)


def _log(values: ArrayLike) -> Floats:
    with np.errstate(divide="ignore"):  # a layer of zeros has norm 0
        return np.log(np.asarray(values, dtype=np.float64))
