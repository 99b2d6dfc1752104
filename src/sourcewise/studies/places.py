"""The places of a study: measured once each, kept once measured, and timed in advance.

A place names all sizes that a simulation depends on. Sweeps may cross in a place; what is found
there serves all of them.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from sourcewise.files import read_json, write_json

__all__ = [
    "SHORT",
    "TRIAL",
    "Pace",
    "Progress",
    "Sized",
    "kept",
    "once_each",
    "pace",
    "seconds",
    "within",
]

Progress = Callable[[int, int], None]  # called with (done, in all)
TRIAL = 60  # updates of a trial
SHORT: dict[str, Any] = {"updates": TRIAL, "passes": 1e-9, "check": TRIAL // 3}  # its settings


class Sized(Protocol):
    """A place."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """What the simulation depends on."""
        ...


P = TypeVar("P", bound=Sized)
T = TypeVar("T")
Found = dict[tuple[int, ...], T]


def once_each(
    places: Sequence[P],
    measure: Callable[[P, Progress | None], T],
    progress: Progress | None = None,
) -> Found[T]:
    """What is found at the different places, by their sizes.

    Args:
        places: of all sweeps.
        measure: a place, with the progress of this part.
        progress: of all.
    """
    different = _different(places)
    return {
        place.sizes: measure(place, within(progress, number, len(different)))
        for number, place in enumerate(different)
    }


def _different(places: Sequence[P]) -> list[P]:
    """The first place of all sizes."""
    first: dict[tuple[int, ...], P] = {}
    for place in places:
        first.setdefault(place.sizes, place)
    return list(first.values())


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


class Pace(NamedTuple):
    """How long a place takes: `rest + updates * each` seconds."""

    rest: float
    each: float


def pace(run: Callable[[Progress], object], updates: int = TRIAL) -> Pace:
    """Of a short trial; its updates before the first report, which are slow, are not counted.

    Args:
        run: the trial; it reports its progress more than once.
        updates: that it makes.
    """
    told: list[tuple[float, float]] = []
    start = time.perf_counter()
    run(lambda done, total: told.append((time.perf_counter(), updates * done / total)))
    took = time.perf_counter() - start
    (first, before), (last, after) = told[0], told[-1]
    each = (last - first) / max(after - before, 1e-9)
    return Pace(max(took - updates * each, 0.0), each)


def seconds(
    places: Sequence[P],
    work: Callable[[P], float],
    trial: Callable[[P], Pace],
    updates: Callable[[P], int],
) -> float:
    """An estimate for all different places: trials of those of the least and of the most work.

    Between them paces are taken to grow in proportion to the work.

    Args:
        places: of the sweeps.
        work: of an update at a place, in any unit.
        trial: measures the pace of a place.
        updates: planned at a place.
    """
    ordered = sorted(_different(places), key=work)
    if not ordered:
        return 0.0
    ends = [ordered[0], ordered[-1]] if work(ordered[0]) < work(ordered[-1]) else ordered[:1]
    x, paces = [work(place) for place in ends], [trial(place) for place in ends]

    def between(place: P) -> Pace:
        return Pace(*(float(np.interp(work(place), x, y)) for y in zip(*paces, strict=True)))

    return sum(p.rest + updates(place) * p.each for place in ordered for p in [between(place)])
