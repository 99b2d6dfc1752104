"""ReLU networks with bounded entries: how far outputs move when entries are rounded.

`f(x) = A_L relu(... relu(A_1 x + b_1) ...) + b_L`: L affine layers, each reading at most W
numbers, every entry of A_l and b_l in [-B, B], at most S of all P entries non-zero, inputs with
`|x|_inf <= R` (arXiv 2502.14583, the paper: Definition 4.2, Lemmas C.2 to C.5). The number of
outputs enters P only, not the constants. With `|.|_inf` the largest absolute entry,

- `log_sup_norm`: `|f(x)| <= ((W+1)B)^L R`;
- `log_parameter_lipschitz`: entries within eta, `|f(x) - f'(x)| <= L (W+1)^L B^(L-1) R eta`;
- `log_input_lipschitz`: `|f(x) - f(x')| <= (WB)^L |x - x'|`.

All are returned as logarithms: `(W+1)^L` alone overflows for deep networks. The same three from a
network's own layer norms, never larger, are the methods of `LayerNorms`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln

from sourcewise.errors import InputError
from sourcewise.theory.bracketing import Bracketing
from sourcewise.theory.checks import above, number, numbers, whole, wholes

__all__ = [
    "LayerNorms",
    "Layers",
    "LocalConstant",
    "covering",
    "forward",
    "inside_box",
    "local_bracketing",
    "local_constant",
    "log_input_lipschitz",
    "log_parameter_lipschitz",
    "log_subsets",
    "log_sup_norm",
    "nearest_centres",
    "parameter_count",
    "rounded",
]

Floats = NDArray[np.float64]
Layers = Sequence[tuple[ArrayLike, ArrayLike]]  # (A_l, b_l) in order, A_l of shape (out, in)


def log_sup_norm(W: ArrayLike, L: ArrayLike, B: ArrayLike, R: ArrayLike = 1.0) -> Floats:
    """`log( ((W+1)B)^L R )`, a bound on `|f(x)|_inf` (Lemmas C.2 to C.5); arguments broadcast.

    Attained for L = 1, R = 1; `LayerNorms.worst_case` gives what deeper networks attain.

    >>> round(float(np.exp(log_sup_norm(W=3, L=2, B=1))))
    16

    Args:
        W: width, the most numbers that a layer reads, W >= 1.
        L: affine layers, L >= 1.
        B: bound on the entries, B >= 1.
        R: bound on the inputs, R >= 1.

    Raises:
        InputError: an argument is out of range.
    """
    width, depth, log_B, log_R = _sizes(W, L, B, R)
    return depth * (np.log1p(width) + log_B) + log_R


def log_parameter_lipschitz(
    W: ArrayLike, L: ArrayLike, B: ArrayLike, R: ArrayLike = 1.0
) -> Floats:
    """`log( L (W+1)^L B^(L-1) R )`: entries within eta move outputs by that times eta.

    Lemmas C.2 to C.5. Attained for L = 1, R = 1; arguments as for `log_sup_norm`.

    >>> round(float(np.exp(log_parameter_lipschitz(W=3, L=2, B=1))))
    32
    """
    width, depth, log_B, log_R = _sizes(W, L, B, R)
    return np.log(depth) + depth * np.log1p(width) + (depth - 1) * log_B + log_R


def log_input_lipschitz(W: ArrayLike, L: ArrayLike, B: ArrayLike) -> Floats:
    """`log( (WB)^L )`: largest output change per input change.

    Lemmas C.2 to C.5. Attained for all sizes.

    >>> round(float(np.exp(log_input_lipschitz(W=3, L=2, B=1))))
    9
    """
    width, depth, log_B, _ = _sizes(W, L, B, 1.0)
    return depth * (np.log(width) + log_B)


def parameter_count(d_in: int, d_out: int, W: int, L: int) -> int:
    """P, the entries of a network `d_in -> W -> ... -> W -> d_out` with L affine layers.

    `(d_in+1) W + (L-2) (W+1) W + (W+1) d_out`, or `(d_in+1) d_out` for L = 1.

    >>> parameter_count(d_in=10, d_out=2, W=64, L=3)
    4994
    """
    wide, deep = whole("W", W, whole("d_in", d_in, 1)), whole("L", L, 1)
    inputs, outputs = whole("d_in", d_in, 1), whole("d_out", d_out, 1)
    if deep == 1:
        return (inputs + 1) * outputs
    return (inputs + 1) * wide + (deep - 2) * (wide + 1) * wide + (wide + 1) * outputs


def log_subsets(P: ArrayLike, S: ArrayLike) -> Floats:
    """`log C(P, S)`: ways to choose which S of P entries may be non-zero, 0 <= S <= P.

    >>> round(float(np.exp(log_subsets(5, 2))))
    10
    """
    entries = wholes("P", P, 0)
    chosen = wholes("S", S, 0, entries)
    few = np.minimum(chosen, entries - chosen)  # C(P, S) = C(P, P-S): keeps betaln exact
    return np.where(few == 0, 0.0, -np.log1p(entries) - betaln(few + 1, entries - few + 1))


def covering(P: int, W: int, L: int, B: float, R: float = 1.0, S: int | None = None) -> Bracketing:
    """Cover of the networks in the sup-norm: within tau of one of N(tau) of them.

    `log N(tau) <= min(P log c, log C(P, S) + S log c)`, `c = ceil(B C / tau)`, C the
    parameter-Lipschitz constant (Lemmas C.2 to C.5). In the result, eps stands for tau.

    >>> sparse = covering(P=4994, W=64, L=3, B=1, S=500)
    >>> round(float(sparse.log_number(0.01)))
    10734

    Args:
        P: entries, see `parameter_count`.
        W: width, W >= 1.
        L: affine layers, L >= 1.
        B: bound on the entries, B >= 1.
        R: bound on the inputs, R >= 1.
        S: most non-zero entries, in 1..P; P if None.
    """
    entries = whole("P", P, 1)
    chosen = entries if S is None else whole("S", S, 1, entries)
    log_C = float(log_parameter_lipschitz(W, L, B, R))
    choices = float(log_subsets(entries, chosen))
    return Bracketing(chosen, B, _same, _same, "network cover", choices, entries, log_scale=log_C)


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
        arrays = _arrays(layers)
        weight = tuple(float(np.abs(A).sum(axis=1).max()) for A, _ in arrays)
        bias = tuple(float(np.abs(b).max()) for _, b in arrays)
        return cls(weight, bias, tuple(A.shape[1] for A, _ in arrays))

    @classmethod
    def worst_case(cls, W: int, L: int, B: float) -> "LayerNorms":
        """Norms of the network whose entries are all B: the largest that the class allows."""
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
        The worst case is what `log_parameter_lipschitz` of the file bounds from above.

        Args:
            B: bound on the entries of the moved network; may be infinite.
            R: bound on the inputs, R >= 0.
            radius: largest eta allowed, >= 0; at 0 the derivative's bound.
        """
        return _telescope(self, self._moved(B, radius), R)[1]

    def log_input_lipschitz(self, B: float, radius: float = 0.0) -> float:
        """`log Π_l min(a_l + w_l radius, w_l B)`: input-Lipschitz, for the moved network."""
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
        log_constant: `log C`; outputs move by at most `C eta` if every entry moves by at most
            `eta <= radius` and stays in the box.
        radius: largest such eta.
        log_price: to add to `log N`; 0 if C was fixed before the data were seen.
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

    >>> small = local_constant([([[0.1, 0.1]] * 2, [0, 0]), ([[0.1, 0.1]], [0])], B=1)
    >>> round(small.log_constant, 2), round(float(log_parameter_lipschitz(W=2, L=2, B=1)), 2)
    (1.25, 2.89)

    Args:
        layers: pairs (A_l, b_l), entries in [-B, B].
        B: bound on the entries, chosen before training.
        R: bound on the inputs, R >= 0.
        radius: largest move of an entry; 1/(L W) if None, which raises C at most e-fold if no
            layer's norm is below 1.
    """
    inside_box("layers", [part for layer in _arrays(layers) for part in layer], B)
    norms = LayerNorms.of(layers)
    reach = norms.default_radius() if radius is None else radius
    return LocalConstant(norms.log_parameter_lipschitz(B, R, reach), reach)


def inside_box(name: str, arrays: Sequence[ArrayLike], B: float) -> None:
    """Pass if all entries lie in [-B, B]; otherwise rounding them to cells of the box is void."""
    bound = float(above("B", B))
    for array in arrays:
        numbers(f"entries of {name}", array, -bound, bound)


def local_bracketing(bracketing: Bracketing, local: LocalConstant) -> Bracketing:
    """The same class with a local constant in place of the worst case; cells within its radius.

    With sparsity its dense alternative is given up, as the price is paid in `log_choices`.
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


