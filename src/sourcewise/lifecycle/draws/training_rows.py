"""The rows that models were trained on, as users give them again."""

from collections.abc import Mapping
from typing import Any

import torch

from sourcewise.errors import InputError, listing
from sourcewise.fitting.run import Run
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import take
from sourcewise.lifecycle.draws.asked import DrawsAsked, TrainingRows
from sourcewise.lifecycle.known_rows import marks_of
from sourcewise.lifecycle.new_rows import known_part, matched, reading_options, with_given
from sourcewise.randomness import Noise
from sourcewise.readers.read import read
from sourcewise.results.contract import Json
from sourcewise.results.evaluation_draws import TrainingFacts
from sourcewise.screening.options import Missing
from sourcewise.sources import Sources

__all__ = ["training_rows"]


def training_rows(
    run: Run,
    trained: TrainedStrategy,
    asked: DrawsAsked,
    options: Mapping[str, Any],
    missing: Missing,
) -> TrainingRows | None:
    """Those asked for, read as the run read its data, and as many of a source as it kept.

    Raises:
        InputError: what is asked cannot be had of these models; or sources, columns, values or a
            shape of images that they do not know.
    """
    asked.refuse_others(trained)
    rows = asked.training
    if rows is None:
        return None
    if not isinstance(rows, Sources):
        rows = read(rows, **(_sampled(run) | reading_options(run, str(rows), options)))
    _refuse_strange(rows, trained)
    known, _ = known_part(with_given(rows, trained.given), trained, "refuse")
    data = matched(known, trained, missing).data
    first = torch.zeros(1, dtype=torch.int64)
    trained.encoder.coding.prepare(take(data.x, first), Noise(0).each(first))  # refuses others
    facts = TrainingFacts(data.name, rows.fingerprint(), len(data))
    return TrainingRows(data, facts, _others(run, data))


def _sampled(run: Run) -> Json:
    """How many rows of a source the run kept, and which."""
    told = run.result.settings.get("data") or {}
    return {name: told[name] for name in ("sample_rows", "sample_seed") if name in told}


def _refuse_strange(rows: Sources, trained: TrainedStrategy) -> None:
    names, known = [rows.names[k] for k in rows.y.unique().tolist()], trained.model.names
    if strange := [repr(name) for name in names if name not in known]:
        raise InputError(
            f"{rows.name}: training rows of sources that no model knows: {listing(strange, 5)} "
            f"(known: {listing(known, 12)})"
        )


def _others(run: Run, data: Sources) -> str | None:
    """A warning where these are not the rows that the models come from."""
    theirs = marks_of(run)
    if theirs is None:
        if len(data) == run.result.data.rows:
            return None
        return f"{len(data)} training rows; the models come from {run.result.data.rows}"
    if torch.equal(data.marks.sort().values, theirs.sort().values):
        return None
    same = int(torch.isin(data.marks, theirs).sum())
    return (
        f"{same} of {len(data)} training rows equal one of the same source that the models come "
        f"from, and these are {len(theirs)}: memorisation is told of the wrong rows"
    )
