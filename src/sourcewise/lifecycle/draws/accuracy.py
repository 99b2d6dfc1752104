"""What a classifier learns of draws, beside what it learns of as many training rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from sourcewise.forms import Images
from sourcewise.lifecycle.draws.rows import Examples, PointRows, Tick
from sourcewise.metrics.accuracy_score import SEEDS, Accuracy, AccuracyScore, accuracy
from sourcewise.metrics.classifiers import Classifier, Labelled, image_network, logistic
from sourcewise.randomness import Noise
from sourcewise.results.contract import known
from sourcewise.results.evaluation_draws import (
    AccuracyFacts,
    AccuracyOfDraws,
    ClassifierAccuracy,
)

__all__ = ["Accuracies", "accuracies", "fits"]


@dataclass(frozen=True)
class Accuracies:
    """Accuracy scores of all strategies, or why there are none."""

    facts: AccuracyFacts | None = None
    reason: str | None = None
    of: Mapping[str, AccuracyOfDraws] = field(default_factory=dict)


def fits(strategies: int) -> int:
    """How many samples classifiers are trained on: real rows, draws of each, both together."""
    return 1 + 2 * strategies


def accuracies(
    real: PointRows,
    kept: Mapping[str, Mapping[int, Examples]],
    common: Sequence[int],
    n: int,
    noise: Noise,
    tick: Tick,
) -> Accuracies:
    """Of the sources that all strategies draw and that have training rows.

    Each classifier has as many examples of a source, drawn or real: as there are training rows,
    and at most n. Those that have more than n training rows are cut at random.
    """
    if real.training is None:
        return Accuracies()
    counts = {k: min(n, int(real.training.data.counts[k])) for k in common}
    counts = {k: m for k, m in counts.items() if m}
    if len(counts) < 2:
        return Accuracies(reason="it needs training rows and draws of two sources")
    fixed = _Fixed.of(real, list(counts), noise, tick)
    training = _sample({k: _training(real, k, m, noise) for k, m in counts.items()})
    first = fixed.accuracy(training)
    of = {}
    for name, item in kept.items():
        draws = _sample({k: (item[k], torch.arange(m)) for k, m in counts.items()})
        alone, both = fixed.accuracy(draws), fixed.accuracy(training.joined(draws))
        of[name] = _told(first, alone, both, fixed.names)
    examples = {real.data.names[k]: m for k, m in counts.items()}
    return Accuracies(AccuracyFacts(fixed.words, fixed.seeds, examples), None, of)


@dataclass(frozen=True)
class _Fixed:
    """What is the same for all samples."""

    held_out: Labelled
    classifier: Classifier
    words: str
    seeds: int
    names: dict[int, str]
    labels: int
    noise: Noise
    tick: Tick

    @classmethod
    def of(cls, real: PointRows, sources: list[int], noise: Noise, tick: Tick) -> "_Fixed":
        rows = {k: real.of_source(k) for k in sources}
        held_out = _sample({k: (each, torch.arange(len(each.x))) for k, each in rows.items()})
        images = isinstance(held_out.x, Images)
        classifier = image_network() if images else logistic
        words, seeds = ("small convolutional network", SEEDS) if images else ("logistic model", 1)
        names = {k: real.data.names[k] for k in sources}
        return cls(held_out, classifier, words, seeds, names, real.data.K, noise, tick)

    def accuracy(self, sample: Labelled) -> Accuracy:
        """Trained on a sample."""
        arguments = self.held_out, self.classifier, self.labels, self.noise, self.seeds
        found = accuracy(sample, *arguments)
        self.tick()
        return found


def _training(real: PointRows, k: int, m: int, noise: Noise) -> tuple[Examples, Tensor]:
    """Training rows of a source, and which of them a classifier learns from."""
    examples = real.training_of(k)
    assert examples is not None
    n = len(examples.points)
    every = torch.arange(n)
    return examples, every if m == n else noise.of("training", k).permutation(n)[:m]


def _sample(parts: Mapping[int, tuple[Examples, Tensor]]) -> Labelled:
    """Some examples of every source, by their sources."""
    return reduce(
        Labelled.joined,
        (
            Labelled(examples.classified(at), torch.full((len(at),), k))
            for k, (examples, at) in parts.items()
        ),
    )


def _told(
    real: Accuracy, draws: Accuracy, augmented: Accuracy, names: Mapping[int, str]
) -> AccuracyOfDraws:
    """As results have it."""
    scores = (AccuracyScore(score, real) for score in (draws, augmented))
    drop, augmented_drop = (known(score.relative_drop) for score in scores)
    first, second, third = (_accuracy(each, names) for each in (draws, real, augmented))
    return AccuracyOfDraws(first, second, drop, third, augmented_drop)


def _accuracy(found: Accuracy, names: Mapping[int, str]) -> ClassifierAccuracy:
    estimate, shares = found.estimate, found.per_label.mean(0)
    error = estimate.standard_error if len(found.overall) > 1 else None
    per_source = {name: known(float(shares[k])) for k, name in names.items()}
    return ClassifierAccuracy(estimate.value, error, per_source)