def nearest_centres(values: ArrayLike, B: float, c: int) -> Floats:
    """Round to the centres `-B + (B/c)(2j+1)`, j = 0..c-1, of c cells of half-width `B/c`.

    Centres lie inside [-B, B], so a rounded network has entries bounded by B too.

    >>> nearest_centres([-1, 0.1, 0.4, 1], B=1, c=2).tolist()
    [-0.5, 0.5, 0.5, 0.5]

    Args:
        values: any numbers in [-B, B].
        B: bound, B > 0.
        c: cells, c >= 1.
    """
    array, cells = numbers("values", values, -float(above("B", B)), B), whole("c", c, 1)
    j = np.clip(np.floor((array / B + 1) / 2 * cells), 0, cells - 1)
    return B * ((2 * j + 1) / cells - 1)


def rounded(layers: Layers, B: float, c: int, sparse: bool = False) -> list[tuple[Floats, Floats]]:
    """The cover element of a network: each entry at its cell's centre.

    Args:
        layers: pairs (A_l, b_l), entries in [-B, B].
        B: bound on the entries.
        c: cells per entry, c >= 1.
        sparse: leave zeros at zero, the cover that first chooses which entries are non-zero.
    """
    return [(_placed(A, B, c, sparse), _placed(b, B, c, sparse)) for A, b in _arrays(layers)]


