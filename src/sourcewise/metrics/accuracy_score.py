"""The classification accuracy score: what a classifier learns of draws is tried on real rows.

A fixed classifier is fitted to draws with the labels they were drawn for, as many of each label as
there are real training rows, and its accuracy on real held-out rows is the score (CAS). The same
classifier fitted to the real training rows is the baseline; what draws lose of it is

    relative drop = (real accuracy - score) / real accuracy

(Ravuri and Vinyals, "Classification accuracy score for conditional generative models", 2019).
Were the draws from the truth, both classifiers would learn the same. The augmentation score (NAS)
fits it to real rows and draws together: what draws add.

Accuracies per label show which sources failed; the overall one is of all held-out rows. A
classifier that learns at random is fitted with several seeds, and the same ones everywhere.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.metrics.classifiers import Classifier, Labelled
from sourcewise.metrics.estimate import Estimate
from sourcewise.randomness import Noise

__all__ = ["Accuracy", "AccuracyScore", "accuracy", "accuracy_score"]

SEEDS = 3


@dataclass(frozen=True)
class Accuracy:
    """Of S classifiers that differ in their seeds.

    Args:
        overall: (S,) share of the held-out rows whose label was found.
        per_label: (S, K) of those of each label; NaN of labels without rows.
    """

    overall: Tensor
    per_label: Tensor

    @property
    def estimate(self) -> Estimate:
        """The mean overall accuracy, with the standard error that seeds leave."""
        S = len(self.overall)
        error = float(self.overall.std()) / S**0.5 if S > 1 else 0.0
        return Estimate(float(self.overall.mean()), error, f"{S} classifier seeds", 0.0, 1.0)


@dataclass(frozen=True)
class AccuracyScore:
    """A score beside that of real rows.

    Args:
        score: fitted to draws (NAS: to real rows and draws).
        real: fitted to real rows.
    """

    score: Accuracy
    real: Accuracy

    @property
    def relative_drop(self) -> float:
        """`1 - score / real` of the mean accuracies; below 0 where draws are worth more."""
        return 1 - float(self.score.overall.mean() / self.real.overall.mean())

    @property
    def drop_per_label(self) -> Tensor:
        """(K,) real accuracy less the score, of each label."""
        return self.real.per_label.mean(0) - self.score.per_label.mean(0)


def accuracy_score(
    draws: Labelled,
    real: Labelled,
    held_out: Labelled,
    classifier: Classifier,
    noise: Noise,
    seeds: int = SEEDS,
) -> AccuracyScore:
    """CAS; with `real.joined(draws)` in place of the draws it is NAS.

    Args:
        draws: with the labels they were drawn for; fairly, as many of each as there are in real.
        real: training rows.
        held_out: rows that neither the model nor a classifier has seen.
        classifier: fitted anew each time.
        noise: of the classifiers; seed s is `noise.of("classifier", s)`.
        seeds: S, 1 where the classifier draws nothing.

    Raises:
        InputError: one of the samples is empty.
    """
    for name, sample in (("draws", draws), ("real rows", real), ("held-out rows", held_out)):
        if not len(sample):
            raise InputError(f"no {name}: an accuracy score needs some")
    labels = 1 + max(int(sample.y.max()) for sample in (draws, real, held_out))
    score, baseline = (
        accuracy(sample, held_out, classifier, labels, noise, seeds) for sample in (draws, real)
    )
    return AccuracyScore(score, baseline)


def accuracy(
    sample: Labelled, held_out: Labelled, classifier: Classifier, labels: int, noise: Noise, S: int
) -> Accuracy:
    """Of S classifiers of so many labels, fitted to one sample; its arguments are those above."""
    right = torch.stack(
        [
            classifier(sample, labels, noise.of("classifier", s))(held_out.x) == held_out.y
            for s in range(S)
        ]
    ).double()
    rows = torch.bincount(held_out.y, minlength=labels)
    sums = torch.zeros(S, labels, dtype=torch.float64).index_add_(1, held_out.y, right)
    return Accuracy(right.mean(1), sums / rows)
