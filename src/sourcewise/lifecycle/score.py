"""New rows under saved models: read like the training data, matched by name, and scored.

The score of a source is the sum of what its rows contribute to the metric, over the sum of their
sizes (rows or symbols). Errors that all rows of a source share widen its interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sourcewise.cells import typed
from sourcewise.encoders.base import Coding, Rows
from sourcewise.errors import InputError, listing
from sourcewise.families.base import Diagnosed
from sourcewise.files import read_tensors
from sourcewise.fitting.facts import diagnostics_of, fitted_of
from sourcewise.fitting.run import Run
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Column, Ragged, Table, as_table
from sourcewise.metrics.base import Metric
from sourcewise.randomness import Noise
from sourcewise.readers.arrays import array_names
from sourcewise.readers.registry import ARRAYS, format_of
from sourcewise.results.comparison import Worst
from sourcewise.results.contract import Json, to_json
from sourcewise.results.evaluation import Score, ScoredSource, ScoredStrategy
from sourcewise.screening.base import Screened, handle_missing, refuse_infinite, take_logarithms
from sourcewise.screening.options import Missing
from sourcewise.sources import Sources
from sourcewise.statistics import Interval, rows_and_seeds, with_shared_errors

__all__ = ["SMALLEST", "Scored", "known_rows", "matched", "reading_options", "rough", "score_of"]

Options = Mapping[str, Any]  # of `read`, by name

FEW = 10
SMALLEST = 1e-6  # error of a normaliser that is worth a word, nats


def reading_options(run: Run, data: str, given: Options) -> Json:
    """How to read DATA for a run: as its own data, columns being those of the models.

    Options that the user gave go first; an empty one takes an option away.
    """
    own, coding = to_json(run.settings.data), next(iter(run.models.values())).encoder.coding
    kinds = {column.name: column.kind for column in coding.coded_columns}
    kind = format_of(Path(data))
    applies = kind.options if kind else ()
    by_file = ("separator", "encoding")  # of another file they may be others
    inherited = [name for name in own if name in applies and name not in by_file]
    if kind is ARRAYS and own["source"] not in array_names(data):
        inherited = []
    options = {name: own[name] for name in inherited if own[name]}
    if kinds and "types" in applies:
        options |= {"columns": list(kinds), "types": kinds}
    for name, value in given.items():
        if value is not None:
            options[name] = {**options.get(name, {}), **value} if name == "types" else value
    return {name: value for name, value in options.items() if value}


def matched(data: Sources, fitted: TrainedStrategy, missing: Missing) -> Screened:
    """The rows with the columns of the models, sources numbered as theirs.

    Raises:
        InputError: a source or column that the models do not know, missing or infinite values.
    """
    names = fitted.model.names
    present = [data.names[k] for k in data.counts.nonzero().squeeze(1).tolist()]
    strange = [name for name in present if name not in names]
    if strange:
        raise InputError(
            f"{data.name}: no model knows the sources {listing(map(repr, strange), 5)} (known: "
            f"{listing(names, 12)})"
        )
    number = torch.tensor([names.index(n) if n in names else -1 for n in data.names])
    coding = fitted.encoder.coding
    x = data.x
    # Only what has named columns is matched by name; `prepare` checks text and plain symbols.
    if coding.coded_columns:
        x = _columns(data, coding)
    data = replace(data, x=x, y=number[data.y], names=names)
    screened = Screened(data)
    if isinstance(x, Table):
        refuse_infinite(screened)
        _missing(screened, coding, missing)
        take_logarithms(screened, [c.name for c in coding.coded_columns if c.log])
    return screened


def _columns(data: Sources, coding: Coding) -> Table:
    """The columns of the models, of the kinds that they have there."""
    wanted = [column.name for column in coding.coded_columns]
    table = as_table(data.x) if isinstance(data.x, Table) else _named(data, wanted)
    table = table.select(wanted)
    for column, found in zip(coding.coded_columns, table.schema, strict=True):
        kind = column.kind
        if found.kind != kind and not bool(table.missing(found.name).all()):
            raise InputError(
                f"column {found.name!r} is read as {found.kind}, but the models have it as {kind}:"
                f" read it with {typed('--types', f'{found.name}={kind}')}"
            )
    return table


def _named(data: Sources, wanted: list[str]) -> Table:
    """Rows of an array as a table: its columns are x1, x2, ..., or those of the models in order.

    The latter where numbers agree and names do not, as in an array of the models' own samples.
    """
    table = as_table(data.x)
    if len(table.names) < len(wanted):
        raise InputError(
            f"{data.name}: rows of {len(table.names)} numbers, the models have {len(wanted)} "
            "columns"
        )
    if len(table.names) > len(wanted) or set(wanted) <= set(table.names):
        return table
    columns = dict(zip(wanted, table.columns.values(), strict=True))
    return Table(columns, tuple(Column(name) for name in wanted))


def _missing(screened: Screened, coding: Coding, missing: Missing) -> None:
    """As for training: by what the coding makes of gaps; `drop` leaves their rows out."""
    if coding.gaps == "value" and missing != "drop":
        return  # a gap where there was none is refused by the coding
    if coding.gaps == "impute" and missing == "impute":
        gaps = sum(int(screened.table.missing(name).sum()) for name in screened.table.names)
        if gaps:
            screened.imputed = gaps
            screened.warnings.append(
                f"{gaps} missing cells: these rows are scored on their observed columns"
            )
        return
    handle_missing(screened, missing, imputes=coding.gaps == "impute")


def rough(data: Sources) -> str | None:
    """A warning about sources with so few rows that their intervals mean little."""
    few = [data.names[k] for k in range(data.K) if 0 < int(data.counts[k]) < FEW]
    names = listing(map(repr, few), 5)
    return f"fewer than {FEW} rows of {names}: a rough interval, if any" if few else None


def _new_characters(rows: Rows, fitted: TrainedStrategy) -> str | None:
    """A warning that counts the characters which the models have no symbol for."""
    unknown = fitted.encoder.unknown(rows)
    if unknown is None:
        return None
    found = listing(map(repr, unknown.symbols), 6)
    return (
        f"{unknown.count} of {unknown.among} characters are unknown to the models ({found}): each "
        "scored as any character outside the vocabulary, alike under all strategies"
    )


def known_rows(run: Run, data: Sources, fingerprint: str, metric: Metric) -> str | None:
    """A warning if rows of the data were among those that the models come from."""
    better = "high" if metric.higher_is_better else "low"
    same = (
        f"these are the very rows that the models come from: their {metric.name} is too {better} "
        "for new rows"
    )
    if run.result.data.fingerprint == fingerprint:
        return same
    place = run.result.run and Path(run.result.run) / "rows.safetensors"
    if not place or not place.exists():
        return None
    mine, theirs = data.marks, read_tensors(place)["mark"]
    # The fingerprint is of all columns; the marks are of those that the models use.
    if torch.equal(mine.sort().values, theirs.sort().values):
        return same
    known = torch.isin(mine, theirs)
    share = float(known.double().mean())
    if not share:
        return None
    what = "texts" if isinstance(data.x, Ragged) else "rows"
    return (
        f"{int(known.sum())} of {len(data)} {what} ({share:.0%}) equal one of the same source "
        "that the models come from: copies, or chance where few values are possible"
    )


@dataclass(frozen=True)
class Scored:
    """The rows under the models of one strategy."""

    data: Sources  # sources numbered as in the run
    metric: Metric
    unit: str
    sizes: np.ndarray  # (n,) what a row's score is divided by
    rows: np.ndarray  # (n,) contributions to the metric, NaN where there is no model of the source
    warnings: list[str]
    error: np.ndarray  # (K, 3) that rows of a source share, see `metrics.base.Contributions`
    diagnosed: Diagnosed
    variables: int  # coordinates of a row

    @classmethod
    def of(
        cls, trained: TrainedStrategy, data: Sources, metric: Metric, missing: Missing, seed: int
    ) -> "Scored":
        """Match, encode and score."""
        model = trained.model
        screened = matched(data, trained, missing)
        data, coding = screened.data, trained.encoder.coding
        sizes, noise = coding.sizes(data.x), Noise(seed).of("evaluate")
        prepared = coding.prepare(data.x, noise.of("encode").each(data.y))
        inside = (model.routes[data.y, 0] >= 0).nonzero().squeeze(1)
        rows = torch.full((len(data),), torch.nan, dtype=torch.float64)
        error = torch.zeros(data.K, 3, dtype=torch.float64)
        if len(inside):
            at = data.take(inside), prepared.take(inside), sizes[inside]
            found = metric.measure(trained, trained.held_out(*at), noise.of("metric"))
            rows[inside], error = found.rows, found.shared
        bad = inside[~rows[inside].isfinite()].tolist()
        if bad:
            told = f"first: row {bad[0] + 1} of those used"
            raise FloatingPointError(f"{len(bad)} of {len(inside)} scores are not finite ({told})")
        notes = (*screened.warnings, rough(data), _new_characters(prepared, trained))
        warnings = [text for text in notes if text]
        arrays = sizes.numpy(), rows.numpy(), warnings, error.numpy()
        return cls(data, metric, metric.unit(coding), *arrays, trained.diagnosed, coding.variables)

    @property
    def scored(self) -> list[int]:
        """The sources with scores."""
        return sorted(set(self.data.y.numpy()[~np.isnan(self.rows)].tolist()))

    def without_model(self, name: str) -> str | None:
        """What to say of rows that are not scored."""
        left = self.data.y[torch.from_numpy(np.isnan(self.rows))].unique().tolist()
        sources = listing((repr(self.data.names[k]) for k in left), 5)
        return f"{name} has no model of {sources}: these rows are not scored" if left else None

    def result(self, common: Sequence[int]) -> ScoredStrategy:
        """Per source, on average over the common sources, and the worst."""
        key, names = self.metric.key, self.data.names
        scores = {k: score_of(self.interval([k])) for k in self.scored}
        means = {k: score.mean for k, score in scores.items() if score.mean is not None}
        worst = min(means, key=lambda k: self.metric.sign * means[k]) if means else None
        macro = score_of(self.interval(common))
        return ScoredStrategy(
            fitted=fitted_of(self.diagnosed),
            resolved=self.diagnosed.resolved,
            diagnostics=diagnostics_of(self.diagnosed),
            per_source={
                names[k]: ScoredSource(int((self.data.y == k).sum()), {key: score})
                for k, score in scores.items()
            },
            macro={key: macro, "sources": tuple(names[k] for k in common)},
            worst={key: None if worst is None else Worst(names[worst], means[worst])},
        )

    def interval(
        self, sources: Sequence[int], less: "Scored | None" = None
    ) -> Interval | float | None:
        """Of the equal-weight mean over sources; the mean alone if there are too few rows.

        Compared with the scores that are `less`, above 0 favours these models.
        """
        if not sources:
            return None
        rows = self.rows if less is None else self.gains(less)
        y = self.data.y.numpy()
        used = np.isin(y, sources) & ~np.isnan(rows)
        weights = np.zeros(self.data.K)
        weights[list(sources)] = 1 / len(sources)
        units = self.data.units.numpy()[used]
        if any(len(np.unique(units[y[used] == k])) < 2 for k in sources):
            masks = [used & (y == k) for k in sources]
            return float(np.mean([rows[m].sum() / self.sizes[m].sum() for m in masks]))
        sizes = self.sizes[used]
        interval = rows_and_seeds(rows[None, used], units, weights, y[used], sizes=sizes)
        if less is None:
            return with_shared_errors(interval, weights, [(1.0, self.error)])
        for k in sources:  # one model in both, but for rounding: its log Z cancels
            alike = np.array_equal(self.error[k], less.error[k])
            if alike and bool((abs(rows[used & (y == k)]) < SMALLEST).all()):
                weights[k] = 0.0
        sign = self.metric.sign
        return with_shared_errors(interval, weights, [(sign, self.error), (-sign, less.error)])

    def gains(self, less: "Scored") -> np.ndarray:
        """(n,) what each row gains under these models, NaN where either has none of its source."""
        return self.metric.sign * (self.rows - less.rows)


def score_of(interval: Interval | float | None) -> Score:
    """As results have it, with a reason where there is no interval."""
    if isinstance(interval, Interval):
        return Score(interval.value, interval.low, interval.high, interval.standard_error)
    reason = "no rows" if interval is None else "fewer than two different rows of a source"
    return Score(interval, None, None, None, reason)
