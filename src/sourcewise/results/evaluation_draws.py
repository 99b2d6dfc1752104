"""What `evaluate` found of draws beside new rows: keys of its document, and how they print."""

from collections.abc import Iterator
from dataclasses import dataclass

from sourcewise.results import text
from sourcewise.results.comparison import MACRO, Gap
from sourcewise.results.contract import Json, Sometimes
from sourcewise.results.evaluation_score import Score

__all__ = [
    "AccuracyFacts",
    "AccuracyOfDraws",
    "ClassifierAccuracy",
    "DrawnSource",
    "DrawnStrategy",
    "DrawsDifference",
    "DrawsMetric",
    "DrawsResult",
    "DrawsScore",
    "FeatureFacts",
    "TrainingFacts",
    "draws_lines",
]


@dataclass(frozen=True)
class FeatureFacts:
    """What made rows and draws points; `fitted_on` is null of networks that were made before."""

    choice: str
    kind: str
    coordinates: int
    fitted_on: str | None
    sha256: Sometimes[str] = None  # of a network's file


@dataclass(frozen=True)
class TrainingFacts:
    """The rows that users say the models were trained on."""

    name: str
    fingerprint: str
    rows: int


@dataclass(frozen=True)
class DrawsMetric:
    """What a number says, and what its intervals are made of or why it has none."""

    about: str
    unit: str
    higher_is_better: bool | None  # null: neither
    intervals: str


@dataclass(frozen=True)
class DrawsScore(Score):
    """A number of draws; `expected` is what draws from the truth have on average, where known."""

    expected: Sometimes[float] = None


@dataclass(frozen=True)
class DrawnSource:
    """The draws of a source: `n_equal` rows and as many draws where the number makes a bias."""

    n_test: int
    n_draws: int
    n_equal: int
    metrics: dict[str, DrawsScore]
    n_training: Sometimes[int] = None


@dataclass(frozen=True)
class ClassifierAccuracy:
    """Share of the rows whose source a classifier finds; the error is over its seeds."""

    mean: float
    standard_error: float | None
    per_source: dict[str, float | None]


@dataclass(frozen=True)
class AccuracyOfDraws:
    """Of a classifier by what it was trained on; drops are shares of the real accuracy."""

    draws: ClassifierAccuracy
    real: ClassifierAccuracy
    relative_drop: float | None
    augmented: ClassifierAccuracy  # by real rows and draws together
    augmented_drop: float | None


@dataclass(frozen=True)
class AccuracyFacts:
    """The classifier, its seeds, and how many training rows and draws of each source it had."""

    classifier: str
    seeds: int
    examples: dict[str, int]


@dataclass(frozen=True)
class DrawnStrategy:
    """The draws of one strategy; `macro` also says over which `sources` it is."""

    per_source: dict[str, DrawnSource]
    macro: dict[str, DrawsScore | tuple[str, ...]]
    accuracy: Sometimes[AccuracyOfDraws] = None

    def score(self, metric: str, source: str) -> DrawsScore | None:
        """Of a source, or of `macro`."""
        if source == MACRO:
            average = self.macro.get(metric)
            return average if isinstance(average, DrawsScore) else None
        found = self.per_source.get(source)
        return found and found.metrics.get(metric)


@dataclass(frozen=True)
class DrawsDifference(Gap):
    """A gap between the draws of two strategies; above 0 favours the strategy."""

    reason: Sometimes[str] = None


@dataclass(frozen=True)
class DrawsResult:
    """All of it; `role` says that it decides nothing."""

    role: str
    n: int
    seed: int
    features: FeatureFacts
    metrics: dict[str, DrawsMetric]
    strategies: dict[str, DrawnStrategy]
    differences: tuple[DrawsDifference, ...]
    options: Sometimes[Json] = None
    training: Sometimes[TrainingFacts] = None
    accuracy: Sometimes[AccuracyFacts] = None
    accuracy_reason: Sometimes[str] = None


