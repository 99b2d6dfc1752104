"""`sample`: draws from saved models, in the original types, on the screen or in a file.

A draw is keyed by (seed, source, its number within the source): more draws begin with the same
ones, and those of a source do not depend on which other sources are asked for.
"""

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from sourcewise.errors import InputError, counted, listing, unknown, visible
from sourcewise.families.base import Occasion
from sourcewise.families.registry import families
from sourcewise.files import write_atomic
from sourcewise.fitting.run import Run, load
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Images, Kind, Ragged, Table, X, as_table
from sourcewise.outputs import check_output
from sourcewise.randomness import Noise
from sourcewise.readers.columns import typed_columns
from sourcewise.readers.registry import ARRAYS, JSON_LINES, PARQUET, PLAIN, TABLE, ReadOptions
from sourcewise.results.contract import Json, to_json
from sourcewise.results.samples import (
    Names,
    SamplesResult,
    as_arrays,
    as_csv,
    as_frame,
    as_json_lines,
    as_recorded,
    number,
    values,
)
from sourcewise.results.sheets import sheet
from sourcewise.results.text import brief, joined, note_lines, resolved_lines

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ENDINGS", "Samples", "check_file", "sample", "write_samples"]

MOST = 10_000_000
PICTURE = ".png"
ENDINGS = (*(kind.suffixes[0] for kind in (TABLE, JSON_LINES, PLAIN, ARRAYS, PARQUET)), PICTURE)
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
    """

    x: X
    y: Tensor
    names: tuple[str, ...]
    result: SamplesResult
    recorded: Mapping[str, str] = field(default_factory=dict)

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
        return as_recorded(as_frame(self.x, self.labels, *self.columns), self.recorded)

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
        for label, value in zip(self.labels, values(self.x), strict=True):
            out[label].append(value)
        return out

    def __str__(self) -> str:
        return joined(_lines(self))


def sample(
    run: str | Path | Run,
    *,
    strategy: str | None = None,
    sources: Sequence[str] | None = None,
    n: int = 10,
    seed: int = 0,
    temperature: float | None = None,
    given: Mapping[str, object] | None = None,
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
        n: draws per source.
        seed: of all draws.
        given: a value of each given column, for all draws; None: those of training rows of the
            source, at random.
        temperature: divides the logits, above 0, for families that have it; 1 if None.

    Raises:
        InputError: no such run, strategy or source; a family without temperature; given columns
            that the models do not know, or not all of them.
    """
    run = run if isinstance(run, Run) else load(run)
    strategy = run.strategy(strategy)
    trained = run.models[strategy]
    model, chosen = trained.model, _sources(trained, strategy, sources)
    if not 1 <= n <= MOST // len(chosen):
        raise InputError(f"{n} draws per source: allowed are 1 to {MOST // len(chosen)}")
    options = _options(run.settings.model, temperature)
    y = torch.tensor(chosen).repeat_interleave(n)
    noise = Noise(seed).of("samples").each(y, torch.arange(n).repeat(len(chosen)))
    c = None if given is None else _given(trained, given).expand(len(y), -1)
    x = trained.rows_of(*trained.draw(y, noise, c, **options))
    occasion = Occasion("sample", math.nan, trained.encoder.coding.coordinates)
    known = model.kind.cautions({strategy: trained.diagnosed}, occasion)
    reading = run.settings.data
    result = SamplesResult(
        schema_version=1,
        kind="sample",
        run=run.result.run,
        strategy=strategy,
        family=run.settings.model,
        seed=seed,
        n=n,
        temperature=temperature,
        given=None if given is None else {name: str(value) for name, value in given.items()},
        resolved=trained.diagnosed.resolved,
        warnings=tuple(caution.text for caution in known),
        reading=Names(reading.source or "source", reading.text or "text"),
    )
    seen = run.result.data.seen or ()
    recorded = {column.name: column.recorded for column in seen if column.recorded}
    return Samples(x, y, model.names, result, recorded)


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


def _given(trained: TrainedStrategy, values: Mapping[str, object]) -> Tensor:
    """(1, C) encoded given columns; values are written as they are in files."""
    encoder = trained.given
    if encoder is None:
        raise InputError("--given: these models are conditioned on the source alone")
    for name in values:
        if name not in encoder.names:
            raise unknown("given column", name, encoder.names)
    if left := [repr(name) for name in encoder.names if name not in values]:
        raise InputError(f"--given needs a value of each given column: {listing(left)} lacks one")
    kinds: dict[str, Kind] = {column.name: column.kind for column in encoder.columns}
    texts = {name: pa.chunked_array([[str(values[name])]]) for name in kinds}
    typed = typed_columns(texts, ReadOptions(types=kinds), lambda row: "--given")
    return encoder.encode(typed.table)