def forward(layers: Layers, x: ArrayLike) -> Floats:
    """`f(x)` for inputs of shape (..., d_in): the reference that tests and pictures use.

    >>> forward([([[1, -1]], [0]), ([[2], [3]], [1, 1])], [[3, 1], [1, 3]]).tolist()
    [[5.0, 7.0], [1.0, 1.0]]
    """
    arrays = _arrays(layers)
    h = np.asarray(x, dtype=np.float64)
    for A, b in arrays[:-1]:
        h = np.maximum(h @ A.T + b, 0)
    A, b = arrays[-1]
    return h @ A.T + b


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


def _same(value: ArrayLike) -> ArrayLike:
    return value


def _placed(array: Floats, B: float, c: int, sparse: bool) -> Floats:
    centres = nearest_centres(array, B, c)
    return np.where(array == 0, 0.0, centres) if sparse else centres


def _arrays(layers: Layers) -> list[tuple[Floats, Floats]]:
    """The layers as arrays, each fitting the one before."""
    if not layers:
        raise InputError("layers must hold at least one pair of weights and biases")
    arrays = [(np.asarray(A, np.float64), np.asarray(b, np.float64)) for A, b in layers]
    for i, (A, b) in enumerate(arrays):
        fits = A.ndim == 2 and A.size > 0 and b.shape == A.shape[:1]
        if not fits or (i and A.shape[1] != arrays[i - 1][0].shape[0]):
            shapes = f"{A.shape} and {b.shape}"
            raise InputError(
                f"layers: (out, in) and (out,) must fit, got {shapes} at layer {i + 1}"
            )
        if not (np.isfinite(A).all() and np.isfinite(b).all()):
            raise InputError(f"layers: layer {i + 1} must have finite entries")
    return arrays


def _sizes(
    W: ArrayLike, L: ArrayLike, B: ArrayLike, R: ArrayLike
) -> tuple[Floats, Floats, Floats, Floats]:
    return (
        wholes("W", W, 1),
        wholes("L", L, 1),
        np.log(numbers("B", B, 1)),
        np.log(numbers("R", R, 1)),
    )