# The key of a metric, the head of its column ("": its first word), digits, and whether it is
# `expected` that is shown.
_COLUMNS = (
    ("energy_distance", "", 3, False),
    ("kernel_distance", "", 2, False),
    ("frechet_of_halves", "Frechet", 2, False),
    ("frechet_of_halves", "floor", 2, True),
    ("precision", "prec.", 2, False),
    ("recall", "recall", 2, False),
    ("density", "dens.", 2, False),
    ("coverage", "cover.", 2, False),
    ("memorisation_ratio", "ratio", 2, False),
    ("memorisation_share", "share", 3, False),
)


def draws_lines(result: DrawsResult) -> Iterator[str]:
    """The numbers by strategy and source, differences on average, and accuracies."""
    yield ""
    more = "".join(f", {key} {value}" for key, value in (result.options or {}).items())
    head = f"draws beside these rows: {result.n} of each source, seed {result.seed}{more}"
    yield from text.wrapped(f"{head}; {result.role}")
    yield from text.wrapped(_about(result))
    for name, item in result.strategies.items():
        yield ""
        yield f"{name}:"
        yield from _table(item)
    yield from _differences(result)
    yield from _accuracies(result)


def _about(result: DrawsResult) -> str:
    features = result.features
    fitted = "" if features.fitted_on is None else f", fitted on {features.fitted_on}"
    return (
        f"points: {features.choice} ({features.coordinates} coordinates{fitted}); ± standard "
        "errors over rows and draws; Frechet: draws against half of the rows, floor: the other "
        "half of the rows against it (--json says all)"
    )


def _table(item: DrawnStrategy) -> list[str]:
    names = [*list(item.per_source)[: text.MOST_LINES], MACRO]
    there = [column for column in _COLUMNS if item.score(column[0], MACRO)]
    rows = []
    for name in names:
        scores = [item.score(key, name) for key, *_ in there]
        rows.append((text.brief(name, 20), *map(_cell, scores, there)))
    return text.aligned(
        ("source", *(head or key.partition("_")[0] for key, head, *_ in there)), rows
    )


def _cell(score: DrawsScore | None, column: tuple[str, str, int, bool]) -> str:
    _, _, digits, expected = column
    if score is None:
        return "-"
    error = "" if score.standard_error is None else f" ± {score.standard_error:.{digits}f}"
    return text.figure(score.expected if expected else score.mean, f".{digits}f") + error


def _differences(result: DrawsResult) -> Iterator[str]:
    for strategy in dict.fromkeys(d.strategy for d in result.differences):
        mine = [d for d in result.differences if d.strategy == strategy and d.average]
        if mine:
            yield ""
            yield f"{mine[0].baseline} - {strategy}, {MACRO}: above 0 favours {strategy}"
            rows = [
                (
                    text.metric_name(d.metric),
                    text.figure(d.difference, "+.4f"),
                    text.ends(d.low, d.high),
                )
                for d in mine
            ]
            yield from text.aligned(("metric", "difference", "95 % interval"), rows)


def _accuracies(result: DrawsResult) -> Iterator[str]:
    facts = result.accuracy
    if facts is None:
        if result.accuracy_reason:
            yield from ("", f"accuracy score: none, {result.accuracy_reason}")
        return
    rows, real = [], None
    for name, item in result.strategies.items():
        if item.accuracy is not None:
            found, real = item.accuracy, item.accuracy.real
            rows.append((f"draws of {name}", *_accuracy(found.draws, found.relative_drop)))
            both = f"real rows and draws of {name}"
            rows.append((both, *_accuracy(found.augmented, found.augmented_drop)))
    if real is not None:
        rows.insert(0, ("real rows", *_accuracy(real, None)))
    yield ""
    yield f"accuracy on these rows of a {facts.classifier}"
    yield from text.aligned(("trained on", "accuracy", "± seeds", "relative drop"), rows)


def _accuracy(found: ClassifierAccuracy, drop: float | None) -> tuple[str, str, str]:
    error = text.figure(found.standard_error)
    return text.figure(found.mean), error, text.figure(drop, "+.3f")
