"""The paper's three ARM tables (arXiv 2502.14583): average TV against K, n and D.

Beside each measured mean, with a t interval over seeds, stand the paper's value, the error of the
relative frequencies of the same rows, and the asymptotic law `sqrt(p / (2 pi n))` for two counts
of parameters: of the model class, and of the saturated class, `p = K (M^D - 1)`. Neither the truth
nor the training is the paper's: see `arm_settings`.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean
from typing import Any

from sourcewise.studies.arm_settings import (
    PAPER,
    STRATEGIES,
    ArmDSettings,
    ArmKSettings,
    ArmNSettings,
    ArmStudySettings,
    Place,
    Strategy,
    Sweep,
)
from sourcewise.studies.curves import Fit, fit, kept, over_seeds, within
from sourcewise.theory import arm as theory
from sourcewise.theory.asymptotic import asymptotic_bound
from sourcewise.theory.sharing import empirical_beta

__all__ = ["ArmTable", "Cell", "arm_table", "cells_of", "distance", "measured_errors"]

Progress = Callable[[int, int], None]
CLASSES = {"K": ArmKSettings, "n": ArmNSettings, "D": ArmDSettings}
NOT_STATED = (
    "the paper's truth, network sizes and training are not stated in what we hold; "
    "all of them are our choice"
)


@dataclass(frozen=True)
class Cell:
    """One number of a table. None where there is no value; `reason` says why.

    Args:
        sweep: what is varied.
        value: to what.
        strategy: pooled (multi-source) or separate (single-source).
        K: sources.
        n: examples in all.
        D: positions.
        measured: average TV, mean over seeds.
        standard_error: of `measured`.
        low, high: t interval of `measured` over seeds, 95 %.
        per_seed: average TV of each seed.
        paper: the paper's value.
        frequencies: average TV of the relative frequencies of the same rows, mean over seeds.
        law: `sqrt(p / (2 pi n))`, p the parameters of the class; may be above 1.
        saturated: the same for `p = K (M^D - 1)`.
        gain, gain_low, gain_high: separate minus pooled, paired by seed; pooled cells only.
        beta_hat: `theory.sharing.empirical_beta` of pooled over separate, not clipped.
        paper_beta_hat: the same of the paper's two values.
        beta: the parameter-count similarity of the class.
        updates: gradient steps.
        reason: why a value is missing.
    """

    sweep: Sweep
    value: int
    strategy: Strategy
    K: int
    n: int
    D: int
    measured: float
    standard_error: float
    low: float
    high: float
    per_seed: tuple[float, ...]
    paper: float | None
    frequencies: float
    law: float
    saturated: float
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    beta_hat: float | None
    paper_beta_hat: float | None
    beta: float
    updates: int
    reason: str | None


@dataclass(frozen=True)
class ArmTable:
    """One of the tables, with its settings, the time it took and what must hold."""

    settings: ArmStudySettings
    cells: tuple[Cell, ...]
    fits: tuple[Fit, ...]
    similarity: float
    seconds: float

    @property
    def name(self) -> str:
        """Of the study."""
        return f"arm-{self.settings.sweep}"

    @property
    def distance(self) -> float | None:
        """Root mean square of `log(measured / paper)` over the cells that the paper has."""
        return distance((c.measured, c.paper) for c in self.cells)

    def select(self, strategy: Strategy) -> tuple[Cell, ...]:
        """The cells of one curve, in the order of the sweep."""
        return tuple(cell for cell in self.cells if cell.strategy == strategy)

    def to_json(self) -> dict[str, Any]:
        """One JSON document; no NaN in it."""
        choices = self.settings.model_dump(mode="json")
        return {
            "name": self.name,
            "seconds": self.seconds,
            "settings": choices,
            "stated by the paper": False,
            "stated_by_the_paper_reason": NOT_STATED,
            "similarity": self.similarity,
            "distance": self.distance,
            "fits": [asdict(fit) for fit in self.fits],
            "cells": [asdict(cell) for cell in self.cells],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ArmTable":
        """The result again from its JSON document."""
        known = {field.name for field in fields(Cell)}
        cells: list[dict[str, Any]] = [
            {k: tuple(v) if k == "per_seed" else v for k, v in cell.items() if k in known}
            for cell in document["cells"]
        ]
        return cls(
            CLASSES[document["name"].removeprefix("arm-")].parse(document["settings"]),
            tuple(Cell(**cell) for cell in cells),
            tuple(Fit(**fit) for fit in document["fits"]),
            document["similarity"],
            document["seconds"],
        )

    def __str__(self) -> str:
        from sourcewise.studies.arm_text import text

        return text(self)

    def draw(self, png: str | Path, svg: str | Path) -> None:
        """Write the figure as PNG and as SVG; the same result gives the same bytes."""
        from sourcewise.studies.arm_plot import draw

        draw(self, Path(png), Path(svg))


def arm_table(
    settings: ArmStudySettings,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> ArmTable:
    """Compute a table.

    Args:
        settings: of one of the three sweeps.
        progress: called with (done, in all).
        folder: keeps what is finished, so that an interrupted table is taken up.
    """
    start, cells, places = time.perf_counter(), [], list(settings.places())
    similarity = 0.0
    for number, place in enumerate(places):
        errors = measured_errors(settings, place, within(progress, number, len(places)), folder)
        similarity = errors["similarity"]
        cells += cells_of(settings, place, errors)
    fits = () if settings.sweep == "D" else _fits(cells)
    return ArmTable(settings, tuple(cells), fits, similarity, time.perf_counter() - start)


def measured_errors(
    settings: ArmStudySettings,
    place: Place,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """`arm_simulation.measure` as plain values; from the folder if they are there already."""
    from sourcewise.studies.arm_simulation import measure

    K, n, D = place.sizes
    return kept(
        folder,
        f"K{K}-n{n}-D{D}",
        lambda unfinished: asdict(measure(settings, place, progress, unfinished)),
    )


def cells_of(settings: ArmStudySettings, place: Place, errors: dict[str, Any]) -> list[Cell]:
    """The separate and the pooled cell of a place.

    Args:
        settings: of the table.
        place: in the table.
        errors: see `arm_simulation.Errors`.
    """
    return [_cell(settings, place, strategy, errors) for strategy in STRATEGIES]


def _cell(
    settings: ArmStudySettings, place: Place, strategy: Strategy, errors: dict[str, Any]
) -> Cell:
    K, n, D = place.sizes
    pooled, values = strategy == "pooled", errors[strategy]
    found = PAPER.get(place.sizes) if settings.M == 2 else None
    sizes = settings.of_class(D)
    p = theory.m(sizes, K, 1 if pooled else K)
    measured = over_seeds(values)
    gain = over_seeds([s - q for s, q in zip(errors["separate"], values, strict=True)])
    share = pooled and K > 1
    reasons = [] if found else ["the paper has no such cell"]
    reasons += ["beta-hat and gain: with K = 1 both are one"] if pooled and K == 1 else []
    return Cell(
        **place._asdict(),
        strategy=strategy,
        measured=measured.value,
        standard_error=measured.standard_error,
        low=measured.low,
        high=measured.high,
        per_seed=tuple(values),
        paper=found[STRATEGIES.index(strategy)] if found else None,
        frequencies=mean(errors["frequencies"]),
        law=asymptotic_bound(p, n),
        saturated=asymptotic_bound(K * (settings.M**D - 1), n),
        gain=gain.value if share else None,
        gain_low=gain.low if share else None,
        gain_high=gain.high if share else None,
        beta_hat=empirical_beta(measured.value / mean(errors["separate"]), K) if share else None,
        paper_beta_hat=empirical_beta(found[1] / found[0], K) if share and found else None,
        beta=sizes.beta,
        updates=errors["updates"][strategy],
        reason="; ".join(reasons) or None,
    )


def distance(pairs: Iterable[tuple[float, float | None]]) -> float | None:
    """Root mean square of `log(measured / paper)`; None where the paper has nothing.

    >>> round(distance([(2.0, 1.0), (0.5, 1.0), (3.0, None)]), 4)
    0.6931
    """
    logs = [math.log(measured / paper) for measured, paper in pairs if paper]
    return math.sqrt(mean(v * v for v in logs)) if logs else None


def _fits(cells: Sequence[Cell]) -> tuple[Fit, ...]:
    """Exponents of all curves; none with fewer than two values."""
    curves: dict[str, list[Cell]] = {
        name: [c for c in cells if c.strategy == name] for name in STRATEGIES
    }
    x = [cell.value for cell in curves["separate"]]
    if len(set(x)) < 2:
        return ()
    fits = [fit(name, x, [cell.per_seed for cell in curve]) for name, curve in curves.items()]
    fits.append(fit("frequencies", x, [[cell.frequencies] for cell in curves["separate"]]))
    for name, curve in curves.items():
        paper = [[cell.paper] for cell in curve if cell.paper is not None]
        if len(paper) == len(x):
            fits.append(fit(f"paper, {name}", x, paper))
    return tuple(fits)
