"""A case: a family at given sizes, from the options of `sourcewise bound` to its bounds.

Each family says how many parameters its sources share, and how it is bracketed; whatever else is
known of it (the localized bound, the exact expectation) comes along. See `theory.calculator` for
what is made of a case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.errors import InputError, listing, unknown
from sourcewise.theory.bracketing import Bracketing
from sourcewise.theory.general import Bound
from sourcewise.theory.options import RANGES, at_most, group_sizes, option, value

__all__ = ["FAMILIES", "Case", "build"]

Bracket = Callable[[ArrayLike, ArrayLike], Bracketing]  # of m parameters in J blocks


@dataclass(frozen=True)
class Case:
    """A family at given sizes.

    Args:
        settings: what was asked, resolved; "family", "sources", "samples", "delta" and sizes.
        words: the sizes of one model, in words.
        shared: P_shared.
        specific: P_src.
        loose: (m, J) -> the bracketing of `paper` and `simple`.
        sharp: the bracketing of `refined`.
        localized: (K, n, J) -> that bound, where it is known.
        localized_drawn: the same for labels that are drawn.
        law: (K, n, J) -> the sharp law, where it is known.
        exact: (K, n, J) -> the exact expectation, where it is known.
        notes: {form: what to know of its values, or why they do not exist}.

    J blocks stand for one partition: 1 is pooled, K separate, the number of "groups" these.
    """

    settings: dict[str, Any]
    words: str
    shared: float
    specific: float
    loose: Bracket
    sharp: Bracket
    localized: Callable[[ArrayLike, ArrayLike, ArrayLike], Bound] | None = None
    localized_drawn: Callable[[ArrayLike, ArrayLike, ArrayLike], Bound] | None = None
    law: Callable[[int, int, int], float] | None = None
    exact: Callable[[int, int, int], float] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def K(self) -> int:
        """Sources."""
        return self.settings["sources"]

    @property
    def n(self) -> int:
        """Examples in all."""
        return self.settings["samples"]

    @property
    def delta(self) -> float:
        """Error probability."""
        return self.settings["delta"]


def build(family: str, options: Mapping[str, Any]) -> Case:
    """The case of a family from its options, numbers or texts; None is an option not given.

    >>> case = build("general", {"sources": 5, "samples": 500, "shared": 5, "specific": "5"})
    >>> case.settings["constant"], case.shared
    (1.0, 5.0)

    Raises:
        InputError: an unknown family; an option missing, unknown to it, or out of its range.
    """
    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    make, needed, allowed = FAMILIES[family]
    given = {name: text for name, text in options.items() if text is not None}
    for name in given:
        if name not in (*_COMMON, *needed, *allowed):
            known = listing([option(n) for n in (*_COMMON, *needed, *allowed)], 20)
            raise InputError(f"{option(name)} is no option of bound {family} (allowed: {known})")
    absent = [name for name in ("sources", "samples", *needed) if name not in given]
    if absent:
        told = f": {RANGES[absent[0]]}" if len(absent) == 1 else " (-h tells what they are)"
        raise InputError(f"bound {family} needs {listing(map(option, absent), 20)}{told}")
    settings = {"family": family, "delta": 0.05}
    settings |= {name: value(name, text) for name, text in given.items()}
    if "groups" in settings:
        settings["groups"] = group_sizes(settings["groups"], settings["sources"])
    return make(settings)


_COMMON = ("sources", "samples", "delta", "groups")


def _gaussian(settings: dict[str, Any]) -> Case:
    from sourcewise.theory.gaussian import case
    from sourcewise.theory.gaussian.brackets import envelope_bracketing, gaussian_bracketing
    from sourcewise.theory.gaussian.partitions import asymptotic_tv, expected_tv

    at_most("specific", settings, "dim")
    d, d1, B, K = (settings[name] for name in ("dim", "specific", "mean_bound", "sources"))
    entries = len(settings.get("shares", ())) or K
    if entries != K:
        raise InputError(f"--shares must have one entry per source, {K}, got {entries}")
    return Case(
        settings,
        f"{d} coordinates, {d1} of them source-specific, means within {B:g}",
        shared=d - d1,
        specific=d1,
        loose=lambda m, J: gaussian_bracketing(m, d, B),
        sharp=lambda m, J: envelope_bracketing(m, d, B),
        localized=lambda K, n, J: case.given_labels(settings, K, n, J),
        localized_drawn=lambda K, n, J: case.drawn_labels(settings, K, n, J),
        law=lambda K, n, J: asymptotic_tv(case.sources(settings, J), n, d, d1),
        exact=lambda K, n, J: expected_tv(case.sources(settings, J), n, d, d1),
        notes=case.notes(settings),
    )


def _arm(settings: dict[str, Any]) -> Case:
    from sourcewise.theory import arm

    D = settings["length"]
    if settings["width"] < D:
        raise InputError(f"--width must be at least --length, {D}, got {settings['width']}")
    encoder = settings.get("encoder", "per position")
    settings = settings | {"encoder": encoder}
    sizes = _sizes(arm.Sizes, settings, M=settings["vocabulary"], D=D, encoder=encoder)
    words = f"{D} symbols out of {sizes.M}, {_network_words(settings)}"
    return _networks(settings, words, sizes, arm.bracketing(sizes, 1))


def _energy(settings: dict[str, Any]) -> Case:
    from sourcewise.theory import energy

    D, inputs = settings["dim"], settings["dim"] + settings["embedding"]
    if settings["width"] < inputs:
        got = settings["width"]
        raise InputError(f"--width must be at least --dim + --embedding, {inputs}, got {got}")
    sizes = _sizes(energy.Sizes, settings, D=D)
    words = f"{D} coordinates in [0, 1], {_network_words(settings)}"
    return _networks(settings, words, sizes, energy.bracketing(sizes, 1))


def _sizes(make: Callable[..., Any], settings: dict[str, Any], **more: Any) -> Any:
    names = {"d_e": "embedding", "W": "width", "L": "depth", "B": "weight_bound"}
    more |= {symbol: settings[name] for symbol, name in names.items()}
    entries, S = make(**more).P, settings.get("nonzeros")
    if S is not None and S > entries:
        raise InputError(f"--nonzeros must be at most the network's entries, {entries}, got {S}")
    return make(**more, S=S)


def _network_words(settings: Mapping[str, Any]) -> str:
    depth, width, bound = settings["depth"], settings["width"], settings["weight_bound"]
    return f"network of {depth} layers, width {width}, weights within {bound:g}"


def _networks(settings: dict[str, Any], words: str, sizes: Any, one: Bracketing) -> Case:
    """The case of a network family, from the bracketing of a single model."""
    settings = settings | {"nonzeros": sizes.P if sizes.S is None else sizes.S}
    unused = None if one.m_dense is None else float(np.subtract(one.m_dense, one.m))

    def bracketing(m: ArrayLike, J: ArrayLike) -> Bracketing:
        dense = None if unused is None else np.add(m, np.multiply(J, unused))
        choices = np.multiply(J, one.log_choices)
        return replace(one, m=m, log_choices=choices, m_dense=dense)

    return Case(settings, words, sizes.P_shared, sizes.P_src, bracketing, bracketing)


def _general(settings: dict[str, Any]) -> Case:
    shared, specific = float(settings["shared"]), float(settings["specific"])
    if shared + specific == 0:
        raise InputError("--shared and --specific must not both be 0")
    settings = {"constant": 1.0} | settings

    def bracketing(m: ArrayLike, J: ArrayLike) -> Bracketing:
        c = settings["constant"]
        return Bracketing(m, c, np.asarray, np.asarray, "m log(c/eps)", whole=False)

    words = f"log N(eps) = m log({settings['constant']:g}/eps), "
    words += f"{shared:g} shared parameters and {specific:g} per source"
    return Case(settings, words, shared, specific, bracketing, bracketing)


_NETWORK = ("embedding", "width", "depth", "weight_bound")
# family: builder, options it needs, options it knows besides
FAMILIES: dict[str, tuple[Callable[[dict[str, Any]], Case], tuple[str, ...], tuple[str, ...]]] = {
    "gaussian": (_gaussian, ("dim", "specific", "mean_bound"), ("shares",)),
    "arm": (_arm, ("vocabulary", "length", *_NETWORK), ("nonzeros", "encoder")),
    "energy": (_energy, ("dim", *_NETWORK), ("nonzeros",)),
    "general": (_general, ("shared", "specific"), ("constant",)),
}
