"""All rates of a sampler's sizes, each with what its theorem needs and leaves open.

As JSON, a document is

    {"settings", "target"?, "results": [{"name", "paper", "distance", "formula", "value", "steps"?,
     "label", "needs", "vacuous"}], "reasons"}

`value` is the rate at the steps asked for, and `steps` the fewest for the target. `label` says
what is unknown: C stands for it. A value that does not exist is null, and `reasons` says why; it
also names the results that are left out.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.bounds.base import Curves
from sourcewise.bounds.convergence import Sampling, SamplingCase
from sourcewise.theory import sampling

__all__ = ["RESULTS", "Document", "Open", "Rate", "Result", "curves", "document"]

_MOST = 1e15  # steps, as in `sampling.fewest_steps`


class Open(StrEnum):
    """What a theorem leaves open, or what we could not read of it."""

    CONSTANTS = "up to constants"
    LOGS = "up to constants and log powers"
    DIMENSION = "up to constants, log and d powers"


@dataclass(frozen=True)
class Result:
    """What is known of a sampler.

    Args:
        name: of the sampler.
        paper: the number at arXiv.
        distance: in which its error is: "TV", or "W2".
        formula: of the rate.
        open: what is unknown.
        needs: conditions of the theorem, and what the rate leaves out.
        rate: of the options and T, which may be many.
        first: the steps from which it falls.
        intrinsic: whether it depends on the intrinsic dimension.
    """

    name: str
    paper: str
    distance: str
    formula: str
    open: Open
    needs: str
    rate: Callable[[Sampling, ArrayLike], Any]
    first: int = 2
    intrinsic: bool = False


def _power(power: float) -> Callable[[Sampling, ArrayLike], Any]:
    return lambda own, T: sampling.known_power(T, power, own.constant)


def _ddpm_intrinsic(own: Sampling, T: ArrayLike) -> Any:
    return sampling.ddpm_intrinsic(own.intrinsic or own.dim, T, own.score_error, own.constant)


def _flow(own: Sampling, T: ArrayLike) -> Any:
    errors = own.score_error, own.jacobian_error
    return sampling.probability_flow(own.dim, T, *errors, own.constant)


def _flow_intrinsic(own: Sampling, T: ArrayLike) -> Any:
    errors, k = (own.score_error, own.jacobian_error), own.intrinsic or own.dim
    return sampling.probability_flow_intrinsic(k, own.dim, T, *errors, own.constant)


RESULTS = (
    Result(
        "DDPM",
        "2409.18959",
        "TV",
        "C (d log^3 T / T + eps sqrt(log T))",
        Open.CONSTANTS,
        "a finite mean of |x|",
        lambda own, T: sampling.ddpm(own.dim, T, own.score_error, own.constant),
        sampling.FALLS,
    ),
    Result(
        "DDPM, intrinsic",
        "2409.18959",
        "TV",
        "C (k / T + eps)",
        Open.LOGS,
        "data of intrinsic dimension k, adapted coefficients",
        _ddpm_intrinsic,
        intrinsic=True,
    ),
    Result(
        "flow",
        "2408.02320",
        "TV",
        "C (d / T + sqrt(d) eps + d eps_J)",
        Open.LOGS,
        "data in a bounded region; T of at least d^2, up to constants and log powers",
        _flow,
    ),
    Result(
        "flow, intrinsic",
        "2501.18863",
        "TV",
        "C ((k + log d) log^3 T / T + (eps + eps_J) log T)",
        Open.CONSTANTS,
        "data of intrinsic dimension k",
        _flow_intrinsic,
        sampling.FALLS,
        intrinsic=True,
    ),
    Result(
        "flow, general",
        "2306.09251",
        "TV",
        "C / T",
        Open.DIMENSION,
        "accurate scores and Jacobians, whose errors are left out here",
        _power(1),
    ),
    Result(
        "DDPM, general",
        "2306.09251",
        "TV",
        "C / sqrt(T)",
        Open.DIMENSION,
        "accurate scores, whose error is left out here",
        _power(0.5),
    ),
    Result(
        "accelerated flow",
        "2403.03852",
        "TV",
        "C / T^2",
        Open.DIMENSION,
        "accurate scores and Jacobians, whose errors are left out here",
        _power(2),
    ),
    Result(
        "accelerated DDPM",
        "2403.03852",
        "TV",
        "C / T",
        Open.DIMENSION,
        "accurate scores, whose error is left out here",
        _power(1),
    ),
    Result(
        "accelerated, later",
        "2410.23285",
        "TV",
        "C d^(5/2) / T^2, from T = d^(5/4) / sqrt(TV)",
        Open.LOGS,
        "a finite second moment; accurate scores, whose error is left out here",
        lambda own, T: sampling.accelerated_stochastic(own.dim, T, own.constant),
    ),
    Result(
        "higher order",
        "2506.24042",
        "TV",
        "C d^(K+2) / T^K, from T = d^(1+2/K) TV^(-1/K)",
        Open.LOGS,
        "exact scores; T counts evaluations of the score",
        lambda own, T: sampling.higher_order(own.dim, T, own.order, own.constant),
    ),
    Result(
        "first order",
        "2502.04849",
        "W2",
        "C / sqrt(T), from T = W2^-2",
        Open.DIMENSION,
        "strongly log-concave data; accurate scores, whose error is left out here",
        _power(0.5),
    ),
    Result(
        "second order",
        "2502.04849",
        "W2",
        "C / T, from T = 1 / W2",
        Open.DIMENSION,
        "the same, and Hessians of log p_t (local linearisation)",
        _power(1),
    ),
)


@dataclass(frozen=True)
class Rate:
    """A result at the sizes of a case."""

    result: Result
    value: float  # inf where it is beyond floats
    steps: int | None  # fewest for the target; None without one, or where there are none

    @property
    def vacuous(self) -> bool:
        """Whether it says nothing: no total variation is above 1."""
        return self.result.distance == "TV" and self.value >= 1

    def to_json(self, target: float | None) -> Mapping[str, object]:
        """As plain values."""
        shown = ("name", "paper", "distance", "formula", "needs")
        found = {name: getattr(self.result, name) for name in shown}
        found["value"] = self.value if math.isfinite(self.value) else None
        steps = {} if target is None else {"steps": self.steps}
        return found | steps | {"label": str(self.result.open), "vacuous": self.vacuous}


@dataclass(frozen=True)
class Document:
    """All rates of a case."""

    case: SamplingCase
    rates: tuple[Rate, ...]
    target: float | None
    reasons: Mapping[str, str]  # {what: why it is not there, or not met}

    def to_json(self) -> Mapping[str, object]:
        """The document of the file's head."""
        found: dict[str, object] = {"settings": self.case.settings()}
        if self.target is not None:
            found["target"] = self.target
        found["results"] = [rate.to_json(self.target) for rate in self.rates]
        return found | {"reasons": dict(self.reasons)}


