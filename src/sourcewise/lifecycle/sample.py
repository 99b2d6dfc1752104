"""`sample`: draws from saved models, in the original types, on the screen or in a file.

A draw is keyed by (seed, source, its number within the source): more draws begin with the same
ones, and those of a source do not depend on which other sources are asked for.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError, counted, listing, unknown, visible
from sourcewise.execution import device_of
from sourcewise.families.base import Occasion
from sourcewise.fitting.run import Run, load
from sourcewise.fitting.strategy import TrainedStrategy, joined_columns
from sourcewise.forms import Images, Ragged, Table, X, as_table
from sourcewise.lifecycle.drawing_options import drawing_options
from sourcewise.lifecycle.given_values import Asked, Given, asked
from sourcewise.randomness import Noise
from sourcewise.results.contract import Json, to_json
from sourcewise.results.samples import (
    Names,
    SamplesResult,
    as_frame,
    as_recorded,
    number,
    values,
)
from sourcewise.results.text import brief, joined, note_lines, resolved_lines

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Samples", "sample"]

MOST = 10_000_000
USUAL = 10  # draws of a source
SHOWN = 4  # digits of a column's spread on the screen
MOST_PLACES = 9


@dataclass(frozen=True)
class Samples:
    """Draws of some sources. `print(samples)` shows them by source.

    Args:
        x: the draws, in the form that the data had.
        y: (n,) the source of each.
        names: the sources' names.
        result: where they come from.
        recorded: columns of the data that held booleans, whole numbers or days.
        beside: of texts, the given columns that each was drawn at; of other draws x has them.
    """

    x: X
    y: Tensor
    names: tuple[str, ...]
    result: SamplesResult
    recorded: Mapping[str, str] = field(default_factory=dict)
    beside: Table | None = None

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def document(self) -> Json:
        """Where they come from, as JSON has it (see docs)."""
        return to_json(self.result)

    @property
    def columns(self) -> tuple[str, str]:
        """What the data called the columns of the source and of the text."""
        return self.result.reading.source, self.result.reading.text

    @property
    def labels(self) -> list[str]:
        """The name of each draw's source."""
        return [self.names[k] for k in self.y.tolist()]

    def frame(self) -> "pd.DataFrame":
        """A DataFrame with the source's column first, in the types that came in.

        Missing values are NaN, None or NA.

        Raises:
            InputError: the draws are images.
        """
        return as_recorded(
            as_frame(self.x, self.labels, *self.columns, self.beside), self.recorded
        )

    @property
    def images(self) -> np.ndarray:
        """(n, C, H, W) uint8 draws of images.

        Raises:
            InputError: they are no images.
        """
        if not isinstance(self.x, Images):
            raise InputError("these samples are no images: frame() has their columns")
        return self.x.pixels().numpy(force=True)

    def plain(self) -> dict[str, list[Any]]:
        """Source to its draws: texts, rows by column, or (of a matrix) lists of numbers."""
        out: dict[str, list[Any]] = {name: [] for name in dict.fromkeys(self.labels)}
        each = values(self.x, self.columns[1], self.beside)
        for label, value in zip(self.labels, each, strict=True):
            out[label].append(value)
        return out

    def __str__(self) -> str:
        return joined(_lines(self))


