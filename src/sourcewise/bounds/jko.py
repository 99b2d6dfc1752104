"""All bounds on the scheme of Jordan, Kinderlehrer and Otto at given sizes (`theory.jko`)."""

import math
from collections.abc import Callable

import numpy as np

from sourcewise.bounds.base import Curves
from sourcewise.bounds.flows import Jko, JkoCase
from sourcewise.bounds.guarantees import Document, Guarantee, Known, beyond
from sourcewise.theory import jko
from sourcewise.theory.conversions import pinsker

__all__ = ["curves", "document"]

_NOTES = ("it states KL = O(eps^2) after O(log(1/eps)) steps: up to constants",)
_CONVEX = "KL(.||q) that is lambda-convex, each step's residual at most eps"
_ENOUGH = "the same, and steps by the rule"


def document(case: JkoCase, target: float | None = None) -> Document:
    """All bounds of a case, with the fewest steps for an error of `target` > 0, if given.

    >>> from sourcewise.bounds.flows import Asked
    >>> found = document(Jko(W2=3.0, eps=0.01, gamma=0.5).case(Asked("jko")), target=0.1)
    >>> [(one.name, one.steps) for one in found.guarantees][:3]
    [('law after N steps', 31), ('its divergence', 22), ('draws', 29)]
    """
    own = case.own
    guarantees = (*_after(own, target), *_by_rule(own), *_data(own))
    reasons = beyond(guarantees, target)
    rule = own.rule()
    if rule is None:
        reasons["rule"] = own.no_rule()
    elif _steps(own) <= rule:
        reasons["rule"] = f"{_steps(own)} steps are not above its {rule}, which its bounds need"
    return Document(case, "2310.17582", guarantees, target, reasons, _NOTES)


def _after(own: Jko, target: float | None) -> tuple[Guarantee, ...]:
    """After the steps of the case."""
    sizes, N = (own.W2, own.gamma, own.lam, own.eps), _steps(own)
    kl = jko.kl_bound(*sizes, N)

    def steps(distance: Callable[[float], float | None], later: int) -> int | None:
        """The fewest for the target: `later` than those of a W2."""
        wanted = None if target is None else distance(target)
        fewest = None if wanted is None else _fewest(own, wanted)
        return None if fewest is None else fewest + later

    def before(divergence: float) -> float | None:
        """The W2 one step before it."""
        left = divergence - own.eps * (own.eps / own.lam)
        return math.sqrt(2 * own.gamma * left) if left > 0 else None

    return (
        Guarantee(
            "law after N steps",
            "W2",
            "sqrt((1 + gamma lambda/2)^-N W2^2 + 4 eps^2/lambda^2)",
            jko.w2_bound(*sizes, N),
            Known.FORM,
            _CONVEX,
            True,
            steps(lambda w2: w2, 0),
        ),
        Guarantee(
            "its divergence",
            "KL",
            "B^2/(2 gamma) + eps^2/lambda, B the W2 above one step before",
            kl,
            Known.DERIVED,
            _CONVEX,
            True,
            steps(before, 1),
        ),
        Guarantee(
            "draws",
            "TV",
            "sqrt(KL/2): maps that are inverted exactly keep the KL",
            pinsker(kl),
            Known.PAPER,
            "the same, and exact inverses; of the data themselves, if they have a density",
            True,
            steps(lambda tv: before(2 * tv**2) if tv < 1 else math.inf, 1),
        ),
    )


def _by_rule(own: Jko) -> tuple[Guarantee, ...]:
    """What the closed forms say."""
    rule = own.rule()
    if rule is None:
        return ()
    near = math.sqrt(5) * own.eps / own.lam
    fewest = _fewest(own, near)
    return (
        Guarantee(
            "steps by the rule",
            "steps",
            "(8/(gamma lambda)) (log W2 + log(lambda/eps))",
            rule,
            Known.FORM,
            "gamma lambda <= 2",
        ),
        Guarantee(
            "steps, solved",
            "steps",
            "log(W2^2 lambda^2/eps^2) / log(1 + gamma lambda/2), to the same W2",
            math.inf if fewest is None else fewest,
            Known.DERIVED,
            "nothing more",
        ),
        Guarantee("law by the rule", "W2", "sqrt(5) eps/lambda", near, Known.DERIVED, _ENOUGH),
        Guarantee(
            "one step later",
            "KL",
            "(5/(2 gamma lambda^2) + 1/lambda) eps^2",
            jko.kl_by_rule(own.gamma, own.lam, own.eps),
            Known.FORM,
            _ENOUGH,
        ),
    )


def _data(own: Jko) -> list[Guarantee]:
    """What data without a density and inexact inverses cost, where they are asked for."""
    found = []
    if own.smoothing is not None and own.second_moment is not None and own.dim is not None:
        found.append(
            Guarantee(
                "smoothing",
                "W2",
                "sqrt((1 - e^-delta)^2 M2 + (1 - e^(-2 delta)) d)",
                jko.smoothing(own.smoothing, own.second_moment, own.dim),
                Known.DERIVED,
                "a finite M2; W2 and the bounds above are then those of the smoothed data",
            )
        )
    if own.inverse_error is not None and own.growth is not None:
        found.append(
            Guarantee(
                "inexact inverses",
                "W2",
                "eps_inv (e^(gamma K N) - 1)/(e^(gamma K) - 1)",
                jko.inversion(own.inverse_error, own.gamma, own.growth, _steps(own)),
                Known.FORM,
                "inverse maps that are Lipschitz by e^(gamma K); between draws by both inverses",
            )
        )
    return found


def _fewest(own: Jko, w2: float) -> int | None:
    """To a W2, which may be 0 or infinite."""
    if not 0 < w2 < math.inf:
        return 0 if w2 > 0 else None
    return jko.fewest_steps(own.W2, own.gamma, own.lam, own.eps, w2)


def _steps(own: Jko) -> int:
    if own.steps is None:
        raise ValueError("a case has its steps")
    return own.steps


def curves(case: JkoCase, over: str = "N") -> Curves:
    """W2 and TV over N; the case's own N lies among the places."""
    own, at = case.own, _steps(case.own)
    places = np.unique(np.append(np.geomspace(1, max(at * 10, 100), 80).round(), at))
    sizes = own.W2, own.gamma, own.lam, own.eps
    w2, kl = jko.w2_bound(*sizes, places), jko.kl_bound(*sizes, places)
    lines = {"W2 of the law": {"rate": w2.tolist()}, "TV of draws": {"rate": pinsker(kl).tolist()}}
    return Curves(over, places.tolist(), at, lines, "W2 and TV, at most", None)