def document(case: SamplingCase, target: float | None = None) -> Document:
    """All rates of a case, with the fewest steps for an error of `target` > 0, if given.

    >>> from sourcewise.bounds.convergence import Asked
    >>> found = document(Sampling(dim=10, steps=1000).case(Asked("sampling")), target=0.1)
    >>> [(rate.result.name, rate.steps) for rate in found.rates][:2]
    [('DDPM', 176269), ('flow', 100)]
    """
    rates = tuple(_rate(result, case.own, target) for result in _known(case.own))
    return Document(case, rates, target, _reasons(case.own, rates, target))


def _known(own: Sampling) -> list[Result]:
    return [result for result in RESULTS if own.intrinsic is not None or not result.intrinsic]


def _rate(result: Result, own: Sampling, target: float | None) -> Rate:
    def bound(T: ArrayLike) -> Any:
        return result.rate(own, T)

    steps = None if target is None else sampling.fewest_steps(bound, target, result.first)
    return Rate(result, bound(own.steps), steps)


def _reasons(own: Sampling, rates: tuple[Rate, ...], target: float | None) -> dict[str, str]:
    found: dict[str, str] = {}
    if own.intrinsic is None:
        found["intrinsic"] = "what depends on the intrinsic dimension needs --intrinsic"
    if own.steps < own.dim**2:
        told = f"{own.steps} steps are below d^2 = {own.dim**2:g}, which it needs up to constants"
        found["flow"] = told
    if any(rate.steps is None for rate in rates) and target is not None:
        found["steps"] = f"none up to {_MOST:g} come to {target:g}, as with errors of the scores"
    if any(math.isinf(rate.value) for rate in rates):
        found["value"] = "null stands for a value beyond floats"
    return found


def curves(case: SamplingCase, over: str = "T") -> Curves:
    """The rates in total variation over T; the case's own T lies among the places."""
    own, at = case.own, case.own.steps
    low = max(2, min(at, sampling.FALLS))
    places = np.unique(np.append(np.geomspace(low, max(at * 100, 1e4), 60).round(), at))
    known = [result for result in _known(own) if result.distance == "TV"]
    lines = {result.name: {"rate": result.rate(own, places).tolist()} for result in known}
    return Curves(over, places.tolist(), at, lines, "TV, up to what is unknown")
