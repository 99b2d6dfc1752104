"""`evaluate`: new rows under saved models.

Intervals cover other rows like these, for these models: nothing is trained again, so they say
nothing about other training samples or seeds.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from sourcewise.errors import InputError, counted, listing
from sourcewise.execution import device_of
from sourcewise.families.base import Occasion
from sourcewise.fitting.run import Run, load
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.lifecycle.draws.asked import DrawsAsked, Rows
from sourcewise.lifecycle.draws.document import Progress, draws_beside
from sourcewise.lifecycle.draws.training_rows import training_rows
from sourcewise.lifecycle.known_rows import known_rows
from sourcewise.lifecycle.new_rows import (
    Unknown,
    known_part,
    matched,
    reading_options,
    with_given,
)
from sourcewise.lifecycle.score import SMALLEST, Scored, baseline_of, score_of
from sourcewise.metrics.registry import metric
from sourcewise.readers.read import read
from sourcewise.results.comparison import MACRO
from sourcewise.results.contract import Json, to_json
from sourcewise.results.data import SourceFacts
from sourcewise.results.evaluation import (
    ALONE,
    EvaluationResult,
    NewRows,
    ScoreDifference,
    ScoringMetric,
    Skipped,
    evaluation_lines,
)
from sourcewise.results.text import joined
from sourcewise.screening.options import Missing
from sourcewise.sources import Sources
from sourcewise.statistics import Interval

__all__ = ["Evaluation", "evaluate"]

SCOPE = "these models on these rows"


@dataclass(frozen=True)
class Evaluation:
    """Scores of new rows. `print(evaluation)` shows them by source and strategy.

    Args:
        result: what was found.
        rows: strategy to (n,) contributions of each row used, in its order; NaN without a model.
    """

    result: EvaluationResult
    rows: dict[str, np.ndarray]

    @cached_property
    def document(self) -> Json:
        """The result as JSON has it (see docs)."""
        return to_json(self.result)

    def __str__(self) -> str:
        return joined(evaluation_lines(self.result))


def evaluate(
    run: str | Path | Run,
    data: Sources | str | Path,
    *,
    strategies: Sequence[str] | None = None,
    missing: Missing | None = None,
    unknown: Unknown = "refuse",
    seed: int = 0,
    draws: int | None = None,
    features: str | None = None,
    training: Rows | None = None,
    set: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
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
        unknown: "refuse" rows of sources, and with categories or symbols, that the models do not
            know, or "skip" them, which the result states.
        seed: of the uniform noise that ties in numbers are spread by, and of draws.
        draws: how many draws of each source are shown beside the rows; none if None.
        features: what makes rows and draws points: "auto", "principal", "classifier", or the path
            of a network.
        training: the rows that the models were trained on, read like `data`.
        set: options of drawing that the family has, by name.
        device: where models score and draw that can elsewhere than on a CPU: "auto", "cpu", ...
        progress: called with (done, in all) of what draws take.
        **reading: options of `sourcewise.read` that differ from those of the run.

    Raises:
        InputError: no such run or strategy; columns that its models do not know; sources,
            categories or symbols likewise, unless they are skipped; draws that cannot be had.
    """
    run = run if isinstance(run, Run) else load(run)
    names = dict.fromkeys(map(run.strategy, strategies or run.strategies))
    first = run.models[next(iter(names))]  # all strategies of a run share encoders and names
    asked = DrawsAsked.of(run.settings.model, draws, features, training, set)
    missing = missing or run.settings.missing
    known = None if asked is None else training_rows(run, first, asked, reading, missing)
    if not isinstance(data, Sources):
        data = read(data, **reading_options(run, str(data), reading))
    elif reading:
        raise InputError(f"options that do not apply to Sources: {listing(reading)}")
    if unknown not in get_args(Unknown):
        raise InputError(f"unknown={unknown!r}: allowed are {listing(get_args(Unknown))}")
    fingerprint = data.fingerprint()
    data, skipped = known_part(with_given(data, first.given), first, unknown)
    deciding = metric(run.settings.metric)
    models = {name: run.models[name] for name in names}
    settings = {"missing": missing, "unknown": unknown, "seed": seed}
    with _on(models.values(), device_of(device)):
        scored = {
            name: Scored.of(model, matched(data, model, missing), deciding, seed)
            for name, model in models.items()
        }
        result = _result(run, scored, fingerprint, settings, skipped)
        if asked is not None:
            found = draws_beside(models, scored, known, asked, seed, progress)
            notes = () if known is None or known.warning is None else (known.warning,)
            result = replace(result, draws=found, warnings=(*result.warnings, *notes))
    return Evaluation(result, {name: item.rows for name, item in scored.items()})


