"""ReLU networks with bounded entries: how far outputs move when entries are rounded.

`f(x) = A_L relu(... relu(A_1 x + b_1) ...) + b_L`: L affine layers, each reading at most W
numbers, every entry of A_l and b_l in [-B, B], at most S of all P entries non-zero, inputs with
`|x|_inf <= R` (arXiv 2502.14583, the paper: Definition 4.2, Lemmas C.2 to C.5). The number of
outputs enters P only, not the constants. With `|.|_inf` the largest absolute entry,

- `log_sup_norm`: `|f(x)| <= ((W+1)B)^L R`;
- `log_parameter_lipschitz`: entries within eta, `|f(x) - f'(x)| <= L (W+1)^L B^(L-1) R eta`;
- `log_input_lipschitz`: `|f(x) - f(x')| <= (WB)^L |x - x'|`.

All are returned as logarithms: `(W+1)^L` alone overflows for deep networks. The same three from a
network's own layer norms, never larger: `theory.layer_norms`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from sourcewise.errors import InputError
from sourcewise.theory.bracketing import Bracketing
from sourcewise.theory.checks import Floats, above, numbers, whole, wholes

__all__ = [
    "Layers",
    "checked_layers",
    "covering",
    "forward",
    "inside_box",
    "log_input_lipschitz",
    "log_parameter_lipschitz",
    "log_subsets",
    "log_sup_norm",
    "nearest_centres",
    "parameter_count",
    "rounded",
]

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

    Lemmas C.2 to C.5. Attained for all sizes. Arguments as for `log_sup_norm`.

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

    Args:
        d_in: inputs, d_in >= 1.
        d_out: outputs, d_out >= 1.
        W: width, `W >= d_in`.
        L: affine layers, L >= 1.
    """
    wide, deep = whole("W", W, whole("d_in", d_in, 1)), whole("L", L, 1)
    inputs, outputs = whole("d_in", d_in, 1), whole("d_out", d_out, 1)
    if deep == 1:
        return (inputs + 1) * outputs
    return (inputs + 1) * wide + (deep - 2) * (wide + 1) * wide + (wide + 1) * outputs


def log_subsets(P: ArrayLike, S: ArrayLike) -> Floats:
    """`log C(P, S)`: ways to choose which S of P entries may be non-zero.

    >>> round(float(np.exp(log_subsets(5, 2))))
    10

    Args:
        P: entries, whole, >= 0.
        S: non-zero ones, in 0..P.
    """
    entries = wholes("P", P, 0)
    chosen = wholes("S", S, 0, entries)
    few = np.minimum(chosen, entries - chosen)  # C(P, S) = C(P, P-S): keeps betaln exact
    return np.where(few == 0, 0.0, -np.log1p(entries) - betaln(few + 1, entries - few + 1))


def covering(P: int, W: int, L: int, B: float, R: float = 1.0, S: int | None = None) -> Bracketing:
    """Cover of the networks in the sup-norm: within tau of one of N(tau) of them.

    `log N(tau) <= min(P log c, log C(P, S) + S log c)`, `c = ceil(B C / tau)`, C the
    parameter-Lipschitz constant (Lemmas C.2 to C.5). In the result, eps stands for tau. Arguments
    as for `log_sup_norm`.

    >>> sparse = covering(P=4994, W=64, L=3, B=1, S=500)
    >>> round(float(sparse.log_number(0.01)))
    10734

    Args:
        P: entries, P >= 1; see `parameter_count`.
        S: most non-zero entries, in 1..P; P if None.
    """
    entries = whole("P", P, 1)
    chosen = entries if S is None else whole("S", S, 1, entries)
    log_C = float(log_parameter_lipschitz(W, L, B, R))
    choices = float(log_subsets(entries, chosen))
    same = np.asarray  # moves of outputs are themselves the gap
    return Bracketing(chosen, B, same, same, "network cover", choices, entries, log_scale=log_C)


def inside_box(name: str, arrays: Sequence[ArrayLike], B: float) -> None:
    """Pass if all entries lie in `[-B, B]`; otherwise rounding them to cells of the box is void.

    >>> inside_box("network", [[0.5, -1.0]], B=1)

    Args:
        name: what messages call them.
        arrays: of any shape.
        B: bound, B > 0.
    """
    bound = float(above("B", B))
    for array in arrays:
        numbers(f"entries of {name}", array, -bound, bound)


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
    """The cover element of a network: each entry at its cell's centre, `-B + (B/c)(2j+1)`.

    Arguments as for `nearest_centres`.

    >>> [(A, b)] = rounded([([[0.9, 0.0]], [-0.2])], B=1, c=4)
    >>> A.tolist(), b.tolist()
    ([[0.75, 0.25]], [-0.25])

    Args:
        layers: pairs (A_l, b_l), entries in [-B, B].
        sparse: leave zeros at zero, the cover that first chooses which entries are non-zero.
    """

    def placed(array: Floats) -> Floats:
        centres = nearest_centres(array, B, c)
        return np.where(array == 0, 0.0, centres) if sparse else centres

    return [(placed(A), placed(b)) for A, b in checked_layers(layers)]


def forward(layers: Layers, x: ArrayLike) -> Floats:
    """`f(x)`, (..., d_out): the reference that tests and pictures use (Definition 4.2).

    >>> forward([([[1, -1]], [0]), ([[2], [3]], [1, 1])], [[3, 1], [1, 3]]).tolist()
    [[5.0, 7.0], [1.0, 1.0]]

    Args:
        layers: pairs (A_l, b_l), finite.
        x: (..., d_in) inputs.
    """
    arrays = checked_layers(layers)
    h = np.asarray(x, dtype=np.float64)
    for A, b in arrays[:-1]:
        h = np.maximum(h @ A.T + b, 0)
    A, b = arrays[-1]
    return h @ A.T + b


def checked_layers(layers: Layers) -> list[tuple[Floats, Floats]]:
    """The layers as arrays, if `A_l` fits `b_l` and the layer before.

    >>> checked_layers([([[1, 2]], [0])])[0][0].shape
    (1, 2)

    Args:
        layers: pairs (A_l, b_l), finite; A_l of shape (out, in), b_l (out,).
    """
    if not layers:
        raise InputError("layers must hold at least one pair of weights and biases")
    arrays = [(np.asarray(A, np.float64), np.asarray(b, np.float64)) for A, b in layers]
    for i, (A, b) in enumerate(arrays):
        fits = A.ndim == 2 and A.size > 0 and b.shape == A.shape[:1]
        if not fits or (i and A.shape[1] != arrays[i - 1][0].shape[0]):
            got = f"got {A.shape} and {b.shape} at layer {i + 1}"
            raise InputError(f"layers: (out, in) and (out,) must fit, {got}")
        if not (np.isfinite(A).all() and np.isfinite(b).all()):
            raise InputError(f"layers: layer {i + 1} must have finite entries")
    return arrays


def _sizes(
    W: ArrayLike, L: ArrayLike, B: ArrayLike, R: ArrayLike
) -> tuple[Floats, Floats, Floats, Floats]:
    log_B, log_R = np.log(numbers("B", B, 1)), np.log(numbers("R", R, 1))
    return wholes("W", W, 1), wholes("L", L, 1), log_B, log_R
