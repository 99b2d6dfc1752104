"""`evaluate`: new rows under saved models.

The score of a source is `sum_i log p(x_i | y_i) / sum_i s_i` over its rows, in nats per row or
symbol. Intervals cover other rows like these, for these models: nothing is trained again, so they
say nothing about other training samples or seeds.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import torch

from sourcewise.errors import InputError, listing, unknown
from sourcewise.families.base import Diagnosed, Occasion, diagnostic_facts
from sourcewise.files import plain
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.lifecycle.rows import known_rows, matched, new_characters, read_rows, rough
from sourcewise.lifecycle.run import Run, opened, strategies_of
from sourcewise.lifecycle.trained import about_lines, aligned, brief
from sourcewise.metrics.base import Metric
from sourcewise.metrics.registry import metric
from sourcewise.randomness import Noise
from sourcewise.screening.options import Missing
from sourcewise.sources import Sources
from sourcewise.statistics import Interval, rows_and_seeds, with_shared_errors

__all__ = ["Evaluation", "evaluate"]

SCOPE = "these models on these rows"
BASELINE = "separate"
MOST_LINES = 60
ALONE = "standard errors"
SMALLEST = 1e-6  # error of a normaliser that is told of, nats


@dataclass(frozen=True)
class Evaluation:
    """Scores of new rows. `print(evaluation)` shows them by source and strategy.

    Args:
        document: the JSON document (see docs).
        rows: strategy to (n,) log density of each row used, in its order; NaN without a model.
    """

    document: dict[str, Any]
    rows: dict[str, np.ndarray]

    def __str__(self) -> str:
        return "\n".join(_lines(self.document))


def evaluate(
    run: str | Path | Run,
    data: Sources | str | Path,
    *,
    strategies: Sequence[str] | None = None,
    missing: Missing | None = None,
    seed: int = 0,
    **reading: Any,
) -> Evaluation:
    """Score new rows under the models of a run.

    >>> import sourcewise as sw
    >>> wine = sw.read("wine")
    >>> scores = sw.evaluate(sw.train(wine), wine)
    >>> scores.document["warnings"][0][:29]
    'these are the very rows that '

    Args:
        run: a run folder of `compare` or `train`, or what these return.
        data: new rows: a path, a built-in name, or `Sources`; columns and sources are matched by
            name.
        strategies: some of the run's; all if None.
        missing: "refuse", "drop" or "impute"; as the run if None.
        seed: of the uniform noise that ties in numbers are spread by.
        **reading: options of `sourcewise.read` that differ from those of the run.

    Raises:
        InputError: no such run or strategy; sources, columns or symbols that its models do not
            know.
    """
    run = opened(run)
    names = _strategies(run, strategies)
    if not isinstance(data, Sources):
        data = read_rows(run, str(data), reading)
    elif reading:
        raise InputError(f"options that do not apply to Sources: {listing(reading)}")
    fingerprint = data.fingerprint()
    settings = run.document["settings"]
    measure = metric(run.document.get("primary_metric", "log-likelihood").replace("_", "-"))
    scored = {
        name: _Scored.of(run.models[name], data, measure, missing or settings["missing"], seed)
        for name in names
    }
    first = next(iter(scored.values()))
    warnings = [*first.warnings, known_rows(run, first.data, fingerprint)]
    diagnosed = {name: item.diagnosed for name, item in scored.items()}
    occasion = Occasion("evaluate", math.nan, first.variables)
    kind = run.models[names[0]].model.kind
    warnings += [caution.text for caution in kind.cautions(diagnosed, occasion)]
    warnings += [item.without_model(name) for name, item in scored.items()]
    common = _common(scored)
    warnings.append(_apart(first.data, common, scored))
    document = {
        "schema_version": 1,
        "kind": "evaluate",
        "run": run.document["run"],
        "data": _data(first, fingerprint),
        "scope": SCOPE,
        "primary_metric": measure.key,
        "metrics": {
            measure.key: {
                "unit": first.unit,
                "higher_is_better": measure.higher_is_better,
                **_errors(scored),
            }
        },
        "warnings": [text for text in warnings if text],
        "strategies": {name: item.levels(common) for name, item in scored.items()},
        "differences": _differences(scored, common),
        "settings": {"missing": missing or settings["missing"], "seed": seed},
    }
    return Evaluation(plain(document), {name: item.rows for name, item in scored.items()})


def _strategies(run: Run, wanted: Sequence[str] | None) -> list[str]:
    allowed = strategies_of(run)
    for name in wanted or ():
        if name not in allowed:
            raise unknown("strategy in this run", name, allowed)
    return list(dict.fromkeys(wanted or allowed))


@dataclass(frozen=True)
class _Scored:
    """The rows under the models of one strategy.

    Args:
        data: the rows, sources numbered as in the run.
        metric: what rows are scored by.
        unit: what scores are in.
        sizes: (n,) what a row's score is divided by.
        rows: (n,) contributions to the metric, NaN where the strategy has no model of the source.
        warnings: what happened to the rows.
        error: (K, 3) errors that rows of a source share, see `metrics.base.Contributions`.
        diagnosed: what fitting found, and what settings came to.
        variables: coordinates of a row.
    """

    data: Sources
    metric: Metric
    unit: str
    sizes: np.ndarray
    rows: np.ndarray
    warnings: list[str]
    error: np.ndarray
    diagnosed: Diagnosed
    variables: int

    @classmethod
    def of(
        cls, trained: TrainedStrategy, data: Sources, metric: Metric, missing: Missing, seed: int
    ) -> "_Scored":
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
        bad = (~rows[inside].isfinite()).nonzero().squeeze(1)
        if len(bad):
            row = int(inside[bad[0]]) + 1
            raise FloatingPointError(
                f"{len(bad)} of {len(inside)} scores are not finite (first: row {row} of those "
                "used)"
            )
        notes = (
            *screened.warnings,
            rough(data),
            new_characters(prepared, trained),
        )
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
        told = listing((repr(self.data.names[k]) for k in left), 5)
        return f"{name} has no model of {told}: these rows are not scored" if left else None

    def levels(self, common: Sequence[int]) -> dict[str, Any]:
        """Per source, on average over the common sources, and the worst."""
        key = self.metric.key
        entries = {self.data.names[k]: self._entry(k) for k in self.scored}
        means = {name: entry["metrics"][key]["mean"] for name, entry in entries.items()}
        worst = min(means, key=lambda n: self.metric.sign * means[n]) if means else None
        return {
            **diagnostic_facts(self.diagnosed.diagnostics),
            "per_source": entries,
            "macro": {
                key: _ends(_interval(self.rows, self, common)),
                "sources": [self.data.names[k] for k in common],
            },
            "worst": {key: None if worst is None else {"source": worst, "mean": means[worst]}},
        }

    def _entry(self, k: int) -> dict[str, Any]:
        own = int((self.data.y.numpy() == k).sum())
        return {
            "n_test": own,
            "metrics": {self.metric.key: _ends(_interval(self.rows, self, [k]))},
        }


def _errors(scored: Mapping[str, _Scored]) -> dict[str, str]:
    """What standard errors and intervals of scores are made of."""
    shared, overstated, either = (
        any(bool((item.error[:, i] > SMALLEST).any()) for item in scored.values())
        for i in range(3)
    )
    told = "over rows"
    if shared:
        told += " and of the normaliser, whose error all rows of a source share"
    ends = f"{ALONE}, and what normalisers may be wrong by beyond them"
    return {"standard_error": told, "intervals": ends if overstated or either else ALONE}


def _common(scored: Mapping[str, _Scored]) -> list[int]:
    """The sources that every strategy has scores of: what averages are over, to be comparable."""
    return sorted(set.intersection(*(set(item.scored) for item in scored.values())))


def _apart(data: Sources, common: Sequence[int], scored: Mapping[str, _Scored]) -> str | None:
    """What to say of averages that leave sources out which some strategy scores."""
    left = sorted({k for item in scored.values() for k in item.scored} - set(common))
    if not left:
        return None
    told = listing((repr(data.names[k]) for k in left), 5)
    which = "no source has a model under every strategy, so there is no average"
    if common:
        which = "averages are over the sources that have a model under every strategy"
    return f"{which}: left out {told}"


def _interval(
    rows: np.ndarray, item: _Scored, sources: Sequence[int], less: "_Scored | None" = None
) -> Interval | float | None:
    """Of the equal-weight mean over sources; the mean alone if there are too few rows.

    Args:
        rows: scores, or differences of scores.
        item: what scored them.
        sources: that the mean is over.
        less: what the differences are taken from.
    """
    if not sources:
        return None
    y = item.data.y.numpy()
    used = np.isin(y, sources) & ~np.isnan(rows)
    weights = np.zeros(item.data.K)
    weights[list(sources)] = 1 / len(sources)
    units = item.data.units.numpy()[used]
    if any(len(np.unique(units[y[used] == k])) < 2 for k in sources):
        masks = [used & (y == k) for k in sources]
        return float(np.mean([rows[mask].sum() / item.sizes[mask].sum() for mask in masks]))
    interval = rows_and_seeds(rows[None, used], units, weights, y[used], sizes=item.sizes[used])
    sign = 1.0 if less is None else item.metric.sign
    errors = [(sign, item.error)]
    if less is not None:
        errors.append((-sign, less.error))
        same = [k for k in sources if _same_model(rows[used & (y == k)], item, less, k)]
        weights[same] = 0.0  # log Z cancels
    return with_shared_errors(interval, weights, errors)


def _same_model(rows: np.ndarray, item: _Scored, less: _Scored, k: int) -> bool:
    """Whether one model scores a source in both strategies: scores agree, but for rounding."""
    return np.array_equal(item.error[k], less.error[k]) and bool((abs(rows) < SMALLEST).all())


def _ends(interval: Interval | float | None) -> dict[str, Any]:
    if isinstance(interval, Interval):
        return {
            "mean": interval.value,
            "low": interval.low,
            "high": interval.high,
            "standard_error": interval.standard_error,
        }
    reason = "no rows" if interval is None else "fewer than two different rows of a source"
    ends = {"low": None, "high": None, "standard_error": None, "reason": reason}
    return {"mean": interval, **ends}


def _differences(scored: Mapping[str, _Scored], common: Sequence[int]) -> list[dict[str, Any]]:
    """Each strategy minus the baseline, on the rows that both score."""
    baseline = BASELINE if BASELINE in scored else next(iter(scored))
    out = []
    for name, item in scored.items():
        if name == baseline:
            continue
        rows = item.metric.sign * (item.rows - scored[baseline].rows)
        y = item.data.y.numpy()
        sources = sorted(set(y[~np.isnan(rows)].tolist()))
        for label, chosen in [*((item.data.names[k], [k]) for k in sources), ("macro", common)]:
            interval = _interval(rows, item, chosen, scored[baseline])
            ends = _ends(interval)
            value = ends.pop("mean")
            exact = isinstance(interval, Interval)
            more = {"df": interval.df, "p": interval.p} if exact else {"df": None, "p": None}
            head = {
                "source": label,
                "strategy": name,
                "baseline": baseline,
                "metric": item.metric.key,
            }
            out.append({**head, "unit": item.unit, "difference": value, **ends, **more})
    return out


def _data(item: _Scored, fingerprint: str) -> dict[str, Any]:
    data = item.data
    return {
        "name": data.name,
        "fingerprint": fingerprint,
        "rows": len(data),
        "sources": [
            {
                "name": name,
                "rows": int(data.counts[k]),
                "size": float(item.sizes[data.y.numpy() == k].sum()),
            }
            for k, name in enumerate(data.names)
        ],
    }


def _lines(document: dict[str, Any]) -> Iterator[str]:
    data, key = document["data"], document["primary_metric"]
    about = document["metrics"][key]
    unit = about["unit"]
    yield f"{data['name']}: {data['rows']} rows; scope: {document['scope']}"
    for warning in document["warnings"]:
        yield from wrap(f"note: {warning}", 98, initial_indent="  ", subsequent_indent="        ")
    strategies = document["strategies"]
    yield ""
    told = f"{key.replace('_', '-')}, {unit}, ± standard error {about['standard_error']}"
    if (ends := about["intervals"]) != ALONE:
        told += f"; intervals are made of {ends}"
    yield from about_lines(strategies)
    yield from wrap(told, 98)
    yield from aligned(("source", "rows", *strategies), _level_rows(document))
    for name in dict.fromkeys(d["strategy"] for d in document["differences"]):
        mine = [d for d in document["differences"] if d["strategy"] == name]
        yield ""
        yield f"{name} - {mine[0]['baseline']}, {unit}: above 0 favours {name}"
        shown = [*mine[:-1][:MOST_LINES], mine[-1]]
        yield from aligned(
            ("source", "difference", "95 % interval"),
            [(brief(d["source"]), _signed(d), _span(d)) for d in shown],
        )


def _level_rows(document: dict[str, Any]) -> list[tuple[str, ...]]:
    strategies, metric = document["strategies"].values(), document["primary_metric"]
    rows = []
    present = [source for source in document["data"]["sources"] if source["rows"]]
    for source in present[:MOST_LINES]:
        entries = (s["per_source"].get(source["name"]) for s in strategies)
        cells = ("-" if e is None else _level(e["metrics"][metric]) for e in entries)
        rows.append((brief(source["name"]), str(source["rows"]), *cells))
    if len(present) > MOST_LINES:
        rows.append((f"... {len(present) - MOST_LINES} more", "", *("" for _ in strategies)))
    # Also where a strategy has no model of some source: the same sources in every column.
    return [*rows, ("macro", "", *(_level(s["macro"][metric]) for s in strategies))]


def _level(ends: dict[str, Any]) -> str:
    if ends["mean"] is None:
        return "-"
    error = "" if ends["standard_error"] is None else f" ± {ends['standard_error']:.4f}"
    return f"{ends['mean']:.4f}{error}"


def _signed(ends: dict[str, Any]) -> str:
    return "-" if ends["difference"] is None else f"{ends['difference']:+.4f}"


def _span(ends: dict[str, Any]) -> str:
    if ends["low"] is None:
        return "-"
    return f"{ends['low']:+.4f} to {ends['high']:+.4f}"
