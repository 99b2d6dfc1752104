"""Is the best pair as far ahead as it says? Coverage of its leads after it was chosen.

Each setting, a population like those of the audit, draws fresh data sets. On each of them
Gaussians and mixtures are compared beside each other, which names the best pair of family and
strategy with its lead over the next, over all others, and over what the Gaussian alone would
recommend. The truth (`truth`) is what the very models of the contest achieve on many fresh rows.
As the best was chosen for its errors too, an interval for one pair that was named beforehand would
lie above the truth too often.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from sourcewise.comparison.beside.prepare import named_families, prepare_families
from sourcewise.comparison.prepare import CompareSettings
from sourcewise.randomness import Noise
from sourcewise.settings import Seed, Settings
from sourcewise.sources import Sources
from sourcewise.studies.audit.populations import Population, chosen
from sourcewise.studies.best.leads import Chosen, Covered, commonest
from sourcewise.studies.best.truth import Truth, best_of
from sourcewise.studies.grid import Grid, Progress, Trials, Work
from sourcewise.studies.result import Result

__all__ = ["BestAudit", "BestPoint", "BestSettings", "grid"]

FAMILIES = "gaussian,mixture"
POPULATIONS = [
    Population("equal", "normal", (60,) * 3, d=2),  # mixtures of one component are Gaussians: ties
    Population("opposite", "normal", (200,) * 3, d=2),
    Population("equal", "peaks", (60,) * 3, d=2),
    Population("opposite", "peaks", (200,) * 3, d=2),
    Population("edge", "faint", (100,) * 3, d=2),  # neither strategies nor families differ by much
    Population("edge", "faint", (300,) * 3, d=2),
    Population("equal", "t5", (200,) * 3, d=2),
]


class BestSettings(Settings):
    """How much is simulated."""

    repetitions: int = Field(default=100, ge=2, le=1_000_000, description="data sets per setting")
    rows: int = Field(
        default=20_000,
        ge=100,
        le=10_000_000,
        description="fresh rows of each source that tell the true values",
    )
    only: tuple[str, ...] = Field(
        default=(), description="settings whose names hold one of these; none: all"
    )
    scope: Literal["auto", "these models"] = Field(
        default="auto",
        description="auto: the Gaussian is cross-validated, and only the strategy that it "
        "recommends is a candidate; these models: all pairs are",
    )
    seed: Seed = 0


@dataclass(frozen=True)
class BestPoint:
    """What was found in a setting; shares of its data sets, but for what says otherwise."""

    name: str
    commonest: str  # the pair that is best most often, and in how many per cent
    right: float  # the best pair truly is the best candidate
    told_apart: float  # the interval of its lead over all others is above 0
    wrong: float  # so it is, and another candidate is truly better
    following: Covered  # the lead over the next
    lead: Covered  # the lead over all others
    default: Covered  # over what the first family alone would recommend, where that is another
    regret: float  # of taking the best pair, nats per row
    truth_error: float  # standard error of a true lead over the next, nats per row

    def __str__(self) -> str:
        shares = (f"{100 * x:.0f}" for x in (self.right, self.told_apart, self.wrong))
        return (
            f"| {self.name} | {self.commonest} | {' | '.join(shares)} | {self.following} "
            f"| {self.lead} | {self.default.number} | {self.default} | {self.regret:.4f} |"
        )


@dataclass(frozen=True)
class BestAudit(Result):
    """The study's table."""

    settings: BestSettings
    points: tuple[BestPoint, ...]

    def __str__(self) -> str:
        """In Markdown; its last line is of all data sets."""
        return "\n".join(
            [
                "| setting | most often best (%) | truly best | told apart | wrongly "
                "| covers, over the next | above / below | covers, over all | above / below "
                "| other defaults | covers, over the default | above / below | regret |",
                "|---" * 13 + "|",
                *map(str, self.points),
                str(self.total),
            ]
        )

    @property
    def total(self) -> BestPoint:
        """Of all settings, which have the same number of data sets."""

        def mean(key: str) -> float:
            return float(np.mean([getattr(point, key) for point in self.points]))

        def joined(key: str) -> Covered:
            return Covered.joined([getattr(point, key) for point in self.points])

        return BestPoint(
            name="all",
            commonest="",
            right=mean("right"),
            told_apart=mean("told_apart"),
            wrong=mean("wrong"),
            following=joined("following"),
            lead=joined("lead"),
            default=joined("default"),
            regret=mean("regret"),
            truth_error=mean("truth_error"),
        )


def grid(settings: BestSettings) -> Grid[Population, BestPoint, BestAudit]:
    """All settings, or those that are named."""
    s = settings
    cells = chosen(POPULATIONS, s.only)
    return Grid(
        cells=cells,
        compute=partial(_measure, settings),
        found=BestPoint,
        fold=lambda found: BestAudit(s, tuple(found[cell.name] for cell in cells)),
        time=Trials(
            lambda cell: Work(s.repetitions, sum(cell.sizes)),
            lambda: grid(s.model_copy(update={"repetitions": 3})),
        ),
    )


def _measure(
    s: BestSettings, population: Population, progress: Progress | None, folder: Path | None
) -> BestPoint:
    """Every data set's best pair."""
    noise, found = Noise(s.seed).of("best", population.name), []
    many = population._replace(sizes=(s.rows,) * population.K)
    settings = CompareSettings(model=FAMILIES, scope=s.scope, seeds=1)
    for r in range(s.repetitions):
        data, new = population.draw(noise.of("data", r)), many.draw(noise.of("new", r))
        found.append(_case(data, settings.model_copy(update={"seed": r}), new))
        if progress:
            progress(r + 1, s.repetitions)
    return _point(population.name, found)


def _case(data: Sources, settings: CompareSettings, new: Sources) -> tuple[Chosen, float]:
    """The best pair, and the error of its true lead over the next."""
    prepared = prepare_families(data, settings, named_families(data, settings))
    entrants, contest, best = best_of(prepared)
    truth = Truth.of(entrants, new)
    pair, following = (best.family, best.strategy), best.runner_up
    error = truth.error(pair, (following.family, following.strategy))
    return Chosen.of(best, contest.rivals, truth.apart), error


def _point(name: str, found: Sequence[tuple[Chosen, float]]) -> BestPoint:
    cases = [case for case, _ in found]
    told = [case for case in cases if case.told_apart]
    return BestPoint(
        name=name,
        commonest=commonest(cases),
        right=float(np.mean([case.right for case in cases])),
        told_apart=len(told) / len(cases),
        wrong=sum(not case.right for case in told) / len(cases),
        following=Covered.of([case.following for case in cases]),
        lead=Covered.of([case.lead for case in cases]),
        default=Covered.of([case.default for case in cases if case.default]),
        regret=float(np.mean([case.regret for case in cases])),
        truth_error=float(np.mean([error for _, error in found])),
    )