@contextmanager
def _on(models: Iterable[TrainedStrategy], device: torch.device) -> Iterator[None]:
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(model.on(device))
        yield


def _result(
    run: Run,
    scored: Mapping[str, Scored],
    fingerprint: str,
    settings: Json,
    skipped: Skipped | None,
) -> EvaluationResult:
    """Put the result together; see docs for its keys."""
    first, common = next(iter(scored.values())), _common(scored)
    metric = first.metric
    return EvaluationResult(
        schema_version=1,
        kind="evaluate",
        run=run.result.run,
        data=_rows(first, fingerprint),
        scope=SCOPE,
        primary_metric=metric.key,
        metrics={metric.key: ScoringMetric(first.unit, metric.higher_is_better, *_errors(scored))},
        warnings=tuple(filter(None, (_left_out(skipped), *_warnings(run, scored, fingerprint)))),
        strategies={name: item.result(common) for name, item in scored.items()},
        differences=tuple(_differences(scored, common)),
        settings=settings,
        skipped=skipped,
    )


def _left_out(skipped: Skipped | None) -> str | None:
    """What to say of rows that the models know nothing of."""
    if skipped is None:
        return None
    told = "; ".join(skipped.words(*kind) for kind in skipped.kinds)
    return f"{counted(skipped.rows, 'row')} left out, and not scored: {told}"


def _warnings(run: Run, scored: Mapping[str, Scored], fingerprint: str) -> list[str | None]:
    name, first = next(iter(scored.items()))
    needs = first.metric.needs
    occasion = Occasion("evaluate", math.nan, first.coordinates, scored_by=needs)
    diagnosed = {name: item.diagnosed for name, item in scored.items()}
    said = run.models[name].model.kind.cautions(diagnosed, occasion)
    return [
        *first.warnings,
        known_rows(run, first.data, fingerprint, first.metric),
        *(caution.text for caution in said),
        *(item.without_model(name) for name, item in scored.items()),
        _apart(first.data, _common(scored), scored),
    ]


def _errors(scored: Mapping[str, Scored]) -> tuple[str, str]:
    """What standard errors and intervals of scores are made of."""
    shared, overstated, either = (
        any(bool((item.error[:, i] > SMALLEST).any()) for item in scored.values())
        for i in range(3)
    )
    made = "over rows"
    if shared:
        made += " and of the normaliser, whose error all rows of a source share"
    ends = f"{ALONE}, and what normalisers may be wrong by beyond them"
    return made, ends if overstated or either else ALONE


def _common(scored: Mapping[str, Scored]) -> list[int]:
    """The sources that every strategy has scores of: what averages are over, to be comparable."""
    return sorted(set.intersection(*(set(item.scored) for item in scored.values())))


def _apart(data: Sources, common: Sequence[int], scored: Mapping[str, Scored]) -> str | None:
    """What to say of averages that leave sources out which some strategy scores."""
    left = sorted({k for item in scored.values() for k in item.scored} - set(common))
    if not left:
        return None
    names = listing((repr(data.names[k]) for k in left), 5)
    which = "no source has a model under every strategy, so there is no average"
    if common:
        which = "averages are over the sources that have a model under every strategy"
    return f"{which}: left out {names}"


def _differences(scored: Mapping[str, Scored], common: Sequence[int]) -> list[ScoreDifference]:
    """Each strategy minus the baseline, on the rows that both score."""
    baseline = baseline_of(scored)
    differences = []
    for name, item in scored.items():
        if name == baseline:
            continue
        gains, names = item.gains(scored[baseline]), item.data.names
        sources = sorted(set(item.data.y.numpy()[~np.isnan(gains)].tolist()))
        for label, chosen in [*((names[k], [k]) for k in sources), (MACRO, common)]:
            interval = item.interval(chosen, scored[baseline])
            score, tests = score_of(interval), (None, None)
            if isinstance(interval, Interval):
                tests = float(interval.df), interval.p
            head = label, name, baseline, item.metric.key, item.unit
            ends = score.mean, score.low, score.high, score.standard_error, score.reason
            differences.append(ScoreDifference(*head, *ends, *tests))
    return differences


def _rows(item: Scored, fingerprint: str) -> NewRows:
    data, y = item.data, item.data.y.numpy()
    return NewRows(
        name=data.name,
        fingerprint=fingerprint,
        rows=len(data),
        sources=tuple(
            SourceFacts(name, int(data.counts[k]), float(item.sizes[y == k].sum()))
            for k, name in enumerate(data.names)
        ),
    )
