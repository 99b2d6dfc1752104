"""What `evaluate` is asked of draws, and what of it cannot be."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sourcewise.errors import InputError
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.lifecycle.drawing_options import drawing_options
from sourcewise.metrics.features.choice import refuse_unknown
from sourcewise.results.contract import Json
from sourcewise.results.evaluation_draws import TrainingFacts
from sourcewise.sources import Sources

__all__ = ["DrawsAsked", "Rows", "TrainingRows"]

Rows = Sources | str | Path  # that users give

MOST = 10_000  # draws of a source
LEARNED = ("principal", "classifier")  # features that rows held out must have no part in


@dataclass(frozen=True)
class DrawsAsked:
    """Draws that are wanted.

    Args:
        n: of each source.
        features: what makes them points, a choice of `metrics.features.choice`.
        options: of drawing, that the family has.
        training: the rows that the models were trained on, if they are given.
    """

    n: int
    features: str
    options: Json
    training: Rows | None

    @classmethod
    def of(
        cls,
        family: str,
        n: int | None,
        features: str | None,
        training: Rows | None,
        options: Mapping[str, Any] | None,
    ) -> "DrawsAsked | None":
        """None where no draws are wanted.

        Raises:
            InputError: something is asked of draws without any, a number of them that is not
                allowed, options that the family does not have.
        """
        if n is None:
            further = {"--features": features, "--training": training, "--set": options}
            for name, value in further.items():
                if value is not None and value != {}:
                    raise InputError(f"{name} is about draws: say how many by --draws N")
            return None
        if not isinstance(n, int) or not 2 <= n <= MOST:
            raise InputError(f"--draws {n}: allowed are 2 to {MOST} of each source")
        told = drawing_options(family, options or {})
        return cls(n, features or "auto", told, training)

    def refuse_others(self, trained: TrainedStrategy) -> None:
        """Raise where draws are no points, or not by these features.

        Raises:
            InputError: texts, rows of symbols, features that are not there or are of images, and
                those that are learned, without training rows.
        """
        coding = trained.encoder.coding
        if coding.image is None and not coding.coded_columns:
            raise InputError(
                "--draws needs rows of columns or images, which are points: texts and rows of "
                "symbols are none"
            )
        refuse_unknown(self.features)
        if coding.image is None and self.features != "auto":
            raise InputError(
                f"--features {self.features} is for images: rows of columns take auto alone"
            )
        if self.features in LEARNED and self.training is None:
            raise InputError(
                f"--features {self.features} is learned from training rows: name them by "
                "--training DATA"
            )


@dataclass(frozen=True)
class TrainingRows:
    """Training rows, as users gave them.

    Args:
        data: sources numbered as in the run.
        facts: what results say of them.
        warning: what a reader must know where they are not the rows of the run.
    """

    data: Sources
    facts: TrainingFacts
    warning: str | None
