"""Given columns as something to add to a network's state."""

from torch import Tensor

from sourcewise.batch import needed
from sourcewise.networks.layers import Linear

__all__ = ["given_layer", "with_given"]


def given_layer(C: int, width: int, gain: float) -> Linear | None:
    """The layer that makes a state of C given columns; None without any.

    Args:
        C: given columns, encoded.
        width: of the state.
        gain: entries start uniform within `gain / sqrt(C)`.
    """
    return Linear(C, width, bias=False, gain=gain) if C else None


def with_given(h: Tensor, c: Tensor | None, layer: Linear | None) -> Tensor:
    """(..., width) `h + W c`; h as it is without a layer.

    Args:
        h: (..., width) states.
        c: (..., C) given columns, encoded.
        layer: of W.

    Raises:
        InputError: there is a layer and no c.
    """
    return h if layer is None else h + layer(needed(c).to(h))
