"""What is settled before labels are scored: settings, columns, folds, and who is judged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.encoders.base import Rows
from sourcewise.errors import InputError, counted, listing
from sourcewise.fitting.job import Job, Split, prepared_rows
from sourcewise.fitting.prepare import FitSettings, configuration, refuse_other_data
from sourcewise.fitting.rehearsal import Rehearsal
from sourcewise.fitting.strategy import Encoders
from sourcewise.forms import Images
from sourcewise.randomness import Noise
from sourcewise.results.contract import Json
from sourcewise.screening.base import Screened
from sourcewise.settings import Few
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy, parse_strategies
from sourcewise.suspects.choice import chosen_job

__all__ = ["Division", "LabelsSettings", "PreparedLabels", "prepare"]

CHOOSING = ("probability", "most")  # settings by which labels are flagged that are judged


class LabelsSettings(FitSettings):
    """All that determines which labels are suspect, beside the data."""

    strategy: str = Field(
        default="pooled",
        description="pooled, separate, partial, fine-tuned, groups:a+b|c, groups:FILE.csv",
    )
    folds: int = Field(default=5, ge=2, le=100, description="parts that are held out in turn")
    seeds: Few = Field(default=3, description="divisions into folds; intervals need two")
    min_rows: int = Field(
        default=10,
        ge=2,
        le=10_000_000,
        description="sources of fewer different rows train, but their labels are not judged",
    )
    probability: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="labels are flagged that are wrong with at least this probability",
    )
    most: int | None = Field(
        default=None, ge=1, le=10_000_000, description="flags, at most: the most suspect"
    )


@dataclass(frozen=True)
class PreparedLabels:
    """Labels that are ready to be scored.

    Args:
        job: what is fitted, with one strategy.
        settings: as they were given.
        screened: what happened to the table.
        shown: the rows as a reader sees them.
        judged: (J,) the sources whose labels are tried, ascending.
        left: the others, each with a reason.
        config: what identifies the run: all that labels are judged by.
    """

    job: Job
    settings: LabelsSettings
    screened: Screened
    shown: Sources
    judged: Tensor
    left: dict[str, str]
    config: Json

    @property
    def chosen(self) -> Json:
        """The settings that say what is flagged, and nothing of how labels are judged."""
        return {name: getattr(self.settings, name) for name in CHOOSING}

    @property
    def strategy(self) -> Strategy:
        """What is trained on the other folds."""
        return self.job.strategies[0]

    @property
    def notes(self) -> list[str]:
        """What is to be known of the data before it runs, one line each."""
        return [*self.screened.notes, *_left_out(self.left)]

    def division(self, repetition: int) -> "Division":
        """One way to divide the rows into folds."""
        return Division(self, repetition)

    def foreseen(self) -> Json:
        """What settings come to, and what the estimate of its seconds rests on."""
        found: Json = {"resolved": self.rehearsal.effective_settings()}
        early = {"seconds_reason": "if no training stops early"}
        return found | (early if self.job.family.trained else {})

    @cached_property
    def rehearsal(self) -> Rehearsal:
        """All models of the first fold."""
        division = self.division(0)
        rows, split = division.rows, division.split(0)
        encoders = Encoders.fit(self.job, rows, split)
        return Rehearsal(self.job, rows, split, self.job.data.y, encoders)


@dataclass(frozen=True)
class Division:
    """The rows divided into folds, each of which is held out in turn."""

    of: PreparedLabels
    repetition: int

    @property
    def noise(self) -> Noise:
        """Of the folds and of all that is trained by them."""
        return Noise(self.of.settings.seed).of("labels", self.repetition)

    @property
    def folds(self) -> int:
        """How many."""
        return self.of.settings.folds

    @property
    def shape(self) -> tuple[int, int]:
        """N rows, and J sources whose labels are tried."""
        return len(self.of.job.data), len(self.of.judged)

    @cached_property
    def fold(self) -> Tensor:
        """(N,) of each row; units are whole."""
        return self.of.job.data.folds(self.folds, self.noise.of("folds"))

    @cached_property
    def rows(self) -> Rows:
        """All of them, with everything done that needs no fitting."""
        return prepared_rows(self.of.job, self.noise)

    def split(self, part: int) -> Split:
        """The rows that train when a fold is held out; those of judged sources are scored.

        Raises:
            InputError: a judged source has no other rows.
        """
        job, noise = self.of.job, self.noise.of("validation", part)
        scored = (self.fold == part) & torch.isin(job.data.y, self.of.judged)
        train, test = (mask.nonzero().squeeze(1) for mask in (self.fold != part, scored))
        split = Split.of(job, train, test, noise, self.fold)
        lacking = ~torch.isin(self.of.judged, job.data.y[split.train])
        if lacking.any():
            name = job.names[int(self.of.judged[lacking][0])]
            raise InputError(
                f"{job.data.name}: all rows of {name!r} that could train lie in one fold of "
                f"{self.folds}: fewer --folds, or a larger --min-rows, which leaves it out"
            )
        return split


def prepare(data: Sources, settings: LabelsSettings) -> PreparedLabels:
    """Check everything, choose columns, and find out which sources can be judged.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    data = refuse_other_data("labels", data)
    if data.K < 2:
        raise InputError(
            f"{data.name} has one source only ({data.names[0]!r}): a label can be wrong where "
            "there are two"
        )
    strategy = _strategy(settings.strategy, data)
    job, screened = chosen_job(data, settings, strategy, settings.min_rows)
    left = _too_few(job.data, settings)
    judged = [k for k in range(job.data.K) if job.names[k] not in left]
    if len(judged) < 2:
        told = listing((f"{name}: {reason}" for name, reason in left.items()), 3)
        raise InputError(
            f"{data.name}: fewer than two sources can be judged ({told}); --min-rows "
            f"{settings.min_rows} asks for that many different rows of each"
        )
    job = replace(job, tested=tuple(judged))
    config = {"kind": "labels", **configuration(data, settings, job)}
    for name in CHOOSING:
        del config["settings"][name]
    shown = data if isinstance(data.x, Images) else job.data
    prepared = PreparedLabels(job, settings, screened, shown, torch.tensor(judged), left, config)
    if job.family.trained:
        prepared.rehearsal.check(Noise(settings.seed).of("rehearsal"))
    return prepared


def _strategy(text: str, data: Sources) -> Strategy:
    strategies = parse_strategies(text, tuple(data.names))
    if len(strategies) != 1 or strategies[0].shuffled:
        raise InputError(
            f"strategy {text!r}: labels takes one of pooled, separate, partial, fine-tuned, "
            "groups:a+b|c, groups:FILE.csv"
        )
    return strategies[0]


def _too_few(data: Sources, settings: LabelsSettings) -> dict[str, str]:
    """Sources whose labels are not judged, and why."""
    least, out = max(settings.min_rows, settings.folds), {}
    pairs = (data.units * data.K + data.y).unique() % data.K
    units = torch.bincount(pairs, minlength=data.K).tolist()
    for name, rows, different in zip(data.names, data.counts.tolist(), units, strict=True):
        if different < least:
            told = counted(rows, "row") + (f", {different} different" if rows > different else "")
            out[name] = f"too few rows ({told}; --min-rows {least})"
    return out


def _left_out(left: Mapping[str, str]) -> Iterator[str]:
    """A note on sources that are not judged."""
    if left:
        told = listing((f"{name!r}: {reason}" for name, reason in left.items()), 5)
        yield f"labels that are neither judged nor suggested: {told}"
