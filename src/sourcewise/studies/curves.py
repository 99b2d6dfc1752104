"""What studies that measure errors along curves have in common.

Intervals over seeds, exponents, progress of parts, places that are kept in a folder once they are
measured, and the looks of a picture.
"""

import io
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from sourcewise.files import read_json, write_atomic, write_json
from sourcewise.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "STYLE", "Fit", "fit", "kept", "over_seeds", "save", "slope", "within"]

Progress = Callable[[int, int], None]

# Okabe and Ito's blue and vermilion, as in figure 1.
COLOURS = {"separate": "#0072B2", "pooled": "#D55E00"}
STYLE: Any = {
    "font.size": 9,
    "axes.linewidth": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "legend.frameon": False,
    "svg.hashsalt": "sourcewise",  # the same element names in each run
}


@dataclass(frozen=True)
class Fit:
    """The exponent a of `error = c value^a`: least squares of logarithms in each seed.

    Args:
        strategy: whose error, or the name of another curve that is fitted the same way.
        exponent: mean over seeds.
        low, high: t interval over seeds, 95 %; None where there is one curve only.
        first, last: the values it is fitted between.
    """

    strategy: str
    exponent: float
    low: float | None
    high: float | None
    first: int
    last: int


def fit(name: str, x: Sequence[int], per_seed: Sequence[Sequence[float]]) -> Fit:
    """The exponent of a curve of which every value of x has a number per seed.

    >>> fit("law", [1, 10], [[2.0, 4.0], [0.2, 0.4]]).exponent.__round__(6)
    -1.0

    Args:
        name: of the curve.
        x: two different values at least.
        per_seed: for every x, its numbers.
    """
    slopes = [slope(x, values) for values in zip(*per_seed, strict=True)]
    if len(slopes) == 1:
        return Fit(name, slopes[0], None, None, x[0], x[-1])
    found = over_seeds(slopes)
    return Fit(name, found.value, found.low, found.high, x[0], x[-1])


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least squares of log y on log x.

    >>> round(slope([1, 10, 100], [3.0, 0.3, 0.03]), 6)
    -1.0
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean over seeds with its t interval."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean(values), error, len(values) - 1)


def within(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """Progress of one part as a part of all."""
    if progress is None:
        return None
    return lambda done, total: progress(1000 * number + 1000 * done // total, 1000 * parts)


def kept(
    folder: Path | None, name: str, measure: Callable[[Path | None], dict[str, Any]]
) -> dict[str, Any]:
    """What was measured, as plain values; from the folder if it is there already.

    Args:
        folder: of finished parts; None: nothing is kept.
        name: of the part.
        measure: called with a folder for unfinished work, which is removed afterwards.
    """
    if folder is None:
        return measure(None)
    path = folder / f"{name}.json"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        write_json(path, measure(folder / name))
        shutil.rmtree(folder / name, ignore_errors=True)
    return read_json(path)


def save(figure: "Figure", png: Path, svg: Path) -> None:
    """Write a picture twice; the same figure gives the same bytes."""
    for path in (png, svg):
        content, kind = io.BytesIO(), path.suffix[1:]
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(content, format=kind, dpi=200, metadata=metadata)
        write_atomic(path, content.getvalue())
