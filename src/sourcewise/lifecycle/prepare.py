"""What is settled before a training starts: settings, columns, the strategy, validation rows."""

from dataclasses import dataclass
from functools import cached_property

from pydantic import Field

from sourcewise.errors import InputError
from sourcewise.fitting.job import Job, Split, prepared_rows
from sourcewise.fitting.prepare import FitSettings, chosen_family, configuration, prepare_job
from sourcewise.fitting.rehearsal import Rehearsal
from sourcewise.fitting.strategy import Encoders, whole_split
from sourcewise.randomness import Noise
from sourcewise.results.contract import Json
from sourcewise.screening.base import Screened
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy, parse_strategies

__all__ = ["PreparedTraining", "TrainSettings", "prepare"]


class TrainSettings(FitSettings):
    """All that determines a training, beside the data."""

    strategy: str = Field(
        default="pooled",
        description="pooled, separate, partial, fine-tuned, groups:a+b|c, groups:FILE.csv",
    )


@dataclass(frozen=True)
class PreparedTraining:
    """A training that is checked and ready to run."""

    job: Job  # what is trained
    seed: int  # of all random choices
    screened: Screened  # what happened to the table
    config: Json  # all that identifies it: resolved settings, versions, fingerprint

    @property
    def strategy(self) -> Strategy:
        """What is trained."""
        return self.job.strategies[0]

    @property
    def noise(self) -> Noise:
        """Of the only repetition: as a comparison's, whose kept models see all rows."""
        return Noise(self.seed).of("repetition", 0)

    @cached_property
    def split(self) -> Split:
        """Which rows train, and which tell when to stop."""
        return whole_split(self.job, self.noise)

    @property
    def notes(self) -> list[str]:
        """What is to be known of the data before it runs, one line each."""
        return self.screened.notes

    def foreseen(self) -> Json:
        """What settings come to, and what the estimate of its seconds rests on."""
        found: Json = {"resolved": self.rehearsal().effective_settings()}
        early = {"seconds_reason": "if no training stops early"}
        return found | (early if self.job.family.trained else {})

    def rehearsal(self) -> Rehearsal:
        """All models on their rows."""
        rows = prepared_rows(self.job, self.noise)
        encoders = Encoders.fit(self.job, rows, self.split)
        return Rehearsal(self.job, rows, self.split, self.job.data.y, encoders)


def prepare(data: Sources, settings: TrainSettings) -> PreparedTraining:
    """Check everything and choose columns.

    Raises:
        InputError: whatever is wrong with the data or settings.
    """
    chosen = chosen_family("train", data, settings)
    strategy = _strategy(settings.strategy, data)
    job, screened = prepare_job(data, settings, chosen, (strategy,))
    config = {"kind": "train", **configuration(data, settings, job)}
    prepared = PreparedTraining(job, settings.seed, screened, config)
    if chosen.trained:
        prepared.rehearsal().check(Noise(settings.seed).of("rehearsal"))
    return prepared


def _strategy(text: str, data: Sources) -> Strategy:
    strategies = parse_strategies(text, tuple(data.names))
    if len(strategies) != 1 or strategies[0].shuffled:
        raise InputError(
            f"strategy {text!r}: train takes one of pooled, separate, partial, "
            "fine-tuned, groups:a+b|c, groups:FILE.csv; several (pooled,separate) and "
            "controls are for compare"
        )
    return strategies[0]
