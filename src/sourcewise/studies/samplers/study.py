"""The order of every sampler: its error against its number of steps, on truths with exact scores.

What a sampler makes of a truth is computed and not drawn (see `laws`), so that errors are its own:
none of a network, none of chance, none of where it starts. An order is the slope of log error
against log steps over the last three numbers of steps, with its sign turned.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from sourcewise.settings import Many, Settings
from sourcewise.studies.grid import Grid, Progress, Trials, Work
from sourcewise.studies.result import Result, markdown, select
from sourcewise.studies.samplers.laws import Line
from sourcewise.studies.samplers.methods import METHODS, Method
from sourcewise.studies.samplers.pictures import PICTURE

__all__ = ["SamplerPoint", "Samplers", "SamplersSettings", "grid"]

SHORTEST = 20  # chain whose schedule is one
LAST = 3  # numbers of steps that an order is of
CHAIN = "chain"
TRUTHS = {
    "normal": Line.of((1.0, 2.0, 0.5)),
    "wide normal": Line.of((1.0, 0.0, 2.0)),
    "mixture": Line.of((0.4, -1.5, 0.5), (0.6, 1.2, 0.6)),
}


class SamplersSettings(Settings):
    """Numbers of steps."""

    steps: tuple[Many, ...] = Field(
        default=(10, 20, 40, 80), min_length=LAST, description="steps in continuous time"
    )
    chain: tuple[Annotated[int, Field(ge=SHORTEST, le=1_000_000)], ...] = Field(
        default=(50, 100, 200, 400, 800, 1600, 3200),
        min_length=LAST,
        description="steps of chains, T",
    )


@dataclass(frozen=True)
class SamplerPoint:
    """The error of a sampler with a number of steps."""

    sampler: str
    process: str  # the noise that it undoes
    truth: str
    steps: int
    evaluations: int  # of the network, in all
    distance: str  # W2 or TV, between the law of its draws and that of data
    error: float  # in it


@dataclass(frozen=True)
class Samplers(Result):
    """Errors, and orders."""

    settings: SamplersSettings
    points: tuple[SamplerPoint, ...]

    @property
    def orders(self) -> dict[str, float]:
        """Of each sampler, on the truth where it is lowest."""
        found: dict[str, float] = {}
        for name, _, order in self._orders():
            found[name] = min(order, found.get(name, order))
        return found

    def _orders(self) -> list[tuple[str, str, float]]:
        pairs = dict.fromkeys((p.sampler, p.truth) for p in self.points)
        return [(s, t, _order(select(self.points, sampler=s, truth=t))) for s, t in pairs]

    def to_json(self) -> Mapping[str, object]:
        """As plain values."""
        return {**super().to_json(), "orders": self.orders}

    def __str__(self) -> str:
        """In Markdown; a line for each sampler and truth, as many columns as numbers of steps."""
        parts = []
        for chain, counts in ((False, self.settings.steps), (True, self.settings.chain)):
            head = ["sampler", "truth", "", *(f"{n} steps" for n in counts), "order"]
            parts.append("\n".join(markdown(head, self._rows(chain))))
        return "\n\n".join(parts)

    def _rows(self, chain: bool) -> Iterator[list[str]]:
        for name, truth, order in self._orders():
            mine = select(self.points, sampler=name, truth=truth)
            if (mine[0].process == CHAIN) == chain:
                errors = (f"{p.error:.2g}" for p in mine)
                yield [name, truth, mine[0].distance, *errors, f"{order:.2f}"]


def _order(points: Sequence[SamplerPoint]) -> float:
    last = sorted(points, key=lambda p: p.steps)[-LAST:]
    steps, errors = np.log([p.steps for p in last]), np.log([p.error for p in last])
    return -float(np.polyfit(steps, errors, 1)[0])


class Cell(NamedTuple):
    """A sampler, a truth, and a number of steps."""

    method: Method
    truth: str
    steps: int

    @property
    def name(self) -> str:
        """Says all three."""
        return f"{self.method.name}-{self.truth.replace(' ', '-')}-{self.steps}"


def grid(settings: SamplersSettings) -> Grid[Cell, SamplerPoint, Samplers]:
    """Every sampler on a normal law and on a mixture."""
    cells = [
        Cell(method, truth, n)
        for method in METHODS
        for truth in (("wide normal" if method.process == CHAIN else "normal"), "mixture")
        for n in sorted(set(settings.chain if method.process == CHAIN else settings.steps))
    ]
    return Grid(
        cells=cells,
        compute=_measure,
        found=SamplerPoint,
        fold=lambda found: Samplers(settings, tuple(found[cell.name] for cell in cells)),
        time=Trials(
            lambda cell: Work(cell.steps, cell.method.cost(TRUTHS[cell.truth])),
            lambda: grid(SamplersSettings(steps=(1, 2, 3), chain=(20, 21, 22))),
        ),
        picture=PICTURE,
    )


def _measure(cell: Cell, progress: Progress | None, folder: Path | None) -> SamplerPoint:
    """The error; it is known at the end."""
    if progress:
        progress(0, 1)
    m = cell.method
    error = m.error(TRUTHS[cell.truth], cell.steps)
    if progress:
        progress(1, 1)
    evaluations = cell.steps * m.evaluations
    return SamplerPoint(m.name, m.process, cell.truth, cell.steps, evaluations, m.distance, error)