def sample(
    run: str | Path | Run,
    *,
    strategy: str | None = None,
    sources: Sequence[str] | None = None,
    n: int | None = None,
    seed: int = 0,
    set: Mapping[str, Any] | None = None,
    given: Given | None = None,
    device: str = "auto",
) -> Samples:
    """Draw from the models of a run.

    >>> import sourcewise as sw
    >>> trained = sw.train(sw.read("wine"))
    >>> sw.sample(trained, sources=["class_1"], n=3).x.columns["ash"].shape
    torch.Size([3])

    Args:
        run: a run folder of `compare` or `train`, or what these return.
        strategy: one of the run's; the recommended one if None.
        sources: names; all that the strategy models if None.
        n: draws per source, 10 if None; of rows of given columns, draws per row, 1 if None.
        seed: of all draws.
        given: a value of each given column, for all draws; or rows of them: a path or a
            DataFrame, which may have the source's column too, otherwise every source gets every
            row. None: those of training rows of the source, at random.
        set: options of drawing that the family has, by name: `{"temperature": 0.8}`.
        device: where models draw that can elsewhere than on a CPU: "auto", "cpu", "cuda:0".

    Raises:
        InputError: no such run, strategy, source or device; an option that the family does not
            have; given columns or values that the models do not know, or not all of them.
    """
    run = run if isinstance(run, Run) else load(run)
    strategy = run.strategy(strategy)
    trained = run.models[strategy]
    model, options = trained.model, drawing_options(run.settings.model, set or {})
    known = {model.names[k]: k for k in sorted(model.partition.sources)}
    rows = None if given is None else asked(given, trained.given, run.settings.data, known)
    plan = _plan(trained, strategy, sources, n, rows)
    y, noise = plan.y, Noise(seed).of("samples").each(plan.y, plan.number)
    with trained.on(device_of(device)):
        x, c = trained.draw(y, noise, None if rows is None else rows.c[plan.row], **options)
    beside = trained.given_table(c) if rows is None else rows.table.take(plan.row)
    text = isinstance(x, Ragged)
    x = x if text else joined_columns(beside, x)
    occasion = Occasion("sample", math.nan, trained.encoder.coding.coordinates)
    cautions = model.kind.cautions({strategy: trained.diagnosed}, occasion)
    notes = () if rows is None else rows.notes
    reading = run.settings.data
    result = SamplesResult(
        schema_version=1,
        kind="sample",
        run=run.result.run,
        strategy=strategy,
        family=run.settings.model,
        seed=seed,
        n=plan.n,
        temperature=options.get("temperature"),
        options=options or None,
        given=rows.fixed if rows is not None else None,
        given_rows=len(rows.c) if rows is not None and rows.fixed is None else None,
        resolved=trained.diagnosed.resolved,
        warnings=(*notes, *(caution.text for caution in cautions)),
        reading=Names(reading.source or "source", reading.text or "text"),
    )
    seen = run.result.data.seen or ()
    recorded = {column.name: column.recorded for column in seen if column.recorded}
    return Samples(x, y, model.names, result, recorded, beside if text else None)


@dataclass(frozen=True)
class _Plan:
    """What is drawn.

    Args:
        n: draws of every source, or at every row of given columns.
        y: (B,) the source of each draw.
        number: (B,) what its noise is keyed by, beside the source.
        row: (B,) of given columns that were asked for; 0 where none were.
    """

    n: int
    y: Tensor
    number: Tensor
    row: Tensor


def _plan(
    trained: TrainedStrategy,
    strategy: str,
    sources: Sequence[str] | None,
    n: int | None,
    rows: Asked | None,
) -> _Plan:
    """In the order of the sources asked for and of the rows, draws at a row beside each other."""
    labelled = rows is not None and rows.y is not None
    if labelled and sources:
        raise InputError("the rows of --given name their sources: leave out --source")
    chosen, m = _sources(trained, strategy, sources), 1 if rows is None else len(rows.c)
    single = rows is None or rows.fixed is not None
    n = (USUAL if single else 1) if n is None else n
    places = m if labelled else m * len(chosen)
    if not 1 <= n <= MOST // places:
        what = "source" if single else "row"
        raise InputError(f"{n} draws per {what}: allowed are 1 to {MOST // places}")
    times = 1 if labelled else len(chosen)
    row = torch.arange(m).repeat_interleave(n).repeat(times)
    number = row + m * torch.arange(n).repeat(m * times)
    if rows is not None and rows.y is not None:
        return _Plan(n, rows.y.repeat_interleave(n), number, row)
    return _Plan(n, torch.tensor(chosen).repeat_interleave(m * n), number, row)


