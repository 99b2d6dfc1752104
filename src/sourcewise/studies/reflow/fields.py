"""The fields of the study, and what is measured of each."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sourcewise.families.flow.model import Flow
from sourcewise.families.rectified_flow.model import RectifiedFlow
from sourcewise.networks.magnitude import fixed_weights
from sourcewise.randomness import Noise
from sourcewise.samplers import odes
from sourcewise.samplers.odes import Velocity
from sourcewise.samplers.paths import PATHS
from sourcewise.studies.reflow.measures import Ways, apart, euler, wasserstein, ways
from sourcewise.studies.reflow.points import ReflowPoint
from sourcewise.studies.reflow.sets import LINE, Drawn
from sourcewise.studies.reflow.settings import Cell
from sourcewise.theory import rectified
from sourcewise.theory.rectified_mixture import Mixture

__all__ = ["measured"]

EXACT = 16  # steps of the classical Runge-Kutta method, of four evaluations each
MOST_COLUMNS = 2  # of which W2 is taken: in more dimensions samples tell little of it
REACH, PLACES = 4.0, 401  # noise on the line from -4 to 4 whose map is compared


class Drawing(NamedTuple):
    """How a field is followed."""

    method: str
    steps: int

    @property
    def evaluations(self) -> int:
        """Of the field, for a draw."""
        return self.steps * odes.METHODS[self.method].evaluations

    def end(self, velocity: Velocity, n: Tensor) -> Tensor:
        """Where it leads noise n (B, ...)."""
        grid = torch.linspace(0, 1, self.steps + 1, dtype=torch.float64)
        return odes.solve(velocity, n, grid, self.method).x


class Field(NamedTuple):
    """A field under the labels (B,) of some rows."""

    name: str
    under: Callable[[Tensor], Velocity]
    flow: Flow | None  # None: it has a closed form


def measured(
    cell: Cell, model: RectifiedFlow, found: Drawn, noise: Noise
) -> Iterator[ReflowPoint]:
    """All points of a set, with its trained model."""
    yield _of_data(cell, found)
    for field in _fields(model, found):
        fixed = nullcontext() if field.flow is None else fixed_weights(field.flow.network)
        with torch.no_grad(), fixed:
            yield from _of_field(cell, field, found, noise)


def _of_data(cell: Cell, found: Drawn) -> ReflowPoint:
    """As many training rows, spread evenly, beside held-out ones: far apart by chance alone."""
    held, rows = found.held_out.tensor, found.data.train.tensor.double()
    count = min(len(held), len(rows))
    own = rows[torch.arange(count) * len(rows) // count]
    away = apart(held, own)
    W2 = _wasserstein(cell, held, own)
    return ReflowPoint(cell.name, "data", "", 0, away.value, away.error, W2)


def _wasserstein(cell: Cell, held: Tensor, x: Tensor) -> float | None:
    points = min(cell.settings.points, len(held), len(x))
    low = held.shape[1] <= MOST_COLUMNS
    return wasserstein(held[:points], x[:points].double()) if low else None


def _fields(model: RectifiedFlow, found: Drawn) -> Iterator[Field]:
    truth = found.mixture
    if truth is not None:

        def known(y: Tensor) -> Velocity:
            return lambda x, t: truth.velocity(x, y, PATHS["linear"].at(t))

        yield Field("exact field", known, None)
    for number, flow in enumerate(model.parts, 1):
        last = number > model.settings.rectifications
        yield Field("distilled" if last else f"{number}-rectified", _learned(flow), flow)


def _learned(flow: Flow) -> Callable[[Tensor], Velocity]:
    def under(y: Tensor) -> Velocity:
        label = torch.nn.functional.one_hot(y, flow.K).float()
        return lambda x, t: flow.velocity(x, t.to(x).expand(len(x)), label)

    return under


def _of_field(cell: Cell, field: Field, found: Drawn, noise: Noise) -> Iterator[ReflowPoint]:
    s, held = cell.settings, found.held_out
    y, one = held.y[torch.arange(s.draws) % len(held)], field.name == "distilled"
    n = _noise(field, y, found, noise)
    some = slice(s.ways)
    exact = None if one else ways(field.under(y[some]), n[some], s.intervals)
    steps = (1,) if one else s.steps
    every = [Drawing("euler", T) for T in steps] + ([] if one else [Drawing("rk4", EXACT)])
    for drawing in every:
        point = _of_draws(cell, field, drawing, found, n, y)
        if exact is not None:
            point = _with_steps(point, field.under(y[some]), exact)
        yield point


def _noise(field: Field, y: Tensor, found: Drawn, noise: Noise) -> Tensor:
    """(B, D), the same for all fields of a set."""
    kind = torch.float64 if field.flow is None else torch.float32
    return noise.each(y).normal(found.D).to(kind)


def _of_draws(
    cell: Cell, field: Field, drawing: Drawing, found: Drawn, n: Tensor, y: Tensor
) -> ReflowPoint:
    held, velocity = found.held_out.tensor, field.under(y)
    x = drawing.end(velocity, n).double()
    away = apart(held, x)
    return ReflowPoint(
        cell.name,
        field.name,
        drawing.method,
        drawing.evaluations,
        away.value,
        away.error,
        _wasserstein(cell, held, x),
        map_error=_off_monotone(field, drawing, n.dtype) if cell.name == "line" else None,
    )


def _with_steps(point: ReflowPoint, velocity: Velocity, exact: Ways) -> ReflowPoint:
    """With what the ways of the field say, and the bound of Euler's steps."""
    if point.method != "euler":
        return replace(point, straightness=exact.S)
    T = point.evaluations
    steps, gamma = euler(velocity, exact, T), exact.gamma(T)
    return replace(
        point,
        straightness=exact.S,
        gamma=gamma,
        lipschitz=steps.L,
        step_error=steps.error,
        bound=rectified.w2_of_steps(steps.L, 0, gamma, T),
    )


def _off_monotone(field: Field, drawing: Drawing, kind: torch.dtype) -> float:
    """Root mean square, over standard normal noise, of draws less the monotone map's."""
    z = np.linspace(-REACH, REACH, PLACES)
    weight, mean, scale = LINE
    wanted = Mixture([[m] for m in mean], weight, scale).monotone_map(z)
    n = torch.from_numpy(z)[:, None].to(kind)
    y = torch.zeros(len(n), dtype=torch.int64)
    away = drawing.end(field.under(y), n)[:, 0].double().numpy() - wanted
    chance = np.exp(-(z**2) / 2)
    return float(np.sqrt(np.average(away**2, weights=chance)))
