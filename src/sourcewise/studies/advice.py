"""Does the advice hold? "About X times the rows would decide", and then X times are drawn.

Each setting, a population of the audit, draws data sets and compares them. Where the average over
the sources is undecided and a number of rows is advised, new data with that many rows of each
source are drawn and compared. The advice is for a chance of 80 % of a verdict, over what the true
value may be given the estimate; within one setting there is one true value, so that shares of
settings may lie on both sides of it.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from sourcewise.comparison.compare import compare
from sourcewise.randomness import Noise
from sourcewise.results.comparison import Difference
from sourcewise.settings import Seed, Settings
from sourcewise.sources import Sources
from sourcewise.studies.audit.populations import Population, chosen
from sourcewise.studies.audit.truth import compared
from sourcewise.studies.grid import Grid, Progress, Trials, Work
from sourcewise.studies.result import Result

__all__ = ["Advice", "AdvicePoint", "AdviceSettings", "advised", "grid"]

FEW = 1.1  # times the rows, that "a few more rows" is at most
POPULATIONS = [
    Population("equal", "normal", (30,) * 4),
    Population("equal", "normal", (75,) * 4),
    Population("equal", "t5", (200,) * 4),
    Population("opposite", "normal", (30,) * 4),
    Population("opposite", "t5", (30,) * 4),
    Population("edge", "normal", (75,) * 4),
    Population("edge", "normal", (400, 100, 50, 30)),
    Population("edge", "t5", (200,) * 4),
]


class AdviceSettings(Settings):
    """How much is simulated."""

    repetitions: int = Field(default=60, ge=1, le=1_000_000, description="data sets per setting")
    most: float = Field(
        default=100.0,
        ge=1,
        le=1000,
        description="times the rows that are drawn; advice of more is counted, not tried",
    )
    only: tuple[str, ...] = Field(
        default=(), description="settings whose names hold one of these; none: all"
    )
    seed: Seed = 0


@dataclass(frozen=True)
class AdvicePoint:
    """What came of a setting's advice; numbers of data sets, but for `times`."""

    name: str
    repetitions: int
    undecided: int  # on average over the sources
    silent: int  # of these, without a number of rows
    capped: int  # of these, with more than are drawn
    times: tuple[float, ...]  # the rows that the others advise: these are tried
    decided: int  # of those tried, then
    promised: int  # of those tried, with the words "most likely equivalent then"
    equivalent: int  # of those promised, then

    def __str__(self) -> str:
        median = f"{np.median(self.times):.2g}" if self.times else "-"
        return (
            f"| {self.name} | {_share(self.undecided, self.repetitions)} "
            f"| {_share(self.silent, self.undecided)} | {self.capped} | {median} "
            f"| {_share(self.decided, len(self.times))} "
            f"| {_share(self.equivalent, self.promised)} |"
        )


@dataclass(frozen=True)
class Advice(Result):
    """The study's table."""

    settings: AdviceSettings
    points: tuple[AdvicePoint, ...]

    def __str__(self) -> str:
        """A Markdown table; its last line is of all data sets."""
        head = (
            "| setting | undecided | of these without a number of rows | not tried | median times "
            "| decided then | equivalent where promised |\n|---|---|---|---|---|---|---|"
        )
        return "\n".join([head, *map(str, self.points), str(self.total)])

    @property
    def total(self) -> AdvicePoint:
        """Of all settings together."""
        times = tuple(x for point in self.points for x in point.times)

        def count(name: str) -> int:
            return sum(getattr(point, name) for point in self.points)

        return AdvicePoint(
            name="all",
            repetitions=count("repetitions"),
            undecided=count("undecided"),
            silent=count("silent"),
            capped=count("capped"),
            times=times,
            decided=count("decided"),
            promised=count("promised"),
            equivalent=count("equivalent"),
        )


def _share(part: int, whole: int) -> str:
    """With its standard error, that of a share of independent data sets."""
    if not whole:
        return "-"
    p = part / whole
    return f"{part} of {whole}: {100 * p:.0f} % ± {100 * math.sqrt(p * (1 - p) / whole):.0f}"


def grid(settings: AdviceSettings) -> Grid[Population, AdvicePoint, Advice]:
    """All settings, or those that are named."""
    s = settings
    cells = chosen(POPULATIONS, s.only)
    return Grid(
        cells=cells,
        compute=partial(_measure, settings),
        found=AdvicePoint,
        fold=lambda found: Advice(s, tuple(found[cell.name] for cell in cells)),
        time=Trials(
            lambda cell: Work(s.repetitions, sum(cell.sizes)),
            lambda: grid(s.model_copy(update={"repetitions": 2})),
        ),
    )


class Advised(NamedTuple):
    """What a line advises."""

    times: float  # the rows
    equivalent: bool  # whether that is most likely the verdict then


def advised(text: str | None) -> Advised | None:
    """The number of rows in what an undecided difference lacks, if it is one.

    >>> advised("about 2.7 times the rows, and most likely equivalent then")
    Advised(times=2.7, equivalent=True)
    >>> advised("more than 100 times the rows")
    """
    found = re.match(r"about ([\d.]+) times the rows|a few more rows", text or "")
    if not found:
        return None
    return Advised(float(found[1] or FEW), "equivalent then" in found.string)


@dataclass(frozen=True)
class _Case:
    """A data set, and what came of its advice."""

    undecided: bool
    advice: Advised | None = None
    then: str | None = None  # the verdict on average; None: not tried


def _measure(
    s: AdviceSettings, population: Population, progress: Progress | None, folder: Path | None
) -> AdvicePoint:
    """Every data set's advice, taken."""
    noise = Noise(s.seed).of("advice", population.name)
    cases = []
    for r in range(s.repetitions):
        cases.append(_case(s, population, noise.of(r), r))
        if progress:
            progress(r + 1, s.repetitions)
    return _point(population.name, cases)


def _case(s: AdviceSettings, population: Population, noise: Noise, seed: int) -> _Case:
    now = _average(population, population.draw(noise.of("now")), seed)
    advice = advised(now.would_decide)
    if now.verdict != "undecided" or advice is None or advice.times > s.most:
        return _Case(now.verdict == "undecided", advice)
    sizes = tuple(round(n * advice.times) for n in population.sizes)
    more = population._replace(sizes=sizes)
    return _Case(True, advice, _average(more, more.draw(noise.of("then")), seed).verdict)


def _average(population: Population, data: Sources, seed: int) -> Difference:
    """Pooled minus separate, on average over the sources."""
    settings = compared(population, "log-likelihood").model_copy(update={"seeds": 1, "seed": seed})
    rows = compare(data, settings).result.differences
    return next(d for d in rows if d.average)


def _point(name: str, cases: Sequence[_Case]) -> AdvicePoint:
    undecided = [case for case in cases if case.undecided]
    told = [(c.advice, c.then) for c in undecided if c.advice is not None]
    tried = [(advice, then) for advice, then in told if then is not None]
    promised = [then for advice, then in tried if advice.equivalent]
    return AdvicePoint(
        name=name,
        repetitions=len(cases),
        undecided=len(undecided),
        silent=len(undecided) - len(told),
        capped=len(told) - len(tried),
        times=tuple(advice.times for advice, _ in tried),
        decided=sum(then != "undecided" for _, then in tried),
        promised=len(promised),
        equivalent=promised.count("equivalent"),
    )
