"""Average TV of pooled and separate energy-based models against n, K and d_e, for D = 1 and 2.

The truth is a random member of the class that is trained (`energy_truth`), training is exact
maximum likelihood over the class (`energy_simulation`). Beside each measured mean, with a t
interval over seeds, stand

| what | formula | holds |
|---|---|---|
| bound | `theory.general.refined`, with the brackets of `theory.energy` | for the maximum |
| law | `sqrt(p / (2 pi n))`, p the parameters of the class | regular classes, from above |
| information | `energy_information`: the law without redundant directions | constant rank |

The class is not regular: it has redundant parameters everywhere, more of them at some truths, and
the likelihood has local maxima. So fits that start at the truth are measured as well: they show
the statistics without the search.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean
from typing import Any

from sourcewise.studies.curves import Fit, fit, kept, over_seeds, within
from sourcewise.studies.energy_settings import (
    STRATEGIES,
    SWEEPS,
    EnergyStudySettings,
    Place,
    Strategy,
    Sweep,
)
from sourcewise.theory import energy as theory
from sourcewise.theory.asymptotic import asymptotic_bound, effective_parameters
from sourcewise.theory.general import refined
from sourcewise.theory.sharing import empirical_beta

__all__ = ["Cell", "EnergyStudy", "EnergyStudySettings", "Exponent", "energy_study"]

Progress = Callable[[int, int], None]
Found = tuple[dict[str, Any], dict[str, Any]]  # from random starts, from the truth


@dataclass(frozen=True)
class Cell:
    """One number of the study. None where there is no value; `reason` says why.

    Args:
        sweep: what is varied.
        value: to what.
        D: coordinates.
        K: sources.
        n: examples in all.
        d_e: numbers per embedding.
        strategy: pooled or separate.
        measured: average TV, mean over seeds.
        standard_error: of `measured`.
        low, high: t interval of `measured` over seeds, 95 %.
        per_seed: average TV of each seed.
        near: average TV of fits that start at the truth, mean over seeds.
        near_per_seed: of each seed.
        bound: the refined bound, with probability `1 - delta`; 1 says nothing.
        law: `sqrt(p / (2 pi n))`; may be above 1.
        parameters: p, of the class.
        information: the law of the information matrix of each truth, mean over seeds.
        rank: of that matrix, mean over seeds.
        effective: `2 pi n R^2` of each seed's error R, mean.
        gain, gain_low, gain_high: separate minus pooled, paired by seed; pooled cells only.
        beta_hat: `theory.sharing.empirical_beta` of pooled over separate, not clipped.
        beta_information: the same of the two laws of the information matrix.
        beta: the parameter-count similarity of the class, `S / (S + d_e)`.
        apart: average TV between a source and the mean of all sources, mean over seeds.
        gained: twice the log-likelihood of the fits above the truth's, mean over seeds.
        near_gained: the same of fits that start at the truth.
        blocks: models fitted, each the likeliest of its starts.
        below: how many of them stay below the truth's likelihood.
        starts: trained in all.
        starts_below: how many of them stay below it.
        normaliser: largest error of log Z in training.
        quadrature: largest error of the measured TV of a seed.
        updates: gradient steps per start.
        reason: why a value is missing.
    """

    sweep: Sweep
    value: int
    D: int
    K: int
    n: int
    d_e: int
    strategy: Strategy
    measured: float
    standard_error: float
    low: float
    high: float
    per_seed: tuple[float, ...]
    near: float
    near_per_seed: tuple[float, ...]
    bound: float
    law: float
    parameters: int
    information: float
    rank: float
    effective: float
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    beta_hat: float | None
    beta_information: float | None
    beta: float
    apart: float
    gained: float
    near_gained: float
    blocks: int
    below: int
    starts: int
    starts_below: int
    normaliser: float
    quadrature: float
    updates: int
    reason: str | None


@dataclass(frozen=True)
class Exponent:
    """The fitted power of n or K on one curve of a sweep."""

    D: int
    sweep: Sweep
    fit: Fit


@dataclass(frozen=True)
class EnergyStudy:
    """All sweeps, with the exponents and the time they took."""

    settings: EnergyStudySettings
    cells: tuple[Cell, ...]
    exponents: tuple[Exponent, ...]
    seconds: float

    def select(self, D: int, sweep: Sweep, strategy: Strategy) -> tuple[Cell, ...]:
        """The cells of one curve, in the order of the sweep."""
        return _curve(self.cells, D, sweep, strategy)

    def to_json(self) -> dict[str, Any]:
        """One JSON document; no NaN in it."""
        return {
            "name": "ebm",
            "seconds": self.seconds,
            "settings": self.settings.model_dump(mode="json"),
            "exponents": [asdict(exponent) for exponent in self.exponents],
            "cells": [asdict(cell) for cell in self.cells],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "EnergyStudy":
        """The result again from its JSON document."""
        known = {field.name for field in fields(Cell)}
        cells: list[dict[str, Any]] = [
            {k: tuple(v) if k.endswith("seed") else v for k, v in cell.items() if k in known}
            for cell in document["cells"]
        ]
        return cls(
            EnergyStudySettings.parse(document["settings"]),
            tuple(Cell(**cell) for cell in cells),
            tuple(Exponent(e["D"], e["sweep"], Fit(**e["fit"])) for e in document["exponents"]),
            document["seconds"],
        )

    def __str__(self) -> str:
        from sourcewise.studies.energy_text import text

        return text(self)

    def draw(self, png: str | Path, svg: str | Path) -> None:
        """Write the figure as PNG and as SVG; the same result gives the same bytes."""
        from sourcewise.studies.energy_plot import draw

        draw(self, Path(png), Path(svg))


def energy_study(
    settings: EnergyStudySettings,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> EnergyStudy:
    """Compute the study.

    Args:
        settings: of all sweeps.
        progress: called with (done, in all).
        folder: keeps what is finished, so that an interrupted study is taken up.
    """
    start, places = time.perf_counter(), list(settings.places())
    different = dict.fromkeys(place.sizes for place in places)  # sweeps cross in a place
    found: dict[tuple[int, ...], Found] = {}
    for number, sizes in enumerate(different):
        place = next(place for place in places if place.sizes == sizes)
        part = within(progress, number, len(different))
        found[sizes] = _found(settings, place, part, folder)
    cells = [cell for place in places for cell in _cells(settings, place, found[place.sizes])]
    exponents = tuple(_exponents(settings, cells))
    return EnergyStudy(settings, tuple(cells), exponents, time.perf_counter() - start)


def _found(
    settings: EnergyStudySettings, place: Place, progress: Progress | None, folder: Path | None
) -> Found:
    """From random starts and from the truth; what is in the folder already is taken from it."""
    from sourcewise.studies.energy_simulation import measure

    D, K, n, d_e = place.sizes
    name = f"D{D}-K{K}-n{n}-d_e{d_e}"
    first, second = within(progress, 0, 2), within(progress, 1, 2)
    return (
        kept(folder, name, lambda at: asdict(measure(settings, place, first, at))),
        kept(
            folder, f"{name}-near", lambda at: asdict(measure(settings, place, second, at, True))
        ),
    )


def _cells(settings: EnergyStudySettings, place: Place, found: Found) -> list[Cell]:
    """The separate and the pooled cell of a place, from `energy_simulation.Errors`."""
    return [_cell(settings, place, strategy, *found) for strategy in STRATEGIES]


def _cell(
    settings: EnergyStudySettings,
    place: Place,
    strategy: Strategy,
    errors: dict[str, Any],
    near: dict[str, Any],
) -> Cell:
    D, K, n, d_e = place.sizes
    found, pooled = errors[strategy], strategy == "pooled"
    values, of_separate = found["tv"], errors["separate"]["tv"]
    sizes, J = settings.of_class(D, d_e), 1 if pooled else K
    p = int(theory.m(sizes, K, J))
    measured = over_seeds(values)
    gain = over_seeds([s - q for s, q in zip(of_separate, values, strict=True)])
    share = pooled and K > 1
    with_one = "beta-hat and gain: with K = 1 both are one" if pooled and K == 1 else None
    return Cell(
        **place._asdict(),
        strategy=strategy,
        measured=measured.value,
        standard_error=measured.standard_error,
        low=measured.low,
        high=measured.high,
        per_seed=tuple(values),
        near=mean(near[strategy]["tv"]),
        near_per_seed=tuple(near[strategy]["tv"]),
        bound=float(refined(theory.bracketing(sizes, K, J), n, settings.delta).value),
        law=asymptotic_bound(p, n),
        parameters=p,
        information=mean(found["information"]) / n**0.5,
        rank=mean(found["rank"]),
        effective=mean(effective_parameters(value, n) for value in values),
        gain=gain.value if share else None,
        gain_low=gain.low if share else None,
        gain_high=gain.high if share else None,
        beta_hat=_beta(errors, K, "tv") if share else None,
        beta_information=_beta(errors, K, "information") if share else None,
        beta=sizes.beta,
        apart=mean(errors["apart"]),
        gained=mean(found["gained"]),
        near_gained=mean(near[strategy]["gained"]),
        **{name: found[name] for name in ("blocks", "below", "starts_below")},
        starts=settings.starts * found["blocks"],
        **{name: found[name] for name in ("normaliser", "quadrature", "updates")},
        reason=with_one,
    )


def _beta(errors: dict[str, Any], K: int, of: str) -> float:
    """The similarity that the ratio of two errors stands for; not clipped."""
    return empirical_beta(mean(errors["pooled"][of]) / mean(errors["separate"][of]), K)


def _curve(cells: Sequence[Cell], D: int, sweep: Sweep, strategy: Strategy) -> tuple[Cell, ...]:
    return tuple(c for c in cells if (c.D, c.sweep, c.strategy) == (D, sweep, strategy))


def _exponents(settings: EnergyStudySettings, cells: Sequence[Cell]) -> Iterator[Exponent]:
    """Powers of n and of K: measured, of fits that start at the truth, of the law."""
    for D in settings.dimensions:
        for sweep in SWEEPS[:2]:
            for strategy in STRATEGIES:
                curve = _curve(cells, D, sweep, strategy)
                x = [cell.value for cell in curve]
                if len(set(x)) < 2:
                    continue
                yield Exponent(D, sweep, fit(strategy, x, [c.per_seed for c in curve]))
                near = [c.near_per_seed for c in curve]
                yield Exponent(D, sweep, fit(f"from the truth, {strategy}", x, near))
                law = [[cell.information] for cell in curve]
                yield Exponent(D, sweep, fit(f"information, {strategy}", x, law))