def _sources(trained: TrainedStrategy, strategy: str, wanted: Sequence[str] | None) -> list[int]:
    """The sources to draw, in the order asked for."""
    names, modelled = trained.model.names, trained.model.partition.sources
    allowed = [names[k] for k in sorted(modelled)]
    for name in wanted or ():
        if name in names and name not in allowed:
            raise InputError(
                f"{strategy} has no model of {name!r}, which had too few rows (allowed: "
                f"{listing(allowed, 12)})"
            )
        if name not in names:
            raise unknown("source", name, allowed)
    return [names.index(name) for name in dict.fromkeys(wanted or allowed)]


def _lines(samples: Samples) -> Iterator[str]:
    result = samples.result
    more = "".join(f", {key} {value}" for key, value in (result.options or {}).items())
    yield f"{result.family}, {result.strategy}; seed {result.seed}{more}{_given_words(result)}"
    yield from resolved_lines({result.strategy: result.resolved})
    yield from note_lines(result.warnings)
    for name in dict.fromkeys(samples.labels):
        k = samples.names.index(name)
        rows = (samples.y == k).nonzero().squeeze(1)
        yield ""
        yield f"{brief(name, 60)}:"
        yield from (f"  {line}" for line in _shown(samples, rows))


def _given_words(result: SamplesResult) -> str:
    if result.given_rows is not None:
        return f"; at {counted(result.given_rows, 'row')} of given columns"
    if result.given is None:
        return ""
    return "; at " + ", ".join(f"{name}={value}" for name, value in result.given.items())


def _shown(samples: Samples, rows: Tensor) -> list[str]:
    x = samples.x
    if isinstance(x, Images):
        size = "x".join(map(str, x.shape))
        return [f"{counted(len(rows), 'image')} of {size}: --out FILE.png shows them"]
    if not isinstance(x, Ragged):
        return _table(as_table(x), rows)
    texts = list(map(visible, x.take(rows).strings()))
    if samples.beside is None:
        return texts
    given = _table(samples.beside, rows)
    pairs = zip(given, [samples.columns[1], *texts], strict=True)
    return [f"{cells}  {text}" for cells, text in pairs]


def _table(every: Table, rows: Tensor) -> list[str]:
    """Some rows, under the names of their columns."""
    table = every.take(rows)
    columns = {n: _column(table.cells(n).tolist(), every.cells(n).tolist()) for n in table.names}
    widths = {n: max(len(brief(n, 20)), *map(len, cells)) for n, cells in columns.items()}
    head = "  ".join(f"{brief(name, 20):>{widths[name]}}" for name in columns)
    lines = [
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths.values(), strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    return [head, *lines]


def _column(cells: list[Any], every: list[Any]) -> list[str]:
    """Cells of a column as shown: of numbers, all with the digits that its spread calls for.

    >>> _column([1e9, 1e9 + 3.14159], [1e9, 1e9 + 3.14159])
    ['1000000000.000', '1000000003.142']
    >>> _column([5.0, 1.57, None], [5.0, 1.57, None]), _column([2.0, 3.0], [2.0, 3.0])
    (['5.00', '1.57', ''], ['2', '3'])
    """
    numbers = [v for v in map(number, every) if isinstance(v, int | float)]
    if not any(isinstance(v, float) for v in numbers):
        return ["" if (v := number(cell)) is None else str(v) for cell in cells]
    spread = (max(numbers) - min(numbers)) or max(map(abs, numbers))
    places = max(0, SHOWN - 1 - math.floor(math.log10(spread)))
    if places > MOST_PLACES or max(map(abs, numbers)) >= 1e15:
        return ["" if number(cell) is None else f"{cell:.{SHOWN + 2}g}" for cell in cells]
    places = next((k for k in range(places) if all(round(v, k) == v for v in numbers)), places)
    return ["" if number(cell) is None else f"{cell:.{places}f}" for cell in cells]