def _options(name: str, temperature: float | None) -> Json:
    """What the `sample` of a family takes besides."""
    if temperature is None:
        return {}
    allowed = [
        f.name for f in families().values() if "temperature" in f.sampling_class.model_fields
    ]
    if name not in allowed:
        raise InputError(
            f"the family {name!r} has no temperature (those that have: {listing(allowed)})"
        )
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InputError(f"temperature must be above 0, not {temperature:g}")
    return {"temperature": temperature}


def _lines(samples: Samples) -> Iterator[str]:
    result = samples.result
    hot = "" if result.temperature is None else f", temperature {result.temperature:g}"
    yield f"{result.family}, {result.strategy}; seed {result.seed}{hot}"
    yield from resolved_lines({result.strategy: result.resolved})
    yield from note_lines(result.warnings)
    for name in dict.fromkeys(samples.labels):
        k = samples.names.index(name)
        rows = (samples.y == k).nonzero().squeeze(1)
        yield ""
        yield f"{brief(name, 60)}:"
        yield from (f"  {line}" for line in _shown(samples, rows))


def _shown(samples: Samples, rows: Tensor) -> list[str]:
    x = samples.x
    if isinstance(x, Ragged):
        return list(map(visible, x.take(rows).strings()))
    if isinstance(x, Images):
        size = "x".join(map(str, x.shape))
        return [f"{counted(len(rows), 'image')} of {size}: --out FILE.png shows them"]
    table = as_table(x).take(rows)
    every = as_table(x)
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


def check_file(path: Path) -> None:
    """Raise if samples cannot be written there, whatever they are.

    Raises:
        InputError: another ending, or see `check_output`.
    """
    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: samples go to {listing(ENDINGS)} files")
    check_output(path)


def write_samples(samples: Samples, path: Path) -> None:
    """Write the samples, in the way that the file's ending says.

    Raises:
        InputError: an ending that these samples have no form for.
    """
    check_file(path)
    if isinstance(samples.x, Images) and path.suffix not in (PICTURE, ARRAYS.suffixes[0]):
        raise InputError(f"{path}: these samples are images, which go to .png and .npz files")
    every = (_rows(as_csv), _rows(as_json_lines), _texts, _arrays, _parquet, _sheet)
    forms = dict(zip(ENDINGS, every, strict=True))
    write_atomic(path, forms[path.suffix](samples))


def _rows(form: Callable[..., str]) -> Callable[[Samples], str]:
    return lambda samples: form(samples.x, samples.labels, *samples.columns)


def _parquet(samples: Samples) -> bytes:
    """In the types that came in.

    Categories are declared as such, so that nobody has to guess what '007' was.
    """
    raw, frame = io.BytesIO(), samples.frame()
    schema = samples.x.schema if isinstance(samples.x, Table) else ()
    for column in schema:
        if column.kind == "category" and frame[column.name].dtype in ("object", "str"):
            frame[column.name] = frame[column.name].astype("category")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for name, word in samples.recorded.items():
        if word in _SHORT and pa.types.is_floating(table.schema.field(name).type):
            j = table.column_names.index(name)
            table = table.set_column(j, name, table.column(name).cast(_SHORT[word], safe=False))
        elif found := re.fullmatch(r"(decimal\d+)\((\d+), (-?\d+)\)", word):
            kind = getattr(pa, found[1])(int(found[2]), int(found[3]))
            table = _as_decimals(table, name, kind)
    pq.write_table(table, raw)
    return raw.getvalue()


_SHORT = {"float16": pa.float16(), "float32": pa.float32()}


def _as_decimals(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    """A column of numbers as it was declared; as it is, if some do not fit there."""
    column, j = table.column(name), table.column_names.index(name)
    if not pa.types.is_floating(column.type):
        return table
    cells = [None if v is None or v != v else Decimal(repr(v)) for v in column.to_pylist()]
    try:
        return table.set_column(j, name, pa.array([c and c.normalize() for c in cells], kind))
    except pa.ArrowInvalid:
        return table


def _texts(samples: Samples) -> str:
    """One text a line: what `read` takes as one source."""
    if not isinstance(samples.x, Ragged):
        raise InputError("a .txt file holds texts, and these samples are rows: .csv, .jsonl, .npz")
    sources = dict.fromkeys(samples.labels)
    if len(sources) > 1:
        raise InputError(
            f"a .txt file holds one source, not {len(sources)}: --source NAME, or .jsonl"
        )
    texts = samples.x.strings()
    for i, text in enumerate(texts):
        if len(text.splitlines()) > 1 or not text.strip():
            raise InputError(f"sample {i + 1} holds a line break, or nothing: use .jsonl")
    return "\n".join(texts) + "\n"


def _arrays(samples: Samples) -> bytes:
    return as_arrays(samples.x, samples.labels, samples.names)


def _sheet(samples: Samples) -> bytes:
    if not isinstance(samples.x, Images):
        raise InputError("a .png file holds images, and these samples are none: .csv, .jsonl")
    return sheet(samples.x, samples.labels)
