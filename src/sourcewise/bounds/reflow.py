"""All bounds on Euler's steps of a rectified flow at given sizes (`theory.rectified`)."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.bounds.base import Curves
from sourcewise.bounds.flows import Reflow, ReflowCase
from sourcewise.bounds.guarantees import Document, Guarantee, Known, beyond
from sourcewise.errors import InputError
from sourcewise.theory import rectified, sampling

__all__ = ["curves", "document"]

_NOTES = (
    "no theorem claims that two rectifications always suffice: its versions 1 to 5 did, and the",
    "later ones withdraw their proof",
)
_NEEDS = "an estimated field, Lipschitz by L and off by eps along the exact path"


def document(case: ReflowCase, target: float | None = None) -> Document:
    """All bounds of a case, with the fewest steps for an error of `target` > 0, if given.

    >>> from sourcewise.bounds.flows import Asked
    >>> own = Reflow(lipschitz=1, gamma2=3, steps=100)
    >>> found = document(own.case(Asked("reflow")), target=0.1)
    >>> [(one.name, one.steps) for one in found.guarantees][:2]
    [('draws', 18), ('draws, step by step', 17)]
    """
    own = case.own
    sizes = own.lipschitz, own.eps, own.gamma2
    guarantees = (
        Guarantee(
            "draws",
            "W2",
            "((e^L - 1)/L) (eps + sqrt(gamma_2/3)/T)",
            rectified.w2_bound(*sizes, own.steps),
            Known.FORM,
            _NEEDS,
            True,
            None if target is None else rectified.fewest_steps(*sizes, target),
        ),
        Guarantee(
            "draws, step by step",
            "W2",
            "(((1 + L/T)^T - 1)/L) (eps + sqrt(gamma_2/3)/T)",
            rectified.w2_of_steps(*sizes, own.steps),
            Known.DERIVED,
            "the same; never above it",
            True,
            None if target is None else _fewest(own, target),
        ),
        Guarantee(
            "share of the steps",
            "W2",
            "((e^L - 1)/L) sqrt(gamma_2/3)/T",
            rectified.w2_bound(own.lipschitz, 0, own.gamma2, own.steps),
            Known.FORM,
            "of the first: what a perfect field leaves; 0 for straight paths",
        ),
        Guarantee(
            "share of the field",
            "W2",
            "((e^L - 1)/L) eps",
            rectified.w2_bound(own.lipschitz, own.eps, 0, own.steps),
            Known.FORM,
            "of the first: what more steps leave",
        ),
    )
    return Document(case, "2410.14949", guarantees, target, beyond(guarantees, target), _NOTES)


def _fewest(own: Reflow, target: float) -> int | None:
    """Of the bound step by step, which may rise before it falls."""

    def bound(T: ArrayLike) -> Any:
        return rectified.w2_of_steps(own.lipschitz, own.eps, own.gamma2, T)

    return 1 if bound(1) <= target else sampling.fewest_steps(bound, target)


def curves(case: ReflowCase, over: str = "T") -> Curves:
    """Both bounds over T, with one gamma_2 for all T; the case's own T lies among the places."""
    own, at = case.own, case.own.steps
    places = np.unique(np.append(np.geomspace(1, max(at * 100, 1e3), 60).round(), at))
    sizes = own.lipschitz, own.eps, own.gamma2
    lines = {
        "draws": {"rate": rectified.w2_bound(*sizes, places).tolist()},
        "step by step": {"rate": rectified.w2_of_steps(*sizes, places).tolist()},
    }
    values = [value for line in lines.values() for value in line["rate"]]
    if not all(0 < value < math.inf for value in values):
        raise InputError("there is nothing to plot: bounds are 0, or beyond floats")
    return Curves(over, places.tolist(), at, lines, "W2, at most", None)
