"""What the cells of a comparison gave, before it is made a result."""

from dataclasses import dataclass, field

from sourcewise.comparison.plan import Plan
from sourcewise.comparison.scores import CellScores
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.results.comparison import Trial

__all__ = ["Outcome"]

Results = dict[str, dict[str, CellScores]]
Models = dict[str, TrainedStrategy]


@dataclass
class Outcome:
    """What a comparison found."""

    plan: Plan  # with the settings of a search, if there was one
    trials: dict[str, list[Trial]]  # what the search tried, by strategy
    results: Results = field(default_factory=dict)
    models: Models = field(default_factory=dict)  # those to keep
